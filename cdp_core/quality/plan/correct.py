"""Corrections before a plan is checked (`transform:` of a source), for a batch and for a single event."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cdp_core.engine import json_edit
from cdp_core.engine.json_rules import Where
from cdp_core.tracking import Step

if TYPE_CHECKING:
    from cdp_core.engine.staging import Staging

_ABSENT: Any = object()


def correct(staging: Staging, source: str, steps: Sequence[Step]) -> None:
    """Change staged `events` of a source, step by step."""
    for step in steps:
        kind = "track" if step.kind == "rename_event" and step.type is None else step.type
        where = Where(source=source, type=kind, event=step.event)
        if step.kind == "rename_event":
            json_edit.rename_event(staging, where, str(step.rename_event))
        elif step.kind == "drop":
            json_edit.drop(staging, where, step.place)
        elif step.kind == "hash":
            json_edit.hash_text(staging, where, step.place)
        else:
            json_edit.move(staging, where, step.place, step.target)


def corrected(event: Mapping[str, Any], steps: Sequence[Step]) -> dict[str, Any]:
    """A decoded event of the Segment spec with the same changes; the one given stays as it is.

    >>> corrected({"type": "track", "event": "Pay", "properties": {"a": 1}}, [Step(drop="properties.a")])
    {'type': 'track', 'event': 'Pay', 'properties': {}}
    """
    made = copy.deepcopy(dict(event))
    for step in steps:
        if _concerns(step, made):
            _apply(step, made)
    return made


def _concerns(step: Step, event: Mapping[str, Any]) -> bool:
    kind = "track" if step.kind == "rename_event" and step.type is None else step.type
    named = event.get("event") if event.get("event") is not None else event.get("name")
    return kind in (None, event.get("type")) and step.event in (None, named)


def _apply(step: Step, event: dict[str, Any]) -> None:
    if step.kind == "rename_event":
        event["event" if event.get("event") is not None else "name"] = step.rename_event
        return
    holder = _holder(event, step.place)
    value = holder.get(step.place[-1], _ABSENT) if holder is not None else _ABSENT
    if holder is None or value is _ABSENT:
        return
    if step.kind == "drop":
        del holder[step.place[-1]]
    elif step.kind == "hash":
        if value is not None:
            holder[step.place[-1]] = hashlib.sha256(_text(value).encode()).hexdigest()
    elif _has_room(event, step.target):
        del holder[step.place[-1]]
        _put(event, step.target, value)


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
