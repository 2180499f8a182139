"""Corrections before a plan is checked (`transform:` of a source), for a batch and for a single event.

What a step has changed it says in context.protocols.transformed of the event, in the same words each time, so that
corrected events which are corrected again stay as they are (as long as `unsettled` finds nothing in the steps).
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cdp_core.engine import json_edit
from cdp_core.engine.json_rules import Where
from cdp_core.tracking import Step

if TYPE_CHECKING:
    from cdp_core.engine.json_edit import Edit
    from cdp_core.engine.staging import Staging

_ABSENT: Any = object()
_HASHED = re.compile("[0-9a-f]{64}")


def correct(staging: Staging, source: str, steps: Sequence[Step]) -> None:
    """Change staged `events` of a source, step by step."""
    json_edit.edit_staged(staging, edits(steps, source))


def edits(steps: Sequence[Step], source: str | None = None) -> list[Edit]:
    """The steps as changes to rows of events, of one source or of all."""
    return [edit.said(step.in_words) for step in steps for edit in _edits(step, source)]


def _edits(step: Step, source: str | None) -> list[Edit]:
    """What a step does, and what it takes out of the copy of the traits that an event may have in its context."""
    kind = "track" if step.kind == "rename_event" and step.type is None else step.type
    where = Where(source=source, type=kind, event=step.event)
    made = [_edit(step, where)]
    if step.place[0] == "traits" and (step.kind in ("drop", "hash") or step.place != step.target):
        made.append(json_edit.forget_copy(where, step.place))
    return made


def _edit(step: Step, where: Where) -> Edit:
    if step.kind == "rename_event":
        return json_edit.rename_event(where, str(step.rename_event))
    if step.kind == "drop":
        return json_edit.drop(where, step.place)
    return (
        json_edit.hash_text(where, step.place)
        if step.kind == "hash"
        else json_edit.move(where, step.place, step.target)
    )


def corrected(event: Mapping[str, Any], steps: Sequence[Step]) -> dict[str, Any]:
    """A decoded event of the Segment spec with the same changes; the one given stays as it is.

    >>> made = corrected({"type": "track", "event": "Pay", "properties": {"a": 1}}, [Step(drop="properties.a")])
    >>> made["properties"], made["context"]
    ({}, {'protocols': {'transformed': ['drop: properties.a']}})
    """
    made = copy.deepcopy(dict(event))
    for step in steps:
        if _concerns(step, made) and _apply(step, made) | _forget_copy(step, made):
            _record(made, step.in_words)
    return made


def _concerns(step: Step, event: Mapping[str, Any]) -> bool:
    kind = "track" if step.kind == "rename_event" and step.type is None else step.type
    named = event.get("event") if event.get("event") is not None else event.get("name")
    return kind in (None, event.get("type")) and step.event in (None, named)


def _apply(step: Step, event: dict[str, Any]) -> bool:
    """Carry a step out; whether it has changed anything."""
    if step.kind == "rename_event":
        name = "event" if event.get("event") is not None else "name"
        before, event[name] = event.get(name), step.rename_event
        return before != step.rename_event
    holder = _holder(event, step.place)
    value = holder.get(step.place[-1], _ABSENT) if holder is not None else _ABSENT
    if holder is None or value is _ABSENT:
        return False
    if step.kind == "hash":
        return _hash(holder, step.place[-1], value)
    if step.kind != "drop" and (step.place == step.target or not _has_room(event, step.target)):
        return False
    del holder[step.place[-1]]
    if step.kind != "drop":
        _put(event, step.target, value)
    return True


def _forget_copy(step: Step, event: dict[str, Any]) -> bool:
    """Take the trait out of the event's context too, where senders may have put it as well."""
    if step.place[0] != "traits" or (step.kind not in ("drop", "hash") and step.place == step.target):
        return False
    holder = _holder(event, ("context", *step.place))
    if holder is None or step.place[-1] not in holder:
        return False
    del holder[step.place[-1]]
    return True


def _hash(holder: dict[str, Any], key: str, value: Any) -> bool:
    """What looks like such a hash stays: events may pass here again."""
    if value is None or (isinstance(value, str) and _HASHED.fullmatch(value)):
        return False
    holder[key] = hashlib.sha256(_text(value).encode()).hexdigest()
    return True


def _record(event: dict[str, Any], words: str) -> None:
    """A sender may have put anything in the place of the record; only a list is added to."""
    holder = event
    for key in ("context", json_edit.RECORD[0]):
        inner = holder.get(key)
        holder[key] = holder = inner if isinstance(inner, dict) else {}
    said = holder.get(json_edit.RECORD[1])
    said = said if isinstance(said, list) else []
    holder[json_edit.RECORD[1]] = said if words in said else [*said, words]


def _holder(event: dict[str, Any], place: tuple[str, ...]) -> dict[str, Any] | None:
    found: Any = event
    for key in place[:-1]:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def _has_room(event: dict[str, Any], target: tuple[str, ...]) -> bool:
    found: Any = event.get(target[0], {})
    for key in target[1:-1]:
        found = found.get(key, {}) if isinstance(found, dict) else None
    return isinstance(found, dict)


def _put(event: dict[str, Any], target: tuple[str, ...], value: Any) -> None:
    for key in target[:-1]:
        event = event.setdefault(key, {})
    event[target[-1]] = value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
