"""Values as another type, meaning the same on every engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cdp_core.errors import SpecError
from cdp_core.operators import values

if TYPE_CHECKING:
    import ibis.expr.types as ir

PLACES = 9
"""Digits behind the point of what is calculated."""
_SCALES = (PLACES, 25)


def read_as(value: Any, kind: str, where: str) -> Any:
    """A column as a value of `kind` (the words of `type` in a mapping); null where it cannot be one.

    A text is read as traits are: ISO dates and times, yes and no, plain digits. A number becomes an integer by
    rounding, halves away from zero. Raises SpecError where no value of the column can be of that kind.
    """
    import ibis

    held = value.type()
    if kind == "string":
        return as_text(value, where)
    if held.is_string():
        return values.typed(value, kind)
    if kind in ("date", "datetime"):
        if not (held.is_date() or held.is_timestamp()):
            raise SpecError(f"a value of type {held} cannot be a {kind}", where=where)
        return value.cast("date") if kind == "date" else as_moment(value, where)
    if held.is_boolean() and kind != "boolean":
        return ibis.cases((value, 1), (~value, 0)).cast(values.TYPES[kind])
    if not (held.is_numeric() or held.is_boolean()):
        raise SpecError(f"a value of type {held} cannot be a {kind}", where=where, hint="use unix_time or join first")
    if kind == "integer":
        return value.cast("int64") if held.is_signed_integer() else fixed(value, 0).try_cast("int64")
    return value.cast("boolean") if kind == "boolean" else value.cast("float64")


def as_text(value: Any, where: str) -> ir.StringValue:
    """A value as text: numbers in plain digits, times in ISO 8601 with Z, null where there is none (NaN).

    Raises SpecError for lists.
    """
    import ibis

    held = value.type()
    if held.is_string():
        return value
    if held.is_boolean():
        return ibis.cases((value, "true"), (~value, "false"))
    if held.is_timestamp():
        return as_moment(value, where).cast("string").replace(" ", "T") + "Z"
    if held.is_floating() or held.is_decimal():
        return _plain(value)
    if held.is_integer() or held.is_date() or held.is_uuid():
        return value.cast("string")
    hint = "put a list together with join" if held.is_array() else "take it apart in a sql model"
    raise SpecError(f"a value of type {held} is no text", where=where, hint=hint)


def as_number(value: Any, where: str) -> ir.NumericValue:
    """A number; a text is read as one, what is none is null. Raises SpecError for other types."""
    held = value.type()
    if held.is_numeric() and not held.is_boolean():
        return value
    if held.is_string():
        return values.number(value)
    raise SpecError(f"a value of type {held} is no number", where=where, hint="add `type: number`")


def as_moment(value: Any, where: str) -> ir.TimestampValue:
    """A time in naive UTC: a day is its midnight, a text ISO 8601. Raises SpecError for other types."""
    held = value.type()
    if held.is_string():
        return values.moment_of(value)
    if held.is_date() or held.is_timestamp():
        return value.cast("timestamp")
    raise SpecError(f"a value of type {held} is no time", where=where, hint="use a date, a time or ISO 8601 text")


def fixed(value: ir.NumericValue, digits: int) -> ir.DecimalValue:
    """A number rounded to `digits` behind the point, halves away from zero, from the digits it is written with.

    Engines turn doubles into decimals in ways of their own, but write them alike.
    """
    return value.cast("string").try_cast(f"decimal(38, {digits})")


def _plain(value: ir.NumericValue) -> ir.StringValue:
    import ibis

    if value.type().is_decimal():
        text = value.cast("string")
        return text.contains(".").ifelse(text.re_replace("[.]?0+$", ""), text)
    written = value.cast("string").lower()
    # Beyond what decimals hold engines differ in how they write an exponent: 1e+30, 1.0E30.
    tidy = written.replace("e+", "e").replace(".0e", "e").replace("e-0", "e-")
    found = tidy.isin(["nan", "inf", "-inf", "infinity", "-infinity"]).ifelse(ibis.null("string"), tidy)
    for scale in reversed(_SCALES):
        exact = fixed(value, scale)
        plain = exact.cast("string").re_replace("[.]?0+$", "")
        found = (exact.cast("float64") == value).fill_null(False).ifelse(plain, found)
    return found
