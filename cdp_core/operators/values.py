"""Text to typed values and back, meaning the same on every engine.

JSON values arrive as text. Engines disagree on which texts are numbers or dates ("NaN", "1_000", "12.5" as an
integer, "2020-02" as a date), so each text must have the written form below before it is cast. What has not is null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ibis.expr.types as ir

TYPES = {
    "string": "string",
    "integer": "int64",
    "number": "float64",
    "boolean": "boolean",
    "date": "date",
    "datetime": "timestamp",
}
EXACT = "decimal(38, 9)"
"""Sums are made in this type: exact, so that the order of the rows does not matter."""

_SPACE = "[ \t\r\n]+"
_NUMBER = "^ *[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,2})? *$"
_INTEGER = "^ *([+-]?[0-9]{1,18})([.]0*)? *$"
_DAY = "^ *([0-9]{4}-[0-9]{2}-[0-9]{2})([ T].*)?$"
_CLOCK = "[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?"
_MOMENT = f"^ *[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}([ T]{_CLOCK}( ?(Z|[+-][0-9]{{2}}:?[0-9]{{2}}))?)? *$"


def typed(text: ir.StringValue, kind: str) -> ir.Value:
    """The value of `kind` that a text means; null when it means none.

    integer: digits, with a fraction of zeros at most. boolean: true, yes, 1, false, no, 0. date: the first ten
    characters of an ISO date or time. datetime: ISO 8601, converted to UTC; without an offset it is UTC.
    """
    return {
        "string": lambda t: t,
        "integer": _integer,
        "number": number,
        "boolean": boolean,
        "date": _day,
        "datetime": moment_of,
    }[kind](text)


def trimmed(text: ir.StringValue) -> ir.StringValue:
    """Without white space at both ends. (Ibis' own strip also takes the letters v and f on Spark.)"""
    return text.re_replace(f"^{_SPACE}|{_SPACE}$", "")


def nonblank(text: ir.StringValue) -> ir.StringValue:
    """Without white space at both ends; null when nothing is left."""
    return trimmed(text).nullif("")


def number(text: ir.StringValue) -> ir.FloatingValue:
    return _if(text.re_search(_NUMBER), text.try_cast("float64"))


def exact(text: ir.StringValue) -> ir.DecimalValue:
    """The number as an exact decimal with nine digits behind the point; null beyond 10**29."""
    return _if(text.re_search(_NUMBER), text.try_cast(EXACT))


def boolean(text: ir.StringValue) -> ir.BooleanValue:
    import ibis

    lower = trimmed(text).lower()
    return ibis.cases((lower.isin(["true", "yes", "1"]), True), (lower.isin(["false", "no", "0"]), False))


def moment_of(text: ir.StringValue) -> ir.TimestampValue:
    return _if(text.re_search(_MOMENT), trimmed(text).try_cast("timestamp('UTC')")).cast("timestamp")


def _integer(text: ir.StringValue) -> ir.IntegerValue:
    return text.re_extract(_INTEGER, 1).nullif("").try_cast("int64")


def _day(text: ir.StringValue) -> ir.DateValue:
    return text.re_extract(_DAY, 1).nullif("").try_cast("date")


def written(value: ir.Value) -> ir.StringValue:
    """A typed value as text that `typed` reads back: numbers in plain digits, times in ISO 8601, lists as JSON."""
    kind = value.type()
    if kind.is_array():
        return _json_list(value)
    if kind.is_floating():
        return _plain_number(value)
    return value.cast("string")


def _plain_number(value: ir.FloatingValue) -> ir.StringValue:
    fixed = value.try_cast(EXACT)
    plain = fixed.cast("string").re_replace("[.]?0+$", "")
    return (fixed.cast("float64") == value).ifelse(plain, value.cast("string"))


def _json_list(value: ir.ArrayValue) -> ir.StringValue:
    import ibis

    def quoted(item: ir.StringValue) -> ir.StringValue:
        for plain, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
            item = item.replace(plain, escaped)
        return ibis.literal('"') + item + '"'

    return ibis.literal("[") + value.map(quoted).join(", ") + "]"


def _if(condition: ir.BooleanValue, value: ir.Value) -> ir.Value:
    import ibis

    return ibis.ifelse(condition, value, ibis.null(value.type()))
