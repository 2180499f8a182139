"""Functions of numbers."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cdp_core.destinations.functions import spec
from cdp_core.destinations.functions.read import PLACES, fixed

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.destinations.functions.scope import Scope


def rounded(scope: Scope, function: spec.Round) -> ir.NumericValue:
    value = scope.number(function.round)
    if function.digits is None:
        return fixed(value, 0).try_cast("int64")
    return fixed(value, function.digits).cast("float64")


def added(scope: Scope, function: spec.Add) -> ir.FloatingValue:
    return _calculated(scope, function.add, operator.add)


def multiplied(scope: Scope, function: spec.Multiply) -> ir.FloatingValue:
    return _calculated(scope, function.multiply, operator.mul)


def _calculated(scope: Scope, parts: list[Any], step: Callable[[Any, Any], Any]) -> ir.FloatingValue:
    """In doubles, then without what they add behind the ninth digit: 19.99 · 100 is 1999."""
    numbers = [scope.under(place).number(part).cast("float64") for place, part in enumerate(parts)]
    return fixed(functools.reduce(step, numbers), PLACES).cast("float64")


def formatted(scope: Scope, function: spec.FormatNumber) -> ir.StringValue:
    return fixed(scope.number(function.format_number), function.digits).cast("string")
