"""Functions that choose one of several values, as they are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from cdp_core.destinations.functions.base import Function, Part
from cdp_core.operators import Operators, Text

if TYPE_CHECKING:
    from cdp_core.destinations.functions.spec import Source

Scalar = bool | int | float | str
_RELATIVE = ("within_last", "not_within_last", "within_next")
_WHENS = ("trait", "column", "and", "or", "not")


class Coalesce(Function):
    """The first that is not null."""

    group, gives = "choice", "what its parts are"
    example: ClassVar = {"coalesce": ["nickname", "first_name", {"value": "friend"}]}
    coalesce: list[Source] = Field(min_length=1, description="What is asked, in this order")


def _both_names(schema: dict[str, Any]) -> None:
    """Editors offer `column` beside `trait`, as the loader does."""
    schema["properties"]["column"] = schema["properties"]["trait"]
    del schema["required"]


class WhenTrait(Operators):
    """What must hold of a value: the operators of conditions on a trait."""

    model_config = ConfigDict(json_schema_extra=_both_names)

    trait: Source = Field(description="A column, a place inside an event, or a function")

    @model_validator(mode="after")
    def _lasting(self) -> WhenTrait:
        for name in _RELATIVE:
            if name in self.given():
                raise ValueError(
                    f"{name!r} depends on when the sync runs, and rows are sent when they have changed: "
                    "compare with a date, or make it a trait or an audience"
                )
        return self

    def operators(self) -> Operators:
        return Operators(**self.given())


class WhenAll(Part):
    """All of these hold."""

    and_: list[When] = Field(alias="and", min_length=1)


class WhenAny(Part):
    """One of these holds."""

    or_: list[When] = Field(alias="or", min_length=1)


class WhenNot(Part):
    """This does not hold."""

    not_: When = Field(alias="not")


_WHEN_CLASSES: dict[str, type[BaseModel]] = {"trait": WhenTrait, "and": WhenAll, "or": WhenAny, "not": WhenNot}


def _when_written(value: Any) -> Any:
    if isinstance(value, Mapping):
        if len([key for key in _WHENS if key in value]) != 1:
            raise ValueError(f"a condition needs exactly one of the keys {', '.join(_WHENS)}")
        return {"trait" if key == "column" else key: inner for key, inner in value.items()}
    return value


def _which_when(data: Any) -> str | None:
    if isinstance(data, BaseModel):
        return next((kind for kind, model in _WHEN_CLASSES.items() if type(data) is model), None)
    return next((kind for kind in _WHEN_CLASSES if kind in data), None) if isinstance(data, Mapping) else None


When = Annotated[
    Annotated[WhenTrait, Tag("trait")]
    | Annotated[WhenAll, Tag("and")]
    | Annotated[WhenAny, Tag("or")]
    | Annotated[WhenNot, Tag("not")],
    Discriminator(
        _which_when,
        custom_error_type="condition_kind",
        custom_error_message="a condition is {trait: NAME, an operator: …}, {and: […]}, {or: […]} or {not: …}",
    ),
    BeforeValidator(_when_written),
]


class CaseBranch(Part):
    """A condition, and what is given where it holds."""

    when: When = Field(description="A condition, as of an audience: a trait and operators, and, or, not")
    then: Source = Field(description="What is given where it holds")


class Case(Function):
    """The first branch whose condition holds."""

    group, gives = "choice", "what its branches are"
    example: ClassVar = {
        "case": [{"when": {"trait": "total", "at_least": 100}, "then": {"value": "gold"}}],
        "else": {"value": "standard"},
    }
    case: list[CaseBranch] = Field(min_length=1, description="Branches {when: …, then: …}, in this order")
    else_: Source | None = Field(None, alias="else", description="What is given where none holds; null if not given")


def _key(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


class Map(Function):
    """A value looked up in a table. Letters count as they are written."""

    group, gives = "choice", "what the table holds"
    example: ClassVar = {"map": "country", "values": {"DE": "Germany", "FR": "France"}, "else": "country"}
    map: Source = Field(description="What is looked up")
    values: dict[Annotated[Text, BeforeValidator(_key)], Scalar] = Field(min_length=1, description="The table")
    else_: Source | None = Field(None, alias="else", description="What is given for others; null if not given")
