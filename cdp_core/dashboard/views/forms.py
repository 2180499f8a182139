"""Destinations and syncs as forms: what a changed field makes of a draft, in plain data."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard import masking

ABOUT = {
    "bigquery": "A table in Google BigQuery",
    "braze": "Users of Braze, with attributes and events",
    "customerio": "People in Customer.io",
    "duckdb": "A table in a DuckDB file",
    "file": "CSV, JSON Lines or Parquet in a folder of this workspace",
    "google_customer_match": "An audience for Google Ads, identifiers hashed here",
    "hubspot": "Contacts in HubSpot",
    "mailchimp": "Members of a Mailchimp audience",
    "meta_custom_audiences": "A custom audience on Facebook and Instagram, identifiers hashed here",
    "mysql": "A table in MySQL",
    "postgres": "A table in PostgreSQL",
    "salesforce": "Records of an object in Salesforce",
    "segment": "Calls to Segment, or to what takes its calls",
    "slack": "A message in a channel when a sync has changed something",
    "snowflake": "A table in Snowflake",
    "sqlite": "A table in a SQLite file",
    "storage": "Files in S3, Google Cloud Storage or Azure",
    "webhook": "Calls to an address of your own, in a shape of your own",
}
COUNTED = ("add", "change", "remove", "unchanged", "invalid", "withheld")
CONSTANT, FUNCTION = "A constant…", "A function…"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WHOLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def about(type: str, words: str) -> str:
    """A line on a type of destination.

    >>> about("postgres", "A table.")
    'A table in PostgreSQL'
    """
    return ABOUT.get(type, words)


def with_key(data: Mapping[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    """The draft with a value at a place; None takes it out, and what is empty then goes too.

    >>> with_key({"type": "file"}, ("limits", "attempts"), 3)
    {'type': 'file', 'limits': {'attempts': 3}}
    >>> with_key({"type": "file", "limits": {"attempts": 3}}, ("limits", "attempts"), None)
    {'type': 'file'}
    """
    head, *rest = path
    if rest:
        inner = data.get(head)
        value = with_key(inner if isinstance(inner, Mapping) else {}, rest, value) or None
    if value is None:
        return {key: each for key, each in data.items() if key != head}
    return {**data, head: value}


def retyped(data: Mapping[str, Any], type: str, names: Sequence[str]) -> dict[str, Any]:
    """The draft of a destination with another type: what the new one asks for too stays, and what all have."""
    kept = {"transform", "consent", "limits", *names}
    return {"type": type, **{key: value for key, value in data.items() if key in kept and key != "type"}}


def variable_of(raw: Any) -> str | None:
    """The variable that a secret is, None where it is written in another way.

    >>> variable_of("${CRM_TOKEN}"), variable_of("hunter2"), variable_of(None)
    ('CRM_TOKEN', None, '')
    """
    if raw is None:
        return ""
    found = _WHOLE.fullmatch(str(raw))
    return found.group(1) if found else None


def secret_from(text: str, before: Any) -> Any:
    """What a field for a secret makes of the draft: the name of a variable, and never a secret.

    Raises ValueError for what cannot be a name; what was typed is not in the message.

    >>> secret_from("CRM_TOKEN", None), secret_from(" ${CRM_TOKEN} ", None), secret_from("", "as-it-stands")
    ('${CRM_TOKEN}', '${CRM_TOKEN}', 'as-it-stands')
    """
    text = text.strip()
    if not text:
        return before if variable_of(before) is None else None
    name = variable_of(text) or text
    if not _VARIABLE.fullmatch(name):
        raise ValueError("the name of an environment variable is wanted here (letters, digits, _), not the secret")
    return f"${{{name}}}"


def table_from(rows: Sequence[Mapping[str, Any]], *, secret: bool, before: Mapping[str, Any]) -> dict[str, str] | None:
    """Names and values out of a table; values of secrets are names of variables. Raises ValueError.

    >>> table_from([{"name": "X-Key", "value": "CRM_KEY"}], secret=True, before={})
    {'X-Key': '${CRM_KEY}'}
    """
    made: dict[str, str] = {}
    for row in rows:
        name, value = str(row.get("name") or "").strip(), str(row.get("value") or "")
        if not name:
            continue
        if name in made:
            raise ValueError(f"{name} is there twice")
        found = secret_from(value, before.get(name)) if secret else value
        if found is None:
            raise ValueError(f"{name} needs the name of a variable")
        made[name] = found
    return made or None


def json_from(text: str) -> Any:
    """A value written as JSON, None for nothing. Raises ValueError."""
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None


def said(problems: Sequence[Any], field: str) -> list[str]:
    """What is wrong at a field and inside it."""
    return [each.what for each in problems if each.field == field or each.field.startswith(f"{field}.")]


def unplaced(problems: Sequence[Any], shown: Sequence[str]) -> list[str]:
    """What is wrong with the draft as a whole, or where no field is shown."""
    return [str(each) for each in problems if not any(f"{each.field}.".startswith(f"{field}.") for field in shown)]


def changes(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> list[str]:
    """What another draft says, in words; values of one line only, variables by their names.

    >>> changes({"key": "id", "mode": "mirror"}, {"key": "id", "mode": "upsert", "enabled": False})
    ['mode: mirror → upsert', 'enabled: false']
    """
    told = []
    for key in [*before, *(key for key in after if key not in before)]:
        old, new, name = before.get(key), after.get(key), f"{prefix}{key}"
        if old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            told += changes(old, new, f"{name}.")
        elif key not in after:
            told.append(f"{name} is gone")
        else:
            told.append(f"{name}: {_short(new)}" if key not in before else f"{name}: {_short(old)} → {_short(new)}")
    return told


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:59]}…"


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
    if label == source_label(before):
        return before
    if label == CONSTANT:
        return {"value": ""}
    if label == FUNCTION:
        return {"lower": before if isinstance(before, str) else column}
    if isinstance(before, Mapping) and set(before) & {"column", "trait"}:
        return {"column": label, **{key: value for key, value in before.items() if key not in ("column", "trait")}}
    return label


def function_named(source: Any, functions: Sequence[Any]) -> Any:
    """The described function that a source is, if it is one."""
    return next((each for each in functions if isinstance(source, Mapping) and each.name in source), None)


def refunctioned(source: Mapping[str, Any], old: Any, new: Any) -> dict[str, Any]:
    """The source with another function: its first argument stays where both take the same kind of thing."""
    first = new.arguments[0]
    kept = source.get(old.name) if old is not None and old.arguments[0].kind == first.kind else new.example.get(new.name)
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


def consents(ws: cdp.Workspace) -> list[str]:
    return list(ws.destination_forms.consents())


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
