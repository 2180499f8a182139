"""Functions of texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cdp_core.destinations.fields import FieldSpec
from cdp_core.destinations.functions import spec, template
from cdp_core.destinations.functions.pattern import portable
from cdp_core.operators import values

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.destinations.functions.scope import Scope

_LOWER = {"Σ": "σ", "İ": "i̇"}
_UPPER = {
    c: c.upper()
    for c in "ßŉǰΐΰևẖẗẘẙẚﬀﬁﬂﬃﬄﬅﬆ"
}  # fmt: skip
"""Letters that engines turn differently: done first, alike for all."""


def filled(scope: Scope, function: spec.Template) -> ir.StringValue:
    import ibis

    made: Any = None
    for part in template.parsed(function.template):
        if isinstance(part, str):
            text: Any = ibis.literal(part)
        else:
            text = scope.text(FieldSpec(column=part.column, type=None))
            if part.default is not None:
                text = values.nonblank(text).isnull().ifelse(part.default, text)
        made = text if made is None else made + text
    return made


def concat(scope: Scope, function: spec.Concat) -> ir.StringValue:
    import ibis

    made: Any = ibis.literal("")
    for place, source in enumerate(function.concat):
        text = scope.under(place).text(source).nullif("")
        made = made + (ibis.literal(function.separator) + text).fill_null("")
    rest = made.substr(len(function.separator)) if function.separator else made
    return rest.nullif("")


def lower(scope: Scope, function: spec.Lower) -> ir.StringValue:
    return _turned(scope.text(function.lower), _LOWER).lower()


def upper(scope: Scope, function: spec.Upper) -> ir.StringValue:
    return _turned(scope.text(function.upper), _UPPER).upper()


def _turned(text: ir.StringValue, letters: dict[str, str]) -> ir.StringValue:
    for letter, turned in letters.items():
        text = text.replace(letter, turned)
    return text


def trim(scope: Scope, function: spec.Trim) -> ir.StringValue:
    return values.trimmed(scope.text(function.trim))


def nonblank(scope: Scope, function: spec.Nonblank) -> ir.StringValue:
    return values.nonblank(scope.text(function.nonblank))


def replaced(scope: Scope, function: spec.Replace) -> ir.StringValue:
    text = scope.text(function.replace)
    if function.pattern is not None:
        return text.re_replace(portable(function.pattern), function.with_)
    return text.replace(function.find, function.with_)


def extract(scope: Scope, function: spec.Extract) -> ir.StringValue:
    pattern = portable(function.pattern)
    return scope.text(function.extract).re_extract(f"({pattern})", 2 if _has_group(pattern) else 1).nullif("")


def _has_group(pattern: str) -> bool:
    import re

    return re.compile(pattern.replace(r"\z", r"\Z")).groups > 0


def substring(scope: Scope, function: spec.Substring) -> ir.StringValue:
    return scope.text(function.substring).substr(function.start - 1, function.length)


def hashed(scope: Scope, function: spec.Hash) -> ir.StringValue:
    return scope.text(function.hash).nullif("").hexdigest(function.with_)
