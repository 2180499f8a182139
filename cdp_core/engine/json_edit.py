"""Changes to JSON objects in rows of events: one expression for all rows, for staged `events` and for any query.

A change says of itself in context.protocols.transformed that it was made, once, and only in rows that it has changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cdp_core.engine.json_facets import literal
from cdp_core.engine.json_rules import Where, pointer

if TYPE_CHECKING:
    from cdp_core.engine.staging import Staging

Place = tuple[str, ...]
"""A column (properties or traits) and the keys below it."""
RECORD = ("protocols", "transformed")


@dataclass(frozen=True, kw_only=True)
class Edit:
    """Which rows are changed, and what their columns become, as SQL over the columns of events."""

    rows: str
    columns: Mapping[str, str]

    def said(self, words: str) -> Edit:
        """The same edit, which says so in the context of the rows it changes."""
        context = self.columns.get("context", "context")
        return Edit(rows=self.rows, columns={**self.columns, "context": _recorded(words, context)})


def edit_staged(staging: Staging, edits: Sequence[Edit]) -> None:
    """Change staged `events`, edit by edit."""
    raw: Any = staging.con.con
    for edit in edits:
        changes = ", ".join(f"{column} = {value}" for column, value in edit.columns.items())
        raw.execute(f"UPDATE events SET {changes} WHERE {edit.rows}")


def edited(relation: str, edits: Sequence[Edit]) -> str:
    """A query over `relation` (a name, or a query in brackets) that gives its rows changed, edit by edit."""
    for edit in edits:
        changes = ", ".join(
            f"CASE WHEN {edit.rows} THEN {value} ELSE {column} END AS {column}"
            for column, value in edit.columns.items()
        )
        relation = f"(SELECT * REPLACE ({changes}) FROM {relation})"
    return f"SELECT * FROM {relation}"


def rename_event(where: Where, name: str) -> Edit:
    return Edit(rows=f"{where.sql()} AND event IS DISTINCT FROM {literal(name)}", columns={"event": literal(name)})


def drop(where: Where, place: Place) -> Edit:
    """Take a key out of every object that has it."""
    return Edit(rows=f"{where.sql()} AND {_there(place)}", columns={place[0]: _without(place[0], place[1:])})


def hash_text(where: Where, place: Place) -> Edit:
    """A text or number becomes the SHA-256 of its text; null stays, and so does what looks like such a hash."""
    value = f"json_extract_string({place[0]}, {literal(pointer(place[1:]))})"
    hashed = f"({_kind(place)} = 'VARCHAR' AND regexp_full_match({value}, '[0-9a-f]{{64}}'))"
    change = _with(place[0], place[1:], f"CAST(to_json(sha256({value})) AS VARCHAR)")
    return Edit(
        rows=f"{where.sql()} AND {_there(place)} AND {value} IS NOT NULL AND NOT {hashed}", columns={place[0]: change}
    )


def move(where: Where, place: Place, target: Place) -> Edit:
    """A value goes to another place and replaces what is there. Nothing happens where a text or a list stands in the
    way, or where the other place is the same.
    """
    value = f"CAST(json_extract({place[0]}, {literal(pointer(place[1:]))}) AS VARCHAR)"
    rest = _without(place[0], place[1:])
    if place[0] == target[0]:
        columns = {place[0]: _with(rest, target[1:], value)}
    else:
        columns = {place[0]: rest, target[0]: _with(target[0], target[1:], value)}
    room = [f"coalesce({_kind(target[: n + 1])}, 'OBJECT') = 'OBJECT'" for n in range(1, len(target) - 1)]
    rows = " AND ".join([where.sql(), _there(place), *room]) if place != target else "false"
    return Edit(rows=rows, columns=columns)


def forget_copy(where: Where, place: Place, *, gone: bool = False) -> Edit:
    """Take a trait out of context.traits, where senders may have put it as well; with `gone` only where the traits
    themselves do not have it any more.
    """
    copy = ("context", *place)
    rows = [where.sql(), "json_type(context) = 'OBJECT'", _there(copy)]
    rows += [f"{_kind(place)} IS NULL"] if gone else []
    return Edit(rows=" AND ".join(rows), columns={"context": _without("context", place)})


def _recorded(words: str, changed: str) -> str:
    """The context, as it is `changed`, with `words` at the end of the record, if they are not in it."""
    context = f"CASE WHEN json_type(context) = 'OBJECT' THEN {changed} ELSE '{{}}' END"
    record = f"CAST(json_extract(context, {literal(pointer(RECORD))}) AS VARCHAR)"
    before = f"CASE WHEN {record} LIKE '[_%' AND {record} <> '[]' THEN left({record}, -1) || ',' ELSE '[' END"
    listed = f"coalesce(json_extract_string(context, {literal('$.' + '.'.join(RECORD) + '[*]')}), [])"
    added = _with(context, RECORD, f"{before} || {literal(_quoted(words))} || ']'")
    return f"CASE WHEN list_contains({listed}, {literal(words)}) THEN {changed} ELSE {added} END"


def _there(place: Place) -> str:
    """The key is there, and everything around it is an object: a pointer would step into lists too."""
    around = [f"{_kind(place[: n + 1])} = 'OBJECT'" for n in range(1, len(place) - 1)]
    return " AND ".join([f"{_kind(place)} IS NOT NULL", *around])


def _kind(place: Place) -> str:
    return f"json_type({place[0]}, {literal(pointer(place[1:]))})"


def _without(text: str, keys: Sequence[str]) -> str:
    """Nulls in a merge patch take keys out; those that the object itself has stay."""
    patch = "null"
    for key in reversed(keys):
        patch = f"{{{_quoted(key)}:{patch}}}"
    return f"CAST(json_merge_patch({text}, {literal(patch)}) AS VARCHAR)"


def _with(text: str, keys: Sequence[str], value: str) -> str:
    """The object with a value under keys. A merge would lose nulls inside the value, so the text is put together."""
    head, *rest = keys
    if rest:
        inner = f"CAST(json_extract({text}, {literal(pointer((head,)))}) AS VARCHAR)"
        value = _with(f"CASE WHEN {inner} LIKE '{{%' THEN {inner} ELSE '{{}}' END", rest, value)
    base = _without(f"coalesce({text}, '{{}}')", [head])
    key = literal(f"{_quoted(head)}:")
    return f"CASE {base} WHEN '{{}}' THEN '{{' ELSE left({base}, -1) || ',' END || {key} || {value} || '}}'"


def _quoted(key: str) -> str:
    return json.dumps(key, ensure_ascii=False)
