"""Decisions of people about identity: kept as an append-only file in the workspace, in force until revoked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from cdp_core.errors import UsageError
from cdp_core.journal import read_lines

NEVER, ALWAYS, REVOKE = "never_link", "always_link", "revoke"
MATCH = "match"
"""Two profiles that matching finds alike enough: evidence that rules may hold back, unlike what people decide."""
Identifier = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Override:
    """One decision. action: never_link, always_link or revoke; `left` and `right` are (type, value) as tables spell
    them, smaller first; `at` in UTC.
    """

    action: str
    left: Identifier
    right: Identifier
    reason: str
    at: datetime

    @property
    def override_id(self) -> str:
        """The same for the same two identifiers, whatever is decided about them."""
        return pair_id(self.left, self.right)

    def to_dict(self) -> dict[str, Any]:
        """override_id, action, left and right as `type:value`, reason, at."""
        plain = asdict(self) | {"left": ":".join(self.left), "right": ":".join(self.right), "at": self.at.isoformat()}
        return {"override_id": self.override_id, **plain}


def pair_id(left: Identifier, right: Identifier) -> str:
    """A short name for two identifiers in either order.

    >>> pair_id(("email", "a@x.org"), ("user_id", "7")) == pair_id(("user_id", "7"), ("email", "a@x.org"))
    True
    """
    text = json.dumps(sorted([list(left), list(right)]))
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def override(action: str, left: Identifier, right: Identifier, *, reason: str, at: datetime) -> Override:
    """Raises UsageError when both are the same identifier or no reason is given."""
    if left == right:
        raise UsageError(f"both are {left[0]} identifiers with the same value", hint="name two different ones")
    if not reason.strip():
        raise UsageError("a reason is missing", hint="say why, for whoever reads the list next year")
    first, second = sorted([left, right])
    return Override(action=action, left=first, right=second, reason=" ".join(reason.split()), at=at)


def in_force(history: Iterable[Override]) -> list[Override]:
    """The newest decision about each two identifiers, revoked ones left out, in the order they were made."""
    newest: dict[str, Override] = {}
    for each in history:
        newest.pop(each.override_id, None)
        newest[each.override_id] = each
    return [each for each in newest.values() if each.action != REVOKE]


def with_decision(history: Sequence[Override], new: Override) -> list[Override]:
    """The history with one decision more. Raises UsageError when it contradicts those in force, or changes nothing."""
    active = {o.override_id: o for o in in_force(history)}
    known = active.get(new.override_id)
    if new.action == REVOKE and known is None:
        raise UsageError("nothing is decided about these two", hint="see 'cdp identity overrides list'")
    if known is not None and known.action == new.action:
        raise UsageError(f"{new.action} is in force for these two already", hint="see 'cdp identity overrides list'")
    after = [*history, new]
    _consistent(in_force(after))
    return after


def _consistent(active: Sequence[Override]) -> None:
    import networkx as nx

    joined: nx.Graph = nx.Graph((o.left, o.right) for o in active if o.action == ALWAYS)
    for each in active:
        ends = (each.left, each.right)
        if each.action == NEVER and all(end in joined for end in ends) and nx.has_path(joined, *ends):
            raise UsageError(
                f"never_link {each.override_id} contradicts what is always linked",
                hint="revoke one of them; see 'cdp identity overrides list'",
            )


def to_lines(history: Iterable[Override]) -> str:
    """The file's text: one JSON object a line."""
    rows = (asdict(o) | {"at": o.at.isoformat()} for o in history)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def from_lines(text: str, *, where: str) -> list[Override]:
    """Read the file's text. Raises SpecError with the line that is wrong."""
    hint = "each line is an object with action, left, right, reason and at"
    return read_lines(text, _from_row, where=where, what="no decision about identity", hint=hint)


def _from_row(row: dict[str, Any]) -> Override:
    made = Override(**row | {"at": datetime.fromisoformat(row["at"])})
    if made.action not in (NEVER, ALWAYS, REVOKE):
        raise ValueError(made.action)
    return replace(made, left=_identifier(made.left), right=_identifier(made.right))


def _identifier(value: Any) -> Identifier:
    type_, text = value
    if not (isinstance(type_, str) and isinstance(text, str)):
        raise TypeError
    return type_, text
