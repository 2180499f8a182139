"""Tables of BigQuery: column types, what fits into them, and rows as lines of JSON.

Rule: "Data types", "Schema and flexible column names" and "Loading JSON data" of BigQuery's documentation.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cdp_core.errors import DestinationError

if TYPE_CHECKING:
    import polars as pl

TYPES = {
    "string": "STRING",
    "int64": "INT64",
    "float64": "FLOAT64",
    "boolean": "BOOL",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "array<string>": "STRING",
}
_LEGACY = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}
_CASTS = {
    "STRING": {"STRING", "INT64", "FLOAT64", "NUMERIC", "BIGNUMERIC", "BOOL", "DATE", "DATETIME", "TIMESTAMP"},
    "INT64": {"INT64", "STRING", "FLOAT64", "NUMERIC", "BIGNUMERIC", "BOOL"},
    "FLOAT64": {"FLOAT64", "STRING", "INT64", "NUMERIC", "BIGNUMERIC"},
    "NUMERIC": {"NUMERIC", "BIGNUMERIC", "STRING", "INT64", "FLOAT64"},
    "BIGNUMERIC": {"BIGNUMERIC", "NUMERIC", "STRING", "INT64", "FLOAT64"},
    "BOOL": {"BOOL", "STRING", "INT64"},
    "DATE": {"DATE", "STRING", "DATETIME", "TIMESTAMP"},
    "TIMESTAMP": {"TIMESTAMP", "STRING", "DATE", "DATETIME"},
}
LONGEST_NAME = 300
_NOT_IN_NAMES = re.compile(r"""[!"$()*,./;?@\[\\\]^`{}~\x00-\x1f]""")
_RESERVED = (
    "_TABLE_", "_FILE_", "_PARTITION", "_ROW_TIMESTAMP", "__ROOT__", "_COLIDENTIFIER", "_CHANGE_SEQUENCE_NUMBER",
    "_CHANGE_TYPE", "_CHANGE_TIMESTAMP",
)  # fmt: skip


@dataclass(frozen=True)
class Column:
    """`type` is GoogleSQL's name; `longest` counts characters (bytes for BYTES), None where there is no limit."""

    name: str
    type: str
    repeated: bool = False
    required: bool = False
    longest: int | None = None
    filled: bool = False


def column(field: Mapping[str, Any]) -> Column:
    """From a TableFieldSchema.

    >>> column({"name": "n", "type": "INTEGER", "mode": "REQUIRED"})
    Column(name='n', type='INT64', repeated=False, required=True, longest=None, filled=False)
    """
    kind, mode = str(field.get("type", "")).upper(), str(field.get("mode") or "").upper()
    longest = field.get("maxLength")
    return Column(
        name=str(field.get("name", "")),
        type=_LEGACY.get(kind, kind),
        repeated=mode == "REPEATED",
        required=mode == "REQUIRED",
        longest=int(longest) if longest else None,
        filled=bool(field.get("defaultValueExpression")),
    )


def schema_field(name: str, kind: str, *, required: bool = False) -> dict[str, str]:
    """A TableFieldSchema for a field of a sync.

    >>> schema_field("total", "decimal(12, 2)")
    {'name': 'total', 'type': 'NUMERIC', 'mode': 'NULLABLE', 'precision': '12', 'scale': '2'}
    >>> schema_field("tags", "array<string>")["mode"]
    'REPEATED'
    """
    mode = "REPEATED" if kind.startswith("array") else "REQUIRED" if required else "NULLABLE"
    if not kind.startswith("decimal"):
        return {"name": name, "type": TYPES[kind], "mode": mode}
    precision, scale = (int(number) for number in re.findall(r"\d+", kind))
    # A precision below the scale is not taken.
    size = {"precision": str(max(precision, scale, 1)), "scale": str(scale)}
    return {"name": name, "type": _numeric(precision, scale), "mode": mode, **size}


def _numeric(precision: int, scale: int) -> str:
    return "NUMERIC" if scale <= 9 and precision - scale <= 29 else "BIGNUMERIC"


def check_name(name: str) -> None:
    """Raises ValueError for a name that no column can have."""
    if not name or len(name) > LONGEST_NAME or _NOT_IN_NAMES.search(name):
        raise ValueError(
            f'1 to {LONGEST_NAME} characters are wanted, and none of ! " $ ( ) * , . / ; ? @ [ \\ ] ^ ` {{ }} ~'
        )
    if name.upper().startswith(_RESERVED):
        raise ValueError("names that start so are BigQuery's own")


def value(expression: str, kind: str, there: Column, *, where: str) -> str:
    """The staged value as the column takes it. Raises DestinationError where no value can be."""
    made = schema_field("", kind)
    takes = {"STRING"} if there.repeated else _CASTS[made["type"]]
    if there.repeated is not (made["mode"] == "REPEATED") or there.type not in takes:
        held = f"ARRAY<{there.type}>" if there.repeated else there.type
        raise DestinationError(
            f"the column {there.name} is {held} and takes no {kind}", where=where, hint="map a field of its type"
        )
    return expression if there.type == made["type"] else f"CAST({expression} AS {there.type})"


def broken_lists(rows: pl.DataFrame) -> dict[str, pl.Expr]:
    """An ARRAY holds no null: from the reason to the rows with a list that does."""
    import polars as pl
    import polars.selectors as cs

    has_null = pl.element().is_null()
    lists = rows.select(cs.list()).columns
    return {f"a list holds null, column {name}": pl.col(name).list.eval(has_null).list.any() for name in lists}


def lines(rows: pl.DataFrame) -> bytes:
    r"""Rows as newline-delimited JSON under the names c0, c1, …: times in UTC, whole numbers and decimals as text.

    >>> import polars as pl
    >>> lines(pl.DataFrame({"id": ["a"], "n": [2**60], "x": [float("nan")], "tags": [["b"]]}))
    b'{"c0":"a","c1":"1152921504606846976","c2":"NaN","c3":["b"]}\n'
    """
    import polars as pl
    import polars.selectors as cs

    made = rows.with_columns(
        *_numbers(rows),
        cs.date().dt.strftime("%Y-%m-%d"),
        cs.datetime().dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"),
        cs.list().fill_null(pl.lit([], dtype=pl.List(pl.String))),
    )
    text = io.BytesIO()
    made.rename({name: f"c{n}" for n, name in enumerate(rows.columns)}).write_ndjson(text)
    return text.getvalue()


def _numbers(rows: pl.DataFrame) -> Iterable[pl.Expr]:
    """JSON has neither large whole numbers nor infinity: they are written as text."""
    import polars as pl
    import polars.selectors as cs

    yield (cs.integer() | cs.decimal()).cast(pl.String)
    for name in rows.select(cs.float()).columns:
        if rows[name].is_finite().fill_null(True).all():
            continue
        number = pl.col(name)
        endless = pl.when(number > 0).then(pl.lit("Infinity")).otherwise(pl.lit("-Infinity"))
        text = pl.when(number.is_nan()).then(pl.lit("NaN")).when(number.is_infinite()).then(endless)
        yield text.otherwise(number.cast(pl.String)).alias(name)
