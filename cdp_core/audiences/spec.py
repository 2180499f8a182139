"""The `audiences:` block of cdp.yaml: a tree of conditions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter, ValidationError, model_validator

from cdp_core.errors import SpecError
from cdp_core.operators import Operators, Text, Where, Window

_KINDS = ("trait", "event", "audience", "consent", "and", "or", "not")
_DEEPEST = 40
_COUNTS = ("at_least", "at_most", "exactly")


class TraitCondition(Operators):
    """A trait and what must hold of it: {trait: total_spent, at_least: 500}."""

    trait: Text = Field(min_length=1)

    def operators(self) -> Operators:
        return Operators(**self.given())


class EventCondition(BaseModel):
    """How often an event happened: {event: Order Completed, at_least: 2, window: 30d, where: {total: {at_least: 50}}}.

    `at_most` and `exactly: 0` also hold for profiles that never had the event. Without a count: at least once.
    `window` is 30d (the last 30 days) or {between: [60d, 30d]}.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: Text = Field(min_length=1)
    at_least: int | None = Field(default=None, ge=1, strict=True)
    at_most: int | None = Field(default=None, ge=0, strict=True)
    exactly: int | None = Field(default=None, ge=0, strict=True)
    window: Window | None = None
    where: Where = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_count(self) -> EventCondition:
        if self.exactly is not None and (self.at_least is not None or self.at_most is not None):
            raise ValueError("exactly stands alone; at_least and at_most may stand together")
        low, high = self.bounds()
        if high is not None and low > high:
            raise ValueError("at_least is more than at_most: no profile can match")
        return self

    def bounds(self) -> tuple[int, int | None]:
        """The least and the most often that matches; None for no upper bound."""
        if self.exactly is not None:
            return self.exactly, self.exactly
        if self.at_most is not None:
            return self.at_least or 0, self.at_most
        return self.at_least or 1, None


class AudienceCondition(BaseModel):
    """Membership of another audience: {audience: high_value}."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    audience: Text = Field(min_length=1)


class ConsentCondition(BaseModel):
    """The state of a consent category: {consent: newsletter, equals: granted}. No statement is none of the states."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    consent: Text = Field(min_length=1)
    equals: Literal["granted", "denied", "conflict"] = "granted"


class AllOf(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    and_: list[Condition] = Field(alias="and", min_length=1)


class AnyOf(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    or_: list[Condition] = Field(alias="or", min_length=1)


class Not(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    not_: Condition = Field(alias="not")


_CLASSES = {
    "trait": TraitCondition,
    "event": EventCondition,
    "audience": AudienceCondition,
    "consent": ConsentCondition,
    "and": AllOf,
    "or": AnyOf,
    "not": Not,
}


def _which(data: Any) -> str | None:
    if isinstance(data, BaseModel):
        return next((kind for kind, model in _CLASSES.items() if type(data) is model), None)
    if not isinstance(data, Mapping):
        return None
    found = [kind for kind in _KINDS if kind in data]
    return found[0] if len(found) == 1 else None


Condition = Annotated[
    Annotated[TraitCondition, Tag("trait")]
    | Annotated[EventCondition, Tag("event")]
    | Annotated[AudienceCondition, Tag("audience")]
    | Annotated[ConsentCondition, Tag("consent")]
    | Annotated[AllOf, Tag("and")]
    | Annotated[AnyOf, Tag("or")]
    | Annotated[Not, Tag("not")],
    Discriminator(
        _which,
        custom_error_type="condition_kind",
        custom_error_message=f"a condition needs exactly one of the keys {', '.join(_KINDS)}",
    ),
]

for _model in (AllOf, AnyOf, Not):
    _model.model_rebuild()


class AudienceSpec(BaseModel):
    """One audience. Disabled, its members and history stay as they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str = ""
    where: Condition
    enabled: bool = True

    @model_validator(mode="before")
    @classmethod
    def _not_too_deep(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            _check_depth(data.get("where"))
        return data


_ADAPTER: TypeAdapter[Any] = TypeAdapter(Condition)


def condition_from_dict(data: Mapping[str, Any]) -> Condition:
    """A condition as written in cdp.yaml. Raises SpecError.

    >>> condition_from_dict({"trait": "orders", "at_least": 3}).trait
    'orders'
    """
    try:
        _check_depth(data)
        return _ADAPTER.validate_python(data)
    except ValidationError as error:
        first = _telling(error)
        path = ".".join(str(p) for p in first["loc"] if not _is_alternative(p))
        raise SpecError(first["msg"].removeprefix("Value error, "), where=path or None) from None
    except ValueError as error:
        raise SpecError(str(error)) from None


def _telling(error: ValidationError) -> Any:
    """Of several problems the one to show: of a value that may be one of several things, the last that was tried
    and came deepest."""
    found = error.errors()
    place = found[0]["loc"][:1]
    same = [e for e in found if e["loc"][:1] == place]
    return max(same, key=lambda e: (e["type"] in ("value_error", "finite_number"), len(e["loc"])))


def _is_alternative(part: int | str) -> bool:
    """Names that pydantic gives to the members of a union are no keys of the document."""
    return isinstance(part, str) and (part in ("bool", "int", "float", "datetime", "date", "str") or "[" in part)


def to_dict(condition: Condition) -> dict[str, Any]:
    """The condition as it is written in cdp.yaml; `condition_from_dict` gives it back.

    >>> to_dict(condition_from_dict({"not": {"audience": "vip"}}))
    {'not': {'audience': 'vip'}}
    """
    written: dict[str, Any] = condition.model_dump(mode="python", by_alias=True, exclude_unset=True)
    return _subject_first(written)


def _subject_first(value: Any) -> Any:
    """The key that says what a condition is about stands before its operators."""
    if isinstance(value, dict):
        order = sorted(value, key=lambda key: key not in _KINDS)
        return {key: _subject_first(value[key]) for key in order}
    return [_subject_first(item) for item in value] if isinstance(value, list) else value


def children(condition: Condition) -> list[Condition]:
    """The conditions directly inside; empty for a leaf."""
    if isinstance(condition, AllOf):
        return condition.and_
    if isinstance(condition, AnyOf):
        return condition.or_
    return [condition.not_] if isinstance(condition, Not) else []


def leaves(condition: Condition) -> Iterator[Condition]:
    """All conditions without others inside, from left to right."""
    inside = children(condition)
    if not inside:
        yield condition
    for child in inside:
        yield from leaves(child)


def _check_depth(data: Any, depth: int = 0) -> None:
    if depth > _DEEPEST:
        raise ValueError(f"conditions are nested more than {_DEEPEST} deep")
    inside = list(data.values()) if isinstance(data, Mapping) else data if isinstance(data, list) else []
    for item in inside:
        _check_depth(item, depth + isinstance(data, Mapping))
