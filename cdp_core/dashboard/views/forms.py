"""Destinations and syncs as forms: what a changed field makes of a draft, in plain data."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import cdp_core as cdp

if TYPE_CHECKING:
    import polars as pl

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
NEEDED = "is needed"
_KEYS = ("type", "description", "model", "destination", "mode", "key", "schedule", "enabled", "options", "mapping",
         "consent", "limits", "transform")  # fmt: skip
_ORDER = {key: place for place, key in enumerate(_KEYS)}
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


def ordered(data: Mapping[str, Any]) -> dict[str, Any]:
    """A new definition in the order in which people write one.

    >>> ordered({"mapping": {"id": "profile_id"}, "model": "profiles", "key": "id"})
    {'model': 'profiles', 'key': 'id', 'mapping': {'id': 'profile_id'}}
    """
    return dict(sorted(data.items(), key=lambda item: _ORDER.get(item[0], _ORDER["options"])))


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


def table_of(values: Mapping[str, Any], *, secret: bool) -> pl.DataFrame:
    """Names and values as a table; of secrets the names of their variables, empty where they are written otherwise.
    Columns: name, value.
    """
    import polars as pl

    rows = [{"name": name, "value": (variable_of(v) or "") if secret else str(v)} for name, v in values.items()]
    return pl.DataFrame(rows, schema={"name": pl.String, "value": pl.String})


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
    """What is wrong at a field and inside it. That it is needed says its star, and the line beside the button."""
    here = [each for each in problems if f"{each.field}.".startswith(f"{field}.")]
    return [each.what for each in here if not (each.field == field and each.what == NEEDED)]


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


def consents(ws: cdp.Workspace) -> list[str]:
    """Categories that can be asked for."""
    return ws.consent.categories()
