"""Operators, windows and values in plain English."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from cdp_core.operators.spec import Between, Operators, Scalar, Where, as_operators

_PHRASES = {
    "equals": "is {}",
    "not_equals": "is not {}",
    "greater_than": "is more than {}",
    "at_least": "is at least {}",
    "less_than": "is less than {}",
    "at_most": "is at most {}",
    "contains": "contains {}",
    "not_contains": "does not contain {}",
    "starts_with": "starts with {}",
    "ends_with": "ends with {}",
    "one_of": "is one of {}",
    "not_one_of": "is none of {}",
    "before": "is before {}",
    "after": "is after {}",
    "within_last": "is within the last {}",
    "not_within_last": "is not within the last {}",
    "within_next": "is within the next {}",
}
_UNITS = {"h": "hour", "d": "day", "w": "week"}


def operators_words(operators: Operators) -> str:
    """All operators in one phrase.

    >>> operators_words(Operators(at_least=5, less_than=10))
    'is at least 5 and is less than 10'
    """
    return " and ".join(_phrase(name, operand) for name, operand in operators.given().items())


def _phrase(name: str, operand: Any) -> str:
    if name == "exists":
        return "is known" if operand else "is not known"
    if name in ("within_last", "not_within_last", "within_next"):
        return _PHRASES[name].format(span_words(operand))
    return _PHRASES[name].format(value_words(operand))


def value_words(value: Scalar | list[Scalar]) -> str:
    if isinstance(value, list):
        return ", ".join(value_words(v) for v in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="minutes")
    if isinstance(value, date):
        return value.isoformat()
    return f"{value:,}" if isinstance(value, int | float) else f"“{value}”"


def span_words(text: str) -> str:
    """A length of time in words.

    >>> span_words("1d"), span_words("6w")
    ('day', '6 weeks')
    """
    return _UNITS[text[-1]] if text[:-1] == "1" else _amount(text)


def _amount(text: str) -> str:
    amount, unit = int(text[:-1]), _UNITS[text[-1]]
    return f"1 {unit}" if amount == 1 else f"{amount} {unit}s"


def window_words(window: str | Between | None) -> str:
    """A window as the end of a sentence, with its leading space; empty for none."""
    if window is None:
        return ""
    if isinstance(window, Between):
        older, newer = window.between
        return f" between {_amount(older)} and {_amount(newer)} ago"
    return f" in the last {span_words(window)}"


def where_words(where: Where) -> str:
    """Conditions on properties as the end of a sentence, with its leading space; empty for none."""
    if not where:
        return ""
    return " where " + " and ".join(f"{name} {operators_words(as_operators(w))}" for name, w in where.items())
