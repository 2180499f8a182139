"""Tables of Snowflake: names, column types, and a batch as one JSON text that a statement takes apart.

Rule: "Identifier requirements", "Data types" and "FLATTEN" of Snowflake's documentation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cdp_core.destinations.databases.texts import lists_as_json, times_as_text
from cdp_core.errors import DestinationError

if TYPE_CHECKING:
    import polars as pl

LONGEST_NAME = 255
LARGEST_SCALE = 37
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
_TYPES = {
    "string": "VARCHAR",
    "int64": "NUMBER(38, 0)",
    "float64": "FLOAT",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP_NTZ(6)",
    "array<string>": "ARRAY",
}
_TIMES = {"TIMESTAMP_NTZ", "TIMESTAMP_LTZ", "TIMESTAMP_TZ", "DATETIME"}
_TEXTS = {"TEXT", "VARCHAR"}
_NUMBERS = {"NUMBER", "FLOAT"}
_TAKEN_BY = {
    "string": _TEXTS | _NUMBERS | {"BOOLEAN", "DATE"} | _TIMES,
    "int64": _TEXTS | _NUMBERS,
    "float64": _TEXTS | _NUMBERS,
    "decimal": _TEXTS | _NUMBERS,
    "boolean": _TEXTS | {"BOOLEAN"},
    "date": _TEXTS | {"DATE"} | _TIMES,
    "timestamp": _TEXTS | {"DATE"} | _TIMES,
    "array<string>": _TEXTS | {"ARRAY"},
}
COLUMNS = """
    SELECT COLUMN_NAME, DATA_TYPE, IS_NULLABLE, CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE,
           COLUMN_DEFAULT, IS_IDENTITY
    FROM {database}.INFORMATION_SCHEMA.COLUMNS
    WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?
    ORDER BY ORDINAL_POSITION"""


@dataclass(frozen=True)
class Column:
    """`longest` counts characters; `size` is (precision, scale) of a NUMBER."""

    name: str
    type: str
    required: bool = False
    longest: int | None = None
    size: tuple[int, int] | None = None
    filled: bool = False


def column(row: Sequence[Any]) -> Column:
    """From a row that COLUMNS finds.

    >>> column(["EMAIL", "TEXT", "YES", "50", None, None, None, "NO"]).longest
    50
    """
    name, kind, nullable, longest, precision, scale, default, identity = row
    return Column(
        name=str(name),
        type=str(kind).upper(),
        required=nullable == "NO",
        longest=int(longest) if longest else None,
        size=(int(precision), int(scale or 0)) if precision else None,
        filled=default is not None or identity == "YES",
    )


def folded(name: str, *, exact: bool) -> str:
    """The name as Snowflake would read it without quotes: in upper case, unless it needs quotes anyway.

    >>> folded("email", exact=False), folded("e mail", exact=False), folded("email", exact=True)
    ('EMAIL', 'e mail', 'email')
    """
    return name if exact or not _PLAIN.fullmatch(name) else name.upper()


def quoted(*parts: str) -> str:
    """
    >>> quoted("SHOP", 'a"b')
    '"SHOP"."a""b"'
    """
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def type_of(kind: str) -> str:
    """The column type of a field's type.

    >>> type_of("decimal(12, 2)"), type_of("timestamp")
    ('NUMBER(12, 2)', 'TIMESTAMP_NTZ(6)')
    """
    if not kind.startswith("decimal"):
        return _TYPES[kind]
    precision, scale = (int(number) for number in re.findall(r"\d+", kind))
    if scale > LARGEST_SCALE:
        raise DestinationError(f"{kind} has more than {LARGEST_SCALE} digits behind the point", where="snowflake")
    return f"NUMBER({precision}, {scale})"


def staged(number: int, kind: str, there: Column, *, where: str) -> str:
    """A value of a row, as the column takes it: all of them travel as text.

    Raises DestinationError where the column can take none of that type.
    """
    if there.type not in _TAKEN_BY["decimal" if kind.startswith("decimal") else kind]:
        raise DestinationError(
            f"the column {there.name} is {there.type} and takes no {kind}", where=where, hint="map a field of its type"
        )
    text = f"r.value:c{number}::VARCHAR"
    if there.type in _TEXTS:
        return text
    if there.type == "ARRAY":
        return f"PARSE_JSON({text})::ARRAY"
    if there.type == "NUMBER":
        precision, scale = there.size or (38, 0)
        return f"{text}::NUMBER({precision}, {scale})"
    if kind == "timestamp":
        time = f"TO_TIMESTAMP_NTZ({text}, 'YYYY-MM-DD HH24:MI:SS.FF6')"
        return time if there.type == "TIMESTAMP_NTZ" else f"{time}::{there.type}"
    if kind == "date":
        day = f"TO_DATE({text}, 'YYYY-MM-DD')"
        return day if there.type == "DATE" else f"{day}::{there.type}"
    return f"{text}::{there.type}"


def source(values: Mapping[int, str], key: int) -> str:
    """The staged rows as a query in brackets; `k` is the key as text. The rows are the statement's one binding."""
    chosen = ", ".join(f"{value} AS c{number}" for number, value in values.items())
    return f"(SELECT {chosen}, r.value:c{key}::VARCHAR AS k FROM TABLE(FLATTEN(INPUT => PARSE_JSON(?))) AS r)"


def as_json(rows: pl.DataFrame) -> str:
    """Rows as one JSON array of objects with c0, c1, …; every value is a text or null.

    >>> import polars as pl
    >>> as_json(pl.DataFrame({"id": ["a"], "n": [2], "yes": [True], "tags": [["b", None]]}))
    '[{"c0":"a","c1":"2","c2":"true","c3":"[\\\\"b\\\\",null]"}]'
    """
    import polars as pl

    texts = rows.with_columns(*lists_as_json(rows), *times_as_text(rows)).select(pl.all().cast(pl.String))
    return texts.rename({name: f"c{n}" for n, name in enumerate(rows.columns)}).write_json()
