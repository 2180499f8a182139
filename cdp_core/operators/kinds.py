"""Which operator fits which kind of value."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from cdp_core.errors import SpecError
from cdp_core.operators.spec import OPERATORS, Operators, moment

if TYPE_CHECKING:
    import ibis.expr.datatypes as dt

_SAME = ("equals", "not_equals", "one_of", "not_one_of")
_ORDER = ("greater_than", "at_least", "less_than", "at_most")
_TEXT = ("contains", "not_contains", "starts_with", "ends_with")
_TIME = ("before", "after", "within_last", "not_within_last", "within_next")

KINDS: dict[str, tuple[str, ...]] = {
    "string": (*_SAME, *_TEXT, "exists"),
    "integer": (*_SAME, *_ORDER, "exists"),
    "number": (*_SAME, *_ORDER, "exists"),
    "boolean": ("equals", "not_equals", "exists"),
    "date": (*_SAME, *_ORDER, *_TIME, "exists"),
    "datetime": (*_SAME, *_ORDER, *_TIME, "exists"),
    "list": ("contains", "not_contains", "exists"),
    "property": OPERATORS,
    "unknown": OPERATORS,
}
"""Kind of value → operators that fit. A `property` is a value out of an event, whose kind its operand decides; the
kind of a SQL trait is `unknown` until its query has run."""

_EXAMPLE = {
    "string": "text (numbers in quotes)",
    "integer": "a number",
    "number": "a number",
    "boolean": "true or false",
    "date": "a date such as 1998-07-01",
    "datetime": "a date such as 1998-07-01",
}


def kind_of(dtype: dt.DataType) -> str:
    """The kind of a column. Raises SpecError for types that no condition can read.

    >>> import ibis.expr.datatypes as dt
    >>> kind_of(dt.float64)
    'number'
    """
    tests = (
        ("string", dtype.is_string()),
        ("integer", dtype.is_integer()),
        ("number", dtype.is_floating() or dtype.is_decimal()),
        ("boolean", dtype.is_boolean()),
        ("date", dtype.is_date()),
        ("datetime", dtype.is_timestamp()),
        ("list", dtype.is_array()),
    )
    for kind, holds in tests:
        if holds:
            return kind
    raise SpecError(f"columns of type {dtype} cannot be used in conditions", hint="cast it in the query")


def check_operators(operators: Operators, kind: str, what: str, *, where: str | None = None) -> None:
    """Raise SpecError when an operator or its operand does not fit values of `kind`.

    >>> check_operators(Operators(starts_with="x"), "boolean", "trait 'member'")
    Traceback (most recent call last):
        ...
    cdp_core.errors.SpecError: 'starts_with' does not fit trait 'member', a boolean (valid: equals, not_equals, exists)
    """
    for name, operand in operators.given().items():
        if name not in KINDS[kind]:
            raise SpecError(f"{name!r} does not fit {what}, {article(kind)}", where=where, choices=KINDS[kind])
        operands = operand if isinstance(operand, list) else [operand]
        if kind in _EXAMPLE and name in (*_SAME, *_ORDER) and not all(_fits(o, kind) for o in operands):
            raise SpecError(f"{name!r} of {what}, {article(kind)}, needs {_EXAMPLE[kind]}", where=where)


def _fits(operand: Any, kind: str) -> bool:
    if kind == "boolean":
        return isinstance(operand, bool)
    if kind == "string":
        return isinstance(operand, str)
    if kind in ("integer", "number"):
        return isinstance(operand, int | float) and not isinstance(operand, bool)
    if isinstance(operand, str):
        try:
            moment(operand)
        except ValueError:
            return False
    return isinstance(operand, date | str)


def article(kind: str) -> str:
    return {"string": "a text", "integer": "an integer"}.get(kind, f"a {kind}")
