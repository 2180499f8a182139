"""A tracking plan, as written in expectations/tracking_plan/<name>.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    model_validator,
)

PlanType = Literal["any", "array", "object", "boolean", "integer", "number", "string", "null", "date-time"]
Format = Literal["date", "date-time", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid"]
TYPES: tuple[str, ...] = get_args(PlanType)
FORMATS: tuple[str, ...] = get_args(Format)
Number = StrictInt | Annotated[StrictFloat, Field(allow_inf_nan=False)]
Labels = Mapping[str, str]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def _as_types(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _as_rule(value: object) -> object:
    """`total: number` and `note:` are short for a rule."""
    if value is None:
        return {}
    return {"type": value} if isinstance(value, (str, list)) else value


class PropertyRule(_Frozen):
    """What is known of one property or trait. A rule about texts or numbers does not touch values of other types.

    >>> PropertyRule(type="number", minimum=0).types
    ('number',)
    """

    type: Annotated[tuple[PlanType, ...], BeforeValidator(_as_types)] = Field((), description="One type or several")
    required: bool = False
    description: str | None = None
    enum: tuple[StrictStr | StrictBool | Number | None, ...] | None = Field(None, min_length=1)
    pattern: str | None = Field(None, description="Regular expression; it may match anywhere in the text")
    format: Format | None = None
    minimum: Number | None = None
    maximum: Number | None = None
    min_length: NonNegativeInt | None = Field(None, description="Characters of a text at least")
    max_length: NonNegativeInt | None = Field(None, description="Characters of a text at most")
    properties: Mapping[str, Rule] = Field(default_factory=dict, description="What is inside an object")

    @property
    def types(self) -> tuple[str, ...]:
        """The types that are allowed; empty: any. What has properties of its own is an object."""
        if "any" in self.type:
            return ()
        return self.type or (("object",) if self.properties else ())


Rule = Annotated[PropertyRule, BeforeValidator(_as_rule)]
Schema = Annotated[Mapping[str, Any] | None, Field(alias="schema")]


class CallPlan(_Frozen):
    """The rules of one call: an event, or identify, group, page, screen. `beneath` is JSON Schema (draft-07)."""

    description: str | None = None
    labels: Labels = Field(default_factory=dict)
    version: Annotated[int, Field(ge=1)] = 1
    properties: Mapping[str, Rule] = Field(default_factory=dict)
    traits: Mapping[str, Rule] = Field(default_factory=dict)
    beneath: Schema = None
    versions: Mapping[int, CallPlan] = Field(
        default_factory=dict, description="Rules by version; an event names its own in context.protocols.event_version"
    )

    @model_validator(mode="after")
    def _one_way(self) -> CallPlan:
        if self.versions and (self.properties or self.traits or self.beneath is not None):
            raise ValueError("rules stand either here or under `versions`, not in both")
        if any(inner.versions for inner in self.versions.values()):
            raise ValueError("a version has no versions of its own")
        return self

    def by_version(self) -> dict[int, CallPlan]:
        """The rules of every version, the oldest first: it holds where an event names none that is known."""
        return dict(sorted(self.versions.items())) or {self.version: self}


class Common(_Frozen):
    """JSON Schema (draft-07) over whole events, whatever their type."""

    description: str | None = None
    beneath: Schema = None


class Plan(_Frozen):
    """Which events there are and what is in them.

    >>> plan = Plan.model_validate({"name": "shop", "events": {"Paid": {"properties": {"total": "number"}}}})
    >>> plan.events["Paid"].properties["total"].types
    ('number',)
    """

    name: str = Field("", exclude=True)
    description: str | None = None
    labels: Labels = Field(default_factory=dict)
    events: Mapping[str, Annotated[CallPlan, BeforeValidator(lambda v: {} if v is None else v)]] = Field(
        default_factory=dict
    )
    identify: CallPlan | None = None
    group: CallPlan | None = None
    page: CallPlan | None = None
    screen: CallPlan | None = None
    common: Common | None = None

    @model_validator(mode="after")
    def _right_bucket(self) -> Plan:
        for name, call in (*self.events.items(), *self.calls().items()):
            wrong = "properties" if name in ("identify", "group") and call in self.calls().values() else "traits"
            for rules in call.by_version().values():
                if getattr(rules, wrong):
                    right = "traits" if wrong == "properties" else "properties"
                    raise ValueError(f"{name!r} has {right}, not {wrong}")
        return self

    def calls(self) -> dict[str, CallPlan]:
        """The rules of calls other than track, by type."""
        found = {name: getattr(self, name) for name in ("identify", "group", "page", "screen")}
        return {name: call for name, call in found.items() if call is not None}


def bucket_of(call: str) -> str:
    """Where a call's own data are.

    >>> bucket_of("identify"), bucket_of("page")
    ('traits', 'properties')
    """
    return "traits" if call in ("identify", "group") else "properties"
