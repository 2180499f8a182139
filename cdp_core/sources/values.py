"""Values of columns: the types they have, as plain text, as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

ORDER = ("null", "boolean", "integer", "number", "date", "datetime", "json", "string")
INTEGER = r"^(?:0|-?[1-9][0-9]{0,14})$"
NUMBER = r"^-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?$"
BOOLEAN = r"^(?:true|false|True|False|TRUE|FALSE)$"


def not_blank(column: pl.Expr) -> pl.Expr:
    """Null in the place of text that is empty or white space."""
    return pl.when(column.str.contains(r"\S")).then(column)


def kind_of(kind: pl.DataType) -> str:
    """The type of a column that came typed.

    >>> kind_of(pl.Float32())
    'number'
    """
    if kind.is_integer():
        return "integer"
    if kind.is_float() or kind.is_decimal():
        return "number"
    if kind.is_nested() or kind == pl.Object:
        return "json"
    named = {pl.Boolean: "boolean", pl.Date: "date", pl.Null: "null"}
    return "datetime" if isinstance(kind, pl.Datetime) else next((v for k, v in named.items() if kind == k), "string")


def plain(frame: pl.DataFrame) -> pl.DataFrame:
    """Columns of types that databases and JSON know: nested values as JSON text, other rare types as text."""
    decimals = [_number(frame[name]) for name, kind in frame.schema.items() if isinstance(kind, pl.Decimal)]
    frame = frame.with_columns(decimals)
    return frame.with_columns(_plain(name, kind) for name, kind in frame.schema.items())


def _number(decimals: pl.Series) -> pl.Series:
    """Decimals as whole numbers or floats when those hold every digit, else as text."""
    for kind in (pl.Int64, pl.Float64):
        numbers = decimals.cast(kind, strict=False)
        if numbers.cast(decimals.dtype, strict=False).eq_missing(decimals).all():
            return numbers
    return decimals.cast(pl.String)


def _plain(name: str, kind: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if kind == pl.String:
        return not_blank(column)
    if isinstance(kind, pl.Struct):
        return pl.when(column.is_not_null()).then(column.struct.json_encode()).alias(name)
    if kind.is_nested():
        wrapped = pl.struct(column.alias("v")).struct.json_encode()
        return pl.when(column.is_not_null()).then(wrapped.str.slice(5).str.head(-1)).alias(name)
    if kind == pl.Binary:
        return column.bin.encode("base64")
    if kind.is_float():
        return pl.when(column.is_finite()).then(column.cast(pl.Float64)).alias(name)
    if isinstance(kind, pl.Datetime):
        naive = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if kind.time_zone else column
        return naive.dt.cast_time_unit("us")
    if kind in (pl.Time, pl.Duration, pl.Object) or isinstance(kind, (pl.Categorical, pl.Enum)):
        return column.cast(pl.String)
    return column


def inferred(texts: pl.DataFrame) -> dict[str, str]:
    """The narrowest type that fits every value of columns of text; a leading zero, an exponent or a 16th
    digit means text.

    >>> inferred(pl.DataFrame({"a": ["1", None], "b": ["007", "8"], "c": ["1.5", "2"], "d": ["true", None]}))
    {'a': 'integer', 'b': 'string', 'c': 'number', 'd': 'boolean'}
    """
    if not texts.width:
        return {}
    checks = {"boolean": BOOLEAN, "integer": INTEGER, "number": NUMBER}
    found = texts.select(
        pl.struct(
            pl.col(c).is_null().all().alias("null"),
            *(pl.col(c).str.contains(p).all().alias(k) for k, p in checks.items()),
        ).alias(c)
        for c in texts.columns
    ).row(0, named=True)
    return {c: next((k for k, fits in found[c].items() if fits), "string") for c in texts.columns}


def wider(first: str, second: str) -> str:
    """The type that holds both.

    >>> wider("integer", "number"), wider("boolean", "integer"), wider("null", "date")
    ('number', 'string', 'date')
    """
    if first == second or second == "null":
        return first
    if first == "null":
        return second
    pair = {first, second}
    return "number" if pair == {"integer", "number"} else "datetime" if pair == {"date", "datetime"} else "string"


def as_text(column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """One spelling of a value, whatever type the column happens to have: an integer never gains `.0`."""
    if kind.is_float():
        whole = (column == column.floor()) & (column.abs() < 2**53)
        return (
            pl.when(whole).then(column.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(column.cast(pl.String))
        )
    if isinstance(kind, pl.Datetime):
        return iso(column)
    return column if kind == pl.String else column.cast(pl.String)


def iso(column: pl.Expr) -> pl.Expr:
    """A UTC time as ISO 8601, with the fraction of a second only where there is one."""
    fraction = pl.when(column.dt.microsecond() != 0).then(column.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"))
    return fraction.otherwise(column.dt.strftime("%Y-%m-%dT%H:%M:%SZ"))


def member(name: str, column: pl.Expr, kind: str, dtype: pl.DataType) -> pl.Expr:
    """`"name":value` of a JSON object; null where the value is null.

    >>> frame = pl.DataFrame({"a": ['say "x"', None]})
    >>> frame.select(member("k", pl.col("a"), "string", pl.String()))["k"].to_list()
    ['"k":"say \\\\"x\\\\""', None]
    """
    text = as_text(column, dtype)
    value: pl.Expr = text
    if kind in ("string", "date", "datetime"):
        encoded = pl.struct(text.alias("v")).struct.json_encode().str.slice(5).str.head(-1)
        value = pl.when(text.is_not_null()).then(encoded)
    elif kind == "boolean":
        value = text.str.to_lowercase()
    return pl.concat_str(pl.lit(quoted(name) + ":"), value).alias(name)


def json_object(members: Mapping[str, pl.Expr] | Sequence[pl.Expr]) -> pl.Expr:
    """A JSON object of the members that are not null; null when none is left."""
    parts = list(members.values()) if isinstance(members, Mapping) else members
    if not parts:
        return pl.lit(None, pl.String)
    inner = pl.concat_str(parts, separator=",", ignore_nulls=True)
    return pl.when(inner != "").then(pl.concat_str(pl.lit("{"), inner, pl.lit("}")))


def quoted(text: str) -> str:
    import json

    return json.dumps(text, ensure_ascii=False)
