"""Suppression: people of whom nothing may be sent, recognised by keyed hashes of their identifiers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cdp_core.journal import read_lines
from cdp_core.privacy.tombstones import Identifier, matched, tombstone, tombstones, with_reason

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine

SUPPRESS, UNSUPPRESS = "suppress", "unsuppress"


@dataclass(frozen=True, kw_only=True)
class Suppression:
    """One decision about one person. `tombstones` maps the HMAC of each identifier to its tag; `at` is UTC.

    With `door` nothing of the person is taken in either, whoever sends it. `erased`: they were erased, and what comes
    back of them with a restored lake goes again.
    """

    action: str
    tombstones: dict[str, str]
    reason: str
    at: datetime
    door: bool = False
    erased: bool = False

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
    action: str, identifiers: Iterable[Identifier], key: bytes, *, reason: str, at: datetime, door: bool = False,
    erased: bool = False,
) -> Suppression:  # fmt: skip
    """Raises UsageError when no reason is given."""
    said, named = with_reason(reason), tombstones(identifiers, key)
    return Suppression(action=action, tombstones=named, reason=said, at=at, door=door, erased=erased)


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
    return matching(engine, active, key, identifiers).select("profile_id").distinct()


def matching(engine: Engine, active: Sequence[Suppression], key: bytes, identifiers: ir.Table) -> ir.Table:
    """Those rows of `identifiers` (type, value and other columns) that one of the tombstones is of."""
    stones = {h: tag for each in active for h, tag in each.tombstones.items()}
    return matched(engine, stones, key, identifiers).drop("stone")


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
    hint = "each line is an object with action, tombstones, reason and at"
    return read_lines(text, _from_row, where=where, what="no suppression", hint=hint)


def _from_row(row: dict[str, Any]) -> Suppression:
    made = Suppression(**row | {"at": datetime.fromisoformat(row["at"])})
    if made.action not in (SUPPRESS, UNSUPPRESS) or not made.tombstones:
        raise ValueError(made.action)
    if not all(isinstance(part, str) for pair in made.tombstones.items() for part in pair):
        raise TypeError
    if not isinstance(made.door, bool) or not isinstance(made.erased, bool):
        raise TypeError
    return made
