"""The functions of mappings described as data: for forms, help and documentation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from cdp_core.destinations.fields import FieldSpec
from cdp_core.destinations.functions.base import Function
from cdp_core.destinations.functions.spec import FUNCTIONS

_KINDS = {
    "template": "template",
    "case": "branches",
    "values": "table",
    "coalesce": "sources",
    "concat": "sources",
    "add": "sources",
    "multiply": "sources",
}


@dataclass(frozen=True)
class Argument:
    """One key of a function. `kind` is what to ask for: source (a column, a constant or a function), sources (a list
    of them), template, branches, table, choice (one of `choices`), integer or text."""

    name: str
    kind: str
    help: str
    required: bool
    default: Any = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Described:
    """A function: its name, its group (text, choice, number, time, list), what it does, what it gives, its arguments
    (the first is the key of its own name) and an example as it stands in cdp.yaml."""

    name: str
    group: str
    help: str
    gives: str
    arguments: tuple[Argument, ...]
    example: dict[str, Any]


def catalogue() -> tuple[Described, ...]:
    """Every function, in the order in which they are documented.

    >>> [argument.name for argument in catalogue()[6].arguments], catalogue()[6].name
    (['replace', 'find', 'pattern', 'with', 'type'], 'replace')
    """
    return tuple(_described(model) for model in FUNCTIONS.values())


def _described(model: type[Function]) -> Described:
    fields = sorted(model.model_fields.items(), key=lambda item: item[0] == "type")
    return Described(
        name=model.name(),
        group=model.group,
        help=" ".join((model.__doc__ or "").split()),
        gives=model.gives,
        arguments=tuple(_argument(field.alias or name, field) for name, field in fields),
        example=model.example,
    )


def _argument(name: str, field: FieldInfo) -> Argument:
    choices = _choices(field.annotation)
    missing = field.default is PydanticUndefined
    return Argument(
        name=name,
        kind="choice" if choices else _kind(name, field),
        help=field.description or "",
        required=missing,
        default=None if missing else field.default,
        choices=choices,
    )


def _choices(annotation: Any) -> tuple[str, ...]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return next((found for inner in get_args(annotation) if (found := _choices(inner))), ())


def _kind(name: str, field: FieldInfo) -> str:
    if name in _KINDS:
        return _KINDS[name]
    plain = set(_types(field.annotation))
    return "source" if FieldSpec in plain else "integer" if int in plain else "text"


def _types(annotation: Any) -> Iterator[Any]:
    yield annotation
    for inner in get_args(annotation):
        yield from _types(inner)
