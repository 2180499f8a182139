"""Functions of a mapping as they are written in cdp.yaml: one key says which, its value what it is of, and its
arguments stand beside it, as in {hash: email, with: md5}."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import BaseModel, BeforeValidator, Discriminator, Tag

from cdp_core.destinations.fields import FieldSpec
from cdp_core.destinations.functions.base import Function
from cdp_core.destinations.functions.choice_spec import (
    Case,
    CaseBranch,
    Coalesce,
    Map,
    WhenAll,
    WhenAny,
    WhenNot,
    WhenTrait,
)
from cdp_core.destinations.functions.list_spec import Item, Join, ParseList, Split
from cdp_core.destinations.functions.number_spec import Add, FormatDate, FormatNumber, Multiply, Round, UnixTime
from cdp_core.destinations.functions.text_spec import (
    Concat,
    Extract,
    Hash,
    Lower,
    Nonblank,
    Replace,
    Substring,
    Template,
    Trim,
    Upper,
)
from cdp_core.operators.spec import unknown_operator

_DEEPEST = 20

_ALL: tuple[type[Function], ...] = (
    Template, Concat, Lower, Upper, Trim, Nonblank, Replace, Extract, Substring, Hash,
    Coalesce, Case, Map,
    Round, Add, Multiply, FormatNumber,
    FormatDate, UnixTime,
    Split, Join, Item, ParseList,
)  # fmt: skip
FUNCTIONS: dict[str, type[Function]] = {model.name(): model for model in _ALL}
"""Name → how it is written."""


def _written(value: Any) -> Any:
    """The long form of what may be written shorter: a text is a column, a number or truth value a constant."""
    if isinstance(value, str):
        return {"column": value}
    if isinstance(value, bool | int | float):
        return {"value": value}
    if not isinstance(value, Mapping):
        return value
    if _depth(value) > _DEEPEST:
        raise ValueError(f"functions stand inside each other more than {_DEEPEST} deep")
    named = [key for key in value if key in FUNCTIONS]
    if len(named) > 1:
        raise ValueError(f"one function at a time: write {named[1]} inside {named[0]}, or the other way round")
    model = FUNCTIONS[named[0]] if named else FieldSpec
    valid = _keys(model) if named or {"column", "trait", "value"} & set(value) else [*_keys(FieldSpec), *FUNCTIONS]
    for key in value:
        if key not in valid:
            raise ValueError(unknown_operator(str(key), valid))
    return value


def _keys(model: type[BaseModel]) -> list[str]:
    keys = [field.alias or name for name, field in model.model_fields.items()]
    return [*keys, "trait"] if model is FieldSpec else keys


def _depth(value: Any, reached: int = 0) -> int:
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    if reached > 3 * _DEEPEST:
        return reached
    step = 1 if isinstance(value, Mapping) else 0
    return step + max((_depth(one, reached + step) for one in inner), default=0)


def _which(data: Any) -> str:
    if isinstance(data, Function):
        return data.name()
    named = [key for key in data if key in FUNCTIONS] if isinstance(data, Mapping) else []
    return named[0] if named else "column"


class _ShortForms:
    """Editors offer the short forms beside the long ones."""

    @staticmethod
    def __get_pydantic_json_schema__(core: Any, handler: Any) -> Any:
        return {"anyOf": [{"type": ["string", "number", "boolean"]}, *handler(core)["oneOf"]]}


if TYPE_CHECKING:
    Source = FieldSpec | Function
else:
    Source = Annotated[
        Union[(Annotated[FieldSpec, Tag("column")], *(Annotated[model, Tag(model.name())] for model in _ALL))],
        Discriminator(_which),
        BeforeValidator(_written),
        _ShortForms,
    ]
"""Where a value comes from: a column, a constant or a function."""

_OTHERS: tuple[type[BaseModel], ...] = (WhenTrait, WhenAll, WhenAny, WhenNot, CaseBranch)
for _model in (*_OTHERS, *_ALL):
    _model.model_rebuild(_types_namespace={"Source": Source})
