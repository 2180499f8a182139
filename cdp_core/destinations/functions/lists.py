"""Functions of lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cdp_core.destinations.functions import spec
from cdp_core.operators import values

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.destinations.functions.scope import Scope


def split(scope: Scope, function: spec.Split) -> ir.ArrayValue:
    return scope.engine.split(scope.text(function.split), function.separator)


def parsed(scope: Scope, function: spec.ParseList) -> ir.ArrayValue:
    import ibis

    text = scope.text(function.parse_list)
    is_list = scope.engine.json_valid(text) & values.trimmed(text).startswith("[")
    return scope.engine.json_list(is_list.fill_null(False).ifelse(text, ibis.null("string")))


def joined(scope: Scope, function: spec.Join) -> ir.StringValue:
    items = scope.items(function.join)
    given = items.filter(lambda item: item.notnull())
    return (given.length() == 0).ifelse("", given.join(function.separator))


def item(scope: Scope, function: spec.Item) -> ir.StringValue:
    import ibis

    items = scope.items(function.item)
    size = items.length()
    there = size >= abs(function.at)
    place = function.at - 1 if function.at > 0 else size + function.at
    return there.ifelse(items[place], ibis.null("string"))
