"""What a person has told somebody at the desk about consent: decisions that name them by tombstones alone.

One decision is a line that sets a category, and another that takes it back names the first by its id. Decisions that
share an identifier are about one person, and the newest of them counts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cdp_core.errors import UsageError
from cdp_core.journal import read_lines
from cdp_core.privacy.tombstones import Identifier, matched, tombstones, with_reason

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine

GRANTED, DENIED, REVOKE = "granted", "denied", "revoke"
STATES = (GRANTED, DENIED)
SPOKEN = {"profile_id": "string", "category": "string", "granted": "boolean", "at": "timestamp(6)",
          "decision_id": "string", "person": "string"}  # fmt: skip
"""Columns of what `spoken` gives, with their types in Ibis' notation."""


@dataclass(frozen=True, kw_only=True)
class ConsentDecision:
    """One decision. `state`: granted, denied, or revoke, which takes back the decision that `decision_id` names and has
    no tombstones. `tombstones` maps the HMAC of each identifier to its tag; `at` is UTC.
    """

    decision_id: str
    category: str
    state: str
    tombstones: dict[str, str]
    reason: str
    actor: str
    at: datetime

    def to_dict(self) -> dict[str, Any]:
        """decision_id, category, state, identifiers (how many), reason, actor, at."""
        plain = asdict(self) | {"at": self.at.isoformat()}
        del plain["tombstones"]
        return {**plain, "identifiers": len(self.tombstones)}


def decision(
    category: str, state: str, identifiers: Iterable[Identifier], key: bytes, *, reason: str, actor: str, at: datetime
) -> ConsentDecision:
    """Raises UsageError for a state that is none, a blank category, and when no reason is given."""
    if state not in STATES:
        raise UsageError.unknown("state of consent", state, STATES)
    if not category.strip():
        raise UsageError("a category is missing", hint="such as newsletter; 'cdp privacy consent' lists those known")
    stones = tombstones(identifiers, key)
    if not stones:
        raise UsageError("nobody is named", hint="name any identifier of the person, as type:value")
    told = json.dumps([sorted(stones), category, state, at.isoformat()])
    return ConsentDecision(
        decision_id=hashlib.sha256(told.encode()).hexdigest()[:10],
        category=category.strip(),
        state=state,
        tombstones=stones,
        reason=with_reason(reason),
        actor=actor,
        at=at,
    )


def revoked(made: ConsentDecision, *, reason: str, actor: str, at: datetime) -> ConsentDecision:
    """The line that takes a decision back. Raises UsageError when no reason is given."""
    return ConsentDecision(
        decision_id=made.decision_id, category=made.category, state=REVOKE, tombstones={}, reason=with_reason(reason),
        actor=actor, at=at,
    )  # fmt: skip


def in_force(history: Iterable[ConsentDecision]) -> list[ConsentDecision]:
    """Decisions that have not been taken back, oldest first."""
    active: dict[str, ConsentDecision] = {}
    for each in history:
        active.pop(each.decision_id, None)
        if each.state != REVOKE:
            active[each.decision_id] = each
    return list(active.values())


def of_person(
    history: Iterable[ConsentDecision], identifiers: Iterable[Identifier], key: bytes
) -> list[ConsentDecision]:
    """Decisions that hold any of these identifiers, and what took them back."""
    found = set(tombstones(identifiers, key))
    told = list(history)
    theirs = {each.decision_id for each in told if found & set(each.tombstones)}
    return [each for each in told if each.decision_id in theirs]


def fingerprint(active: Sequence[ConsentDecision]) -> str:
    """Equal for the same decisions in force; empty when there is none."""
    if not active:
        return ""
    return hashlib.sha256("".join(each.decision_id for each in active).encode()).hexdigest()[:32]


def spoken(engine: Engine, active: Sequence[ConsentDecision], key: bytes, identifiers: ir.Table) -> ir.Table:
    """Decisions by the profile that they are of now: the columns `SPOKEN`, one row per profile and decision.

    `person` is equal for decisions that share an identifier; `identifiers` has type, value and profile_id.
    """
    import polars as pl

    stones = {h: tag for each in active for h, tag in each.tombstones.items()}
    people = _people(active)
    kinds: dict[str, Any] = {"stone": pl.String, "decision_id": pl.String, "category": pl.String, "granted": pl.Boolean,
             "at": pl.Datetime("us"), "person": pl.String}  # fmt: skip
    rows = [
        (stone, each.decision_id, each.category, each.state == GRANTED, each.at, people[each.decision_id])
        for each in active
        for stone in each.tombstones
    ]
    told = engine.frame(pl.DataFrame(rows, schema=kinds, orient="row"))
    found = matched(engine, stones, key, identifiers).inner_join(told, "stone")
    return engine.keep(found.select(*SPOKEN).distinct())


def same_person(active: Sequence[ConsentDecision], made: ConsentDecision) -> dict[str, str]:
    """HMAC → tag of every identifier that decisions give to the person of `made`, which is one of them."""
    people = _people(active)
    theirs = [each for each in active if people[each.decision_id] == people[made.decision_id]]
    return {stone: tag for each in theirs for stone, tag in each.tombstones.items()}


def _people(active: Sequence[ConsentDecision]) -> dict[str, str]:
    """Decision → the first decision of the same person, as far as decisions tell by sharing an identifier."""
    parent: dict[str, str] = {}

    def root(one: str) -> str:
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    holder: dict[str, str] = {}
    for each in active:
        parent[each.decision_id] = each.decision_id
        for stone in each.tombstones:
            first = holder.setdefault(stone, each.decision_id)
            parent[root(each.decision_id)] = root(first)
    return {one: root(one) for one in parent}


def to_line(made: ConsentDecision) -> str:
    return json.dumps(asdict(made) | {"at": made.at.isoformat()})


def from_lines(text: str, *, where: str) -> list[ConsentDecision]:
    """Read the file's text. Raises SpecError with the line that is wrong."""
    hint = "each line is an object with decision_id, category, state, tombstones, reason, actor and at"
    return read_lines(text, _from_row, where=where, what="no decision about consent", hint=hint)


def _from_row(row: dict[str, Any]) -> ConsentDecision:
    made = ConsentDecision(**row | {"at": datetime.fromisoformat(row["at"])})
    if made.state not in (*STATES, REVOKE) or (made.state != REVOKE and not made.tombstones):
        raise ValueError(made.state)
    if not all(isinstance(part, str) for pair in made.tombstones.items() for part in pair):
        raise TypeError
    return made
