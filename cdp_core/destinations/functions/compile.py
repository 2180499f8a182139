"""From a function of a mapping to its Ibis expression."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cdp_core.destinations.functions import choice, lists, numbers, spec, texts, times

if TYPE_CHECKING:
    from cdp_core.destinations.functions.scope import Scope

_COMPUTED: dict[type[spec.Function], Callable[[Scope, Any], Any]] = {
    spec.Template: texts.filled,
    spec.Concat: texts.concat,
    spec.Lower: texts.lower,
    spec.Upper: texts.upper,
    spec.Trim: texts.trim,
    spec.Nonblank: texts.nonblank,
    spec.Replace: texts.replaced,
    spec.Extract: texts.extract,
    spec.Substring: texts.substring,
    spec.Hash: texts.hashed,
    spec.Coalesce: choice.coalesce,
    spec.Case: choice.case,
    spec.Map: choice.looked_up,
    spec.Round: numbers.rounded,
    spec.Add: numbers.added,
    spec.Multiply: numbers.multiplied,
    spec.FormatNumber: numbers.formatted,
    spec.FormatDate: times.formatted,
    spec.UnixTime: times.unix,
    spec.Split: lists.split,
    spec.Join: lists.joined,
    spec.Item: lists.item,
    spec.ParseList: lists.parsed,
}


def computed(scope: Scope, function: spec.Function) -> Any:
    """The function over the rows of `scope`. Raises SpecError, with its place, for a column that is not there and for
    values of a type that the function does not take."""
    return _COMPUTED[type(function)](scope.under(function.name()), function)
