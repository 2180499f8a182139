"""Changes to JSON objects in staged `events`, one statement for all rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cdp_core.engine.json_facets import literal
from cdp_core.engine.json_rules import Where, pointer

if TYPE_CHECKING:
    from cdp_core.engine.staging import Staging

Place = tuple[str, ...]
"""A column (properties or traits) and the keys below it."""


def rename_event(staging: Staging, where: Where, name: str) -> None:
    _raw(staging).execute(f"UPDATE events SET event = {literal(name)} WHERE {where.sql()}")


def drop(staging: Staging, where: Where, place: Place) -> None:
    """Take a key out of every object that has it."""
    change = f"{place[0]} = {_without(place[0], place[1:])}"
    _raw(staging).execute(f"UPDATE events SET {change} WHERE {where.sql()} AND {_there(place)}")


def hash_text(staging: Staging, where: Where, place: Place) -> None:
    """A text or number becomes the SHA-256 of its text; null stays."""
    value = f"json_extract_string({place[0]}, {literal(pointer(place[1:]))})"
    change = f"{place[0]} = {_with(place[0], place[1:], f'CAST(to_json(sha256({value})) AS VARCHAR)')}"
    _raw(staging).execute(f"UPDATE events SET {change} WHERE {where.sql()} AND {_there(place)} AND {value} IS NOT NULL")


def move(staging: Staging, where: Where, place: Place, target: Place) -> None:
    """A value goes to another place and replaces what is there. Nothing happens where a text or a list stands in the
    way.
    """
    value = f"CAST(json_extract({place[0]}, {literal(pointer(place[1:]))}) AS VARCHAR)"
    rest = _without(place[0], place[1:])
    if place[0] == target[0]:
        change = f"{place[0]} = {_with(rest, target[1:], value)}"
    else:
        change = f"{place[0]} = {rest}, {target[0]} = {_with(target[0], target[1:], value)}"
    room = [f"coalesce({_kind(target[: n + 1])}, 'OBJECT') = 'OBJECT'" for n in range(1, len(target) - 1)]
    _raw(staging).execute(f"UPDATE events SET {change} WHERE {' AND '.join([where.sql(), _there(place), *room])}")


def _there(place: Place) -> str:
    """The key is there, and everything around it is an object: a pointer would step into lists too."""
    around = [f"{_kind(place[: n + 1])} = 'OBJECT'" for n in range(1, len(place) - 1)]
    return " AND ".join([f"{_kind(place)} IS NOT NULL", *around])


def _kind(place: Place) -> str:
    return f"json_type({place[0]}, {literal(pointer(place[1:]))})"


def _without(json: str, keys: Sequence[str]) -> str:
    """Nulls in a merge patch take keys out; those that the object itself has stay."""
    patch = "null"
    for key in reversed(keys):
        patch = f"{{{_quoted(key)}:{patch}}}"
    return f"CAST(json_merge_patch({json}, {literal(patch)}) AS VARCHAR)"


def _with(json: str, keys: Sequence[str], value: str) -> str:
    """The object with a value under keys. A merge would lose nulls inside the value, so the text is put together."""
    head, *rest = keys
    if rest:
        inner = f"CAST(json_extract({json}, {literal(pointer((head,)))}) AS VARCHAR)"
        value = _with(f"CASE WHEN {inner} LIKE '{{%' THEN {inner} ELSE '{{}}' END", rest, value)
    base = _without(f"coalesce({json}, '{{}}')", [head])
    key = literal(f"{_quoted(head)}:")
    return f"CASE {base} WHEN '{{}}' THEN '{{' ELSE left({base}, -1) || ',' END || {key} || {value} || '}}'"


def _quoted(key: str) -> str:
    import json

    return json.dumps(key, ensure_ascii=False)


def _raw(staging: Staging) -> Any:
    return staging.con.con
