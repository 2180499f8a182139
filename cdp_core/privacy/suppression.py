"""Suppression: people of whom nothing may be sent, recognised by keyed hashes of their identifiers.

What is kept is a tombstone per identifier: an HMAC-SHA-256 of `type:value` under the workspace's key, and four hex
digits of a keyed MD5, so that a table of identifiers is looked through without hashing each of them expensively.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cdp_core.errors import SpecError, UsageError

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine

SUPPRESS, UNSUPPRESS = "suppress", "unsuppress"
TAG = 4
Identifier = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Suppression:
    """One decision about one person. `tombstones` maps the HMAC of each identifier to its tag; `at` is UTC."""

    action: str
    tombstones: dict[str, str]
    reason: str
    at: datetime

    @property
    def suppression_id(self) -> str:
        """The same for the same identifiers, whatever is decided about them."""
        return hashlib.sha256("".join(sorted(self.tombstones)).encode()).hexdigest()[:10]

    def to_dict(self) -> dict[str, Any]:
        """suppression_id, action, identifiers (how many), reason, at."""
        return {
            "suppression_id": self.suppression_id,
            "action": self.action,
            "identifiers": len(self.tombstones),
            "reason": self.reason,
            "at": self.at.isoformat(),
        }


def suppression(
    action: str, identifiers: Iterable[Identifier], key: bytes, *, reason: str, at: datetime
) -> Suppression:
    """Raises UsageError when no reason is given."""
    if not reason.strip():
        raise UsageError("a reason is missing", hint="say why, for whoever reads the list next year")
    tombstones = dict(sorted(tombstone(one, key) for one in identifiers))
    return Suppression(action=action, tombstones=tombstones, reason=" ".join(reason.split()), at=at)


def tombstone(identifier: Identifier, key: bytes) -> tuple[str, str]:
    """HMAC and tag of an identifier as tables spell it.

    >>> len(tombstone(("email", "ann@example.org"), bytes(32))[0])
    64
    """
    text = ":".join(identifier)
    found = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return found, hashlib.md5((key.hex() + text).encode(), usedforsecurity=False).hexdigest()[:TAG]


def in_force(history: Iterable[Suppression]) -> list[Suppression]:
    """Suppressions that have not been taken back, oldest first."""
    newest: dict[str, Suppression] = {}
    for each in history:
        newest.pop(each.suppression_id, None)
        newest[each.suppression_id] = each
    return [each for each in newest.values() if each.action == SUPPRESS]


def of_person(active: Iterable[Suppression], identifiers: Iterable[Identifier], key: bytes) -> list[Suppression]:
    """Suppressions that hold any of these identifiers."""
    found = {tombstone(one, key)[0] for one in identifiers}
    return [each for each in active if found & set(each.tombstones)]


def fingerprint(active: Sequence[Suppression]) -> str:
    """Equal for the same tombstones."""
    return hashlib.sha256("".join(sorted({h for each in active for h in each.tombstones})).encode()).hexdigest()[:32]


def suppressed_profiles(engine: Engine, active: Sequence[Suppression], key: bytes, identifiers: ir.Table) -> ir.Table:
    """profile_id of every profile that one of the tombstones is of; `identifiers` has type, value and profile_id."""
    import ibis
    import polars as pl

    stones = {h: tag for each in active for h, tag in each.tombstones.items()}
    known = engine.frame(pl.DataFrame({"stone": list(stones), "tag": list(stones.values())}))
    text = identifiers.type + ibis.literal(":") + identifiers.value
    tag = (ibis.literal(key.hex()) + text).hexdigest("md5").substr(0, TAG)
    near = identifiers.select("profile_id", text=text, tag=tag).semi_join(known, "tag")
    found = near.mutate(stone=engine.keyed(near.text, key))
    return found.semi_join(known, "stone").select("profile_id").distinct()


def rows(active: Iterable[Suppression]) -> list[dict[str, Any]]:
    """Of the table `suppressions`: one row per tombstone."""
    found = {
        stone: {"identifier_hmac": stone, "suppression_id": each.suppression_id, "reason": each.reason, "at": each.at}
        for each in active
        for stone in each.tombstones
    }
    return list(found.values())


def to_line(made: Suppression) -> str:
    return json.dumps(asdict(made) | {"at": made.at.isoformat()}, ensure_ascii=False)


def from_lines(text: str, *, where: str) -> list[Suppression]:
    """Read the file's text. Raises SpecError with the line that is wrong."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            made = Suppression(**row | {"at": datetime.fromisoformat(row["at"])})
            if made.action not in (SUPPRESS, UNSUPPRESS) or not made.tombstones:
                raise ValueError(made.action)
            if not all(isinstance(part, str) for pair in made.tombstones.items() for part in pair):
                raise TypeError
        except (ValueError, TypeError, KeyError, AttributeError):
            hint = "each line is an object with action, tombstones, reason and at"
            raise SpecError("no suppression", where=f"{where}:{number}", hint=hint) from None
        found.append(made)
    return found
