"""Which keys a pydantic type accepts, however deep inside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel


def valid_keys(spec: Any, loc: Iterable[str | int] = ()) -> list[str]:
    """The keys that the type at `loc` inside `spec` accepts.

    >>> from cdp_core.engine.spec import EngineSpec
    >>> valid_keys(EngineSpec)[:2]
    ['type', 'lake']
    """
    here = list(alternatives(spec))
    for part in loc:
        here = [inner for one in here for inner in step(one, part)]
    keys = [f.alias or name for one in here if is_model(one) for name, f in one.model_fields.items() if not f.exclude]
    return list(dict.fromkeys(keys))


def alternatives(annotation: Any) -> Iterator[Any]:
    """The members of a union, with Annotated, Optional and type aliases taken off."""
    if hasattr(annotation, "__value__"):
        yield from alternatives(annotation.__value__)
    elif hasattr(annotation, "__metadata__"):
        yield from alternatives(get_args(annotation)[0])
    elif isinstance(annotation, type) or _is_container(annotation):
        yield annotation
    elif get_origin(annotation) is not Literal:
        for member in get_args(annotation):
            yield from alternatives(member)


def step(annotation: Any, part: str | int) -> Iterator[Any]:
    """The types that `part`, a key or an index, may lead to."""
    if is_model(annotation):
        for name, field in annotation.model_fields.items():
            if part in (name, field.alias) or name == "root":
                yield from alternatives(field.annotation)
                return
        if part == annotation.__name__ or _is_tag(annotation, part):
            yield annotation
    elif _is_container(annotation) and get_args(annotation):
        arguments = [a for a in get_args(annotation) if a is not Ellipsis]
        yield from alternatives(arguments[-1])


def _is_tag(model: type[BaseModel], part: str | int) -> bool:
    """Whether `part` is not a key at all but pydantic's name for an alternative of a union."""
    literals = [get_args(f.annotation) for f in model.model_fields.values() if get_origin(f.annotation) is Literal]
    tags = [value for values in literals for value in values]
    return part in tags or not tags


def _is_container(annotation: Any) -> bool:
    origin = get_origin(annotation)
    return isinstance(origin, type) and issubclass(origin, (dict, list, tuple, Mapping, Sequence, set, frozenset))


def is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
