"""Functions that choose one of several values."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cdp_core.destinations.fields import FieldSpec
from cdp_core.destinations.functions import spec
from cdp_core.destinations.functions.scope import constant
from cdp_core.errors import SpecError
from cdp_core.operators import check_operators, kind_of, matches

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.destinations.functions.scope import Scope

_NEVER = datetime(1970, 1, 1)
"""Operators that need to know the time are refused in mappings."""


def coalesce(scope: Scope, function: spec.Coalesce) -> ir.Value:
    import ibis

    parts = [scope.under(place).value(source) for place, source in enumerate(function.coalesce)]
    return ibis.coalesce(*_alike(parts, scope.where))


def case(scope: Scope, function: spec.Case) -> ir.Value:
    import ibis

    inner = [scope.under(place) for place in range(len(function.case))]
    then = [at.under("then").value(branch.then) for at, branch in zip(inner, function.case, strict=True)]
    when = [_holds(at.under("when"), branch.when) for at, branch in zip(inner, function.case, strict=True)]
    *then, otherwise = _alike([*then, _else(scope, function.else_)], scope.where)
    return ibis.cases(*zip(when, then, strict=True), else_=otherwise)


def looked_up(scope: Scope, function: spec.Map) -> ir.Value:
    import ibis

    key = scope.text(function.map)
    found = [constant(value) for value in function.values.values()]
    *found, otherwise = _alike([*found, _else(scope, function.else_)], scope.where)
    tests = [key == ibis.literal(name) for name in function.values]
    return ibis.cases(*zip(tests, found, strict=True), else_=otherwise)


def _else(scope: Scope, source: Any) -> Any:
    return constant(None) if source is None else scope.value(source)


def _holds(scope: Scope, when: Any) -> ir.BooleanValue:
    if isinstance(when, spec.WhenAll):
        return functools.reduce(operator.and_, [_holds(scope, one) for one in when.and_])
    if isinstance(when, spec.WhenAny):
        return functools.reduce(operator.or_, [_holds(scope, one) for one in when.or_])
    if isinstance(when, spec.WhenNot):
        return ~_holds(scope, when.not_)
    source = when.trait
    value = scope.value(source)
    own = isinstance(source, FieldSpec) and source.type is None
    in_json = own and source.path is not None and source.column not in scope.rows.columns
    named = f"{source.column!r}" if isinstance(source, FieldSpec) and source.column else "the value"
    kind = "property" if in_json else kind_of(value.type())
    check_operators(when.operators(), kind, named, where=scope.where)
    return matches(value, when.operators(), now=_NEVER, is_property=in_json)


def _alike(found: Sequence[Any], where: str) -> list[Any]:
    """Values in the one type that holds all of them; a null takes any. Raises SpecError when there is none."""
    import ibis

    nulls = [_is_null(value) for value in found]
    kinds = {_family(value.type()): value.type() for value, null in zip(found, nulls, strict=True) if not null}
    if not kinds:
        return list(found)
    if set(kinds) <= {"integer", "number"}:
        target: Any = "int64" if set(kinds) == {"integer"} else "float64"
    elif set(kinds) <= {"date", "timestamp"}:
        target = "date" if set(kinds) == {"date"} else "timestamp"
    elif len(kinds) == 1:
        target = next(iter(kinds.values()))
    else:
        text = "add `type: string` to the others, or to all" if "text" in kinds else "add `type` to one of them"
        raise SpecError(f"its values are of several types: {', '.join(sorted(kinds))}", where=where, hint=text)
    return [ibis.null(target) if null else value.cast(target) for value, null in zip(found, nulls, strict=True)]


def _is_null(value: Any) -> bool:
    import ibis.expr.operations as ops

    node = value.op()
    return isinstance(node, ops.Literal) and node.value is None


def _family(kind: Any) -> str:
    tests = (
        ("text", kind.is_string()),
        ("boolean", kind.is_boolean()),
        ("integer", kind.is_integer()),
        ("number", kind.is_numeric()),
        ("date", kind.is_date()),
        ("timestamp", kind.is_timestamp()),
    )
    return next((name for name, holds in tests if holds), str(kind))
