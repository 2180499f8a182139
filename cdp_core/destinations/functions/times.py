"""Functions of dates and times."""

from __future__ import annotations

import calendar
import functools
import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from cdp_core.destinations.functions import dates, spec

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.destinations.functions.scope import Scope

_NUMBERS: dict[str, tuple[Callable[[Any], Any], int]] = {
    "Y": (lambda at: at.year(), 4),
    "y": (lambda at: at.year() % 100, 2),
    "m": (lambda at: at.month(), 2),
    "d": (lambda at: at.day(), 2),
    "j": (lambda at: at.day_of_year(), 3),
    "H": (lambda at: at.hour(), 2),
    "I": (lambda at: (at.hour() + 11) % 12 + 1, 2),
    "M": (lambda at: at.minute(), 2),
    "S": (lambda at: at.second(), 2),
}
"""Sign → the number it stands for, and how many digits that has at least."""


def formatted(scope: Scope, function: spec.FormatDate) -> ir.StringValue:
    at = scope.moment(function.format_date)
    # A day is the same day everywhere: only times have a zone.
    is_day = scope.value(function.format_date).type().is_date()
    local = scope.engine.local_time(at, function.zone) if function.zone and not is_day else at
    return functools.reduce(operator.add, [_part(part, local, at) for part in dates.parsed(function.as_)])


def _part(part: str, local: Any, utc: Any) -> Any:
    import ibis

    sign = part.removeprefix("%").removeprefix("-")
    if not part.startswith("%") or sign == "%":
        # Bound to the time, so that there is no text where there is no time.
        return local.isnull().ifelse(ibis.null("string"), "%" if part == "%%" else part)
    if sign in _NUMBERS:
        number, digits = _NUMBERS[sign]
        text = number(local).cast("int64").cast("string")
        return text if part.startswith("%-") else _padded(text, digits)
    if sign == "z":
        return _offset((_seconds(local) - _seconds(utc)) // 60)
    if sign == "p":
        return ibis.cases((local.hour() < 12, "AM"), (local.hour() >= 12, "PM"))
    names: dict[str, tuple[Any, Sequence[str]]] = {
        "B": (local.month() - 1, list(calendar.month_name)[1:]),
        "b": (local.month() - 1, list(calendar.month_abbr)[1:]),
        "A": (local.day_of_week.index(), list(calendar.day_name)),
        "a": (local.day_of_week.index(), list(calendar.day_abbr)),
    }
    index, words = names[sign]
    return ibis.cases(*[(index == place, word) for place, word in enumerate(words)])


def _padded(text: Any, digits: int) -> Any:
    import ibis

    zeros = ibis.literal("0" * digits) + text
    return (text.length() < digits).ifelse(zeros.right(digits), text)


def _offset(minutes: Any) -> Any:
    away = minutes.abs()
    hours, rest = (away // 60).cast("int64").cast("string"), (away % 60).cast("int64").cast("string")
    return (minutes < 0).ifelse("-", "+") + _padded(hours, 2) + _padded(rest, 2)


def unix(scope: Scope, function: spec.UnixTime) -> ir.IntegerValue:
    at = scope.moment(function.unix_time)
    if function.unit == "milliseconds":
        return _seconds(at) * 1000 + at.millisecond().cast("int64")
    return _seconds(at)


def _seconds(at: Any) -> Any:
    # Cut first: engines round or cut fractions of seconds, and before 1970 not in the same direction.
    return at.truncate("s").epoch_seconds().cast("int64")
