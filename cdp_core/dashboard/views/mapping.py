"""The mapping of a sync as a form: where its fields come from, what comes out, what would be sent."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cdp_core as cdp
from cdp_core.privacy import masking

COUNTED = ("add", "change", "remove", "unchanged", "invalid", "withheld")
CONSTANT, FUNCTION = "A constant…", "A function…"


def source_label(source: Any) -> str:
    """Where a field comes from, as the choice that stands for it.

    >>> source_label("email"), source_label({"value": 1}), source_label({"lower": "email"})
    ('email', 'A constant…', 'A function…')
    """
    if isinstance(source, str):
        return source
    if isinstance(source, Mapping) and set(source) & {"column", "trait"}:
        return str(source.get("column", source.get("trait")))
    return FUNCTION if isinstance(source, Mapping) and "value" not in source else CONSTANT


def source_from(label: str, before: Any, column: str) -> Any:
    """The source that a choice stands for; a function begins with `lower` of what was there, or of `column`.

    >>> source_from("A function…", "email", "id"), source_from("city", {"column": "town", "type": "string"}, "id")
    ({'lower': 'email'}, {'column': 'city', 'type': 'string'})
    """
    if before is not None and label == source_label(before):
        return before
    if label == CONSTANT:
        return {"value": ""}
    if label == FUNCTION:
        return {"lower": before if isinstance(before, str) else column}
    if isinstance(before, Mapping) and set(before) & {"column", "trait"}:
        return {"column": label, **{key: value for key, value in before.items() if key not in ("column", "trait")}}
    return label


def constant_text(value: Any) -> str:
    """A constant as a field shows it: texts as they are, unless they would be read as something else.

    >>> constant_text("web"), constant_text(5), constant_text("5")
    ('web', '5', '"5"')
    """
    if isinstance(value, str) and constant_from(value) == value:
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def constant_from(text: str) -> Any:
    """A constant out of a field: a number, true, false, a text in quotes, or the text as it is.

    >>> constant_from("web"), constant_from("5"), constant_from('"5"'), constant_from("true"), constant_from("[1]")
    ('web', 5, '5', True, '[1]')
    """
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float | str) else text


def function_named(source: Any, functions: Sequence[Any]) -> Any:
    """The described function that a source is, if it is one."""
    return next((each for each in functions if isinstance(source, Mapping) and each.name in source), None)


def refunctioned(source: Mapping[str, Any], old: Any, new: Any) -> dict[str, Any]:
    """The source with another function: its first argument stays where both take the same kind of thing."""
    first = new.arguments[0]
    kept = (
        source.get(old.name) if old is not None and old.arguments[0].kind == first.kind else new.example.get(new.name)
    )
    shared = {a.name for a in old.arguments[1:]} if old is not None else set()
    made: dict[str, Any] = {new.name: kept if kept is not None else new.example.get(next(iter(new.example)))}
    for argument in new.arguments[1:]:
        if argument.name in shared and argument.name in source:
            made[argument.name] = source[argument.name]
        elif argument.required:
            made[argument.name] = new.example.get(argument.name, "")
    return made


def renamed(mapping: Mapping[str, Any], field: str, new: str) -> dict[str, Any]:
    """The mapping with a field under another name, in its place.

    >>> renamed({"id": "profile_id", "mail": "email"}, "mail", "email")
    {'id': 'profile_id', 'email': 'email'}
    """
    return {new if name == field else name: source for name, source in mapping.items()}


def sample(ws: cdp.Workspace, name: str, text: str, reveal: bool) -> list[dict[str, str | None]]:
    """Three rows as they would be sent, one line per field: field, first, second, third. Raises CDPError."""
    rows = ws.sync_forms.sample(name, text, 3)
    mapping = ws.sync_forms.data(text).get("mapping") or {}
    places = ("first", "second", "third")
    return [
        {"field": field, **{place: _shown(row.get(field), mapping[field], field, reveal)
                            for place, row in zip(places, rows, strict=False)}}
        for field in mapping
    ]  # fmt: skip


def _shown(value: Any, source: Any, field: str, reveal: bool) -> str | None:
    """A value, masked by what its field and every column it is made of say that it is."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if reveal:
        return text
    personal = next((name for name in [*_columns(source), field] if masking.kind_of(name)), field)
    return masking.mask(text, personal)


def _columns(source: Any) -> list[str]:
    """Every text inside a source: names of columns and words, of which only the former can name something personal."""
    if isinstance(source, str):
        return re.findall(r"[A-Za-z_][\w.]*", source)
    if isinstance(source, Mapping):
        return [name for key, inner in source.items() if key != "value" for name in _columns(inner)]
    return [name for inner in source for name in _columns(inner)] if isinstance(source, list) else []


@dataclass(frozen=True)
class Planned:
    """What a run of a draft would do: rows by what becomes of them, why much is sent again, why removals wait."""

    counts: dict[str, int]
    note: str | None
    brake: str | None


def plan(ws: cdp.Workspace, name: str, text: str) -> Planned:
    """What a run of the draft would do; nothing is sent. Raises CDPError."""
    found = ws.sync_forms.plan(name, text)
    return Planned({what: getattr(found, what) for what in COUNTED}, found.note, found.brake)


def events(ws: cdp.Workspace) -> list[str]:
    return list(ws.sync_forms.events())


def paths(ws: cdp.Workspace, sources: Sequence[str]) -> list[str]:
    """Places inside the JSON of events that the newest ones have, such as properties.total."""
    found: dict[str, None] = {}
    for source in sources:
        try:
            seen = ws.plans.seen(source, last=2_000)
        except cdp.CDPError:
            continue
        for event in (seen.get("events") or {}).values():
            for name in (event or {}).get("properties") or {}:
                found[f"properties.{name}"] = None
        for call in ("identify", "group"):
            for name in (seen.get(call) or {}).get("traits") or {}:
                found[f"traits.{name}"] = None
    return sorted(found)
