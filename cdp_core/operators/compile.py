"""Operators as Ibis expressions. Every operand becomes a typed literal: nothing a user wrote reaches SQL as text."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from cdp_core.operators import values
from cdp_core.operators.kinds import kind_of
from cdp_core.operators.spec import Operators, moment, span

if TYPE_CHECKING:
    import ibis.expr.types as ir

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "equals": operator.eq,
    "greater_than": operator.gt,
    "at_least": operator.ge,
    "less_than": operator.lt,
    "at_most": operator.le,
    "before": operator.lt,
    "after": operator.gt,
}


def matches(value: ir.Value, operators: Operators, *, now: datetime, is_property: bool = False) -> ir.BooleanValue:
    """Whether all operators hold; true or false, never null. `now` is naive UTC.

    A missing value fails every operator but the negated ones (not_equals, not_contains, not_one_of,
    not_within_last, exists: false), which it passes. Texts compare by code point, case counts. `within_last: 30d` is
    later than 30 days before now and not later than now, `within_next` later than now and not later than then.
    A property (`is_property`) is text out of JSON: a number as operand makes it a number, a date makes it a time.
    The operators must fit the value's type (`check_operators`).
    """
    kind = "property" if is_property else kind_of(value.type())
    found = [_one(value, kind, name, operand, now) for name, operand in operators.given().items()]
    return functools.reduce(operator.and_, found)


def _one(value: ir.Value, kind: str, name: str, operand: Any, now: datetime) -> ir.BooleanValue:
    if name == "exists":
        return value.notnull() if operand else value.isnull()
    if name.startswith("not_"):
        return ~_one(value, kind, name.removeprefix("not_"), operand, now)
    return _positive(value, kind, name, operand, now).fill_null(False)


def _positive(value: ir.Value, kind: str, name: str, operand: Any, now: datetime) -> ir.BooleanValue:
    import ibis

    if name == "one_of":
        return functools.reduce(
            operator.or_, [_positive(value, kind, "equals", o, now).fill_null(False) for o in operand]
        )
    if name in ("contains", "starts_with", "ends_with"):
        text = ibis.literal(operand, "string")
        method = {"contains": "contains", "starts_with": "startswith", "ends_with": "endswith"}[name]
        return getattr(value, method)(text)
    if name in ("within_last", "within_next"):
        time = _time(value, kind)
        start, end = (now - span(operand), now) if name == "within_last" else (now, now + span(operand))
        return (time > time_literal(start)) & (time <= time_literal(end))
    if name in ("before", "after"):
        return _COMPARE[name](_time(value, kind), time_literal(moment(operand)))
    left, right = _pair(value, kind, operand)
    return _COMPARE[name](left, right)


def _pair(value: ir.Value, kind: str, operand: Any) -> tuple[ir.Value, ir.Value]:
    """Value and operand in the type in which they compare."""
    import ibis

    if kind in ("date", "datetime"):
        return _time(value, kind), time_literal(moment(operand))
    if kind == "integer" and isinstance(operand, int):
        return value, ibis.literal(operand, "int64")
    if kind in ("integer", "number"):
        return value.cast("float64"), ibis.literal(float(operand), "float64")
    if kind == "property":
        return _property_pair(value, operand)
    return value, ibis.literal(operand)


def _property_pair(text: ir.StringValue, operand: Any) -> tuple[ir.Value, ir.Value]:
    import ibis

    if isinstance(operand, bool):
        return values.boolean(text), ibis.literal(operand)
    if isinstance(operand, int | float):
        return values.number(text), ibis.literal(float(operand), "float64")
    if isinstance(operand, date):
        return values.moment_of(text), time_literal(moment(operand))
    return text, ibis.literal(operand, "string")


def _time(value: ir.Value, kind: str) -> ir.TimestampValue:
    return values.moment_of(value) if kind == "property" else value.cast("timestamp")


def time_literal(value: datetime) -> ir.TimestampScalar:
    import ibis

    return ibis.literal(value, "timestamp")
