"""The `destinations:` and `syncs:` blocks of cdp.yaml."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from cdp_core.cron import AfterSpec, SyncSchedule
from cdp_core.destinations.fields import FieldSpec
from cdp_core.destinations.functions.columns import columns_read
from cdp_core.destinations.functions.spec import Source
from cdp_core.destinations.limits import NO_LIMITS, LimitsSpec
from cdp_core.tracking import Call, Step

Mode = Literal["mirror", "upsert", "insert", "update", "full", "remove"]
EVENT_ID = "event_id"


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


class DestinationSpec(BaseModel):
    """Where data goes. `type` names the class (built in or a plug-in); every other key belongs to that class.

    >>> DestinationSpec(type="file", path="data/exports").options
    {'path': 'data/exports'}
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str = Field(description="What 'cdp destination list' shows: built in, a plug-in, or one of destinations.py")
    purpose: str | None = Field(None, description="What it is given data for, as people are told who ask for theirs")
    transform: tuple[Step, ...] = Field((), description="What is changed in events before they are sent here")
    consent: Annotated[tuple[str, ...], BeforeValidator(_listed)] = Field(
        (), description="Categories of consent a person must have granted, all of them, to be sent here"
    )
    limits: LimitsSpec = Field(NO_LIMITS, description="How fast, how often again")

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.__pydantic_extra__ or {})

    def __repr__(self) -> str:
        return f"DestinationSpec(type={self.type!r}, options={sorted(self.options)})"

    __str__ = __repr__


class AudienceModel(BaseModel):
    """The profiles of the members of one audience."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    audience: str


class SqlModel(BaseModel):
    """The rows of a SELECT over the canonical tables."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sql: str


class EventChoice(BaseModel):
    """Which events, as they are stored; what is not said is not asked for.

    >>> EventChoice(event="Paid", source=["web"]).in_words
    'Paid (web)'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    event: Annotated[tuple[str, ...], BeforeValidator(_listed)] = Field((), description="Names of events")
    type: Annotated[tuple[Call, ...], BeforeValidator(_listed)] = Field((), description="Types of calls")
    source: Annotated[tuple[str, ...], BeforeValidator(_listed)] = Field((), description="Sources")

    @property
    def in_words(self) -> str:
        """Types and names, then sources in brackets; empty for all events."""
        what = " · ".join(", ".join(names) for names in (self.type, self.event) if names)
        return f"{what} ({', '.join(self.source)})".strip() if self.source else what


class EventsModel(BaseModel):
    """Events, one row each: the columns of `events`, event_id and profile_id."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    events: Annotated[EventChoice, BeforeValidator(lambda value: {} if value is None else value)]


Model = Literal["profiles", "events"] | AudienceModel | SqlModel | EventsModel


def _key_may_follow(schema: dict[str, Any]) -> None:
    """A sync of events needs no key, so editors ask for none."""
    schema["required"] = [name for name in schema["required"] if name != "key"]
    schema["properties"]["mode"].pop("default", None)


class SyncSpec(BaseModel):
    """A model, mapped and sent to a destination.

    `mirror` adds, changes and removes the rows this sync has delivered itself, never any other; `upsert` removes
    nothing; `update` changes what is there and adds nothing; `insert`, the mode of events, sends a row once and never
    again; `full` sends every row in every run; `remove` takes the rows of the model out of the destination. `key`
    names the mapped field that identifies a row at the destination; of events it is event_id where nothing is said.

    >>> sync = SyncSpec(model={"audience": "vip"}, destination="exports", key="id", mapping={"id": "profile_id"})
    >>> sync.mapping["id"].column, sync.mode
    ('profile_id', 'mirror')
    >>> sync = SyncSpec(model={"events": {"event": "Paid"}}, destination="exports", mapping={"sum": "properties.sum"})
    >>> sync.key, list(sync.mapping), sync.mode
    ('event_id', ['event_id', 'sum'], 'insert')
    """

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=_key_may_follow)

    description: str | None = None
    model: Model
    destination: str
    key: str
    mapping: dict[str, Source] = Field(min_length=1)
    mode: Mode = "mirror"
    schedule: SyncSchedule = Field(
        None, description="Five cron fields, UTC, such as '0 6 * * 1-5', {after: run} or {after: audience}"
    )
    enabled: bool = True
    options: dict[str, Any] = Field(default_factory=dict, description="What the destination wants to know per sync")

    def model_in_words(self) -> str:
        """`profiles`, `audience:NAME`, `sql`, `events` or `events:WHICH`."""
        if isinstance(self.model, AudienceModel):
            return f"audience:{self.model.audience}"
        if isinstance(self.model, EventsModel):
            return f"events:{self.model.events.in_words}".rstrip(":")
        return "sql" if isinstance(self.model, SqlModel) else self.model

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Of the options their names only: a template may hold a key."""
        yield from ((name, sorted(value) if name == "options" else value) for name, value in super().__repr_args__())

    @property
    def of_events(self) -> bool:
        return isinstance(self.model, EventsModel)

    @model_validator(mode="before")
    @classmethod
    def _events_need_less(cls, data: Any) -> Any:
        """Events have a mode and a key of their own."""
        model = data.get("model") if isinstance(data, dict) else None
        if not (model == "events" or isinstance(model, EventsModel) or (isinstance(model, dict) and "events" in model)):
            return data
        given = {"mode": "insert", **data}
        mapping = data.get("mapping")
        if "key" in data or not isinstance(mapping, dict):
            return given
        own = next((name for name, source in mapping.items() if _column(source) == EVENT_ID), None)
        if own is None and EVENT_ID not in mapping and mapping:
            given["mapping"] = {EVENT_ID: EVENT_ID, **mapping}
        return {**given, "key": own or EVENT_ID}

    @field_validator("model", mode="before")
    @classmethod
    def _known_model(cls, value: Any) -> Any:
        if value == "events":
            return EventsModel(events=EventChoice.model_validate({}))
        named = isinstance(value, dict) and len(value) == 1 and set(value) <= {"audience", "sql", "events"}
        if value == "profiles" or named or isinstance(value, (AudienceModel, SqlModel, EventsModel)):
            return value
        raise ValueError("a model is 'profiles', 'events', {audience: NAME}, {sql: SELECT …} or {events: {…}}")

    @model_validator(mode="after")
    def _key_is_mapped(self) -> SyncSpec:
        if self.key not in self.mapping:
            raise ValueError(f"the key {self.key!r} is not a field of the mapping ({', '.join(self.mapping)})")
        if not any(columns_read(self.mapping[self.key])):
            raise ValueError(f"the key {self.key!r} must come from a column: one value for all rows identifies none")
        if self.of_events and self.mode in ("mirror", "remove"):
            raise ValueError(f"mode {self.mode} would take events back, and they have happened; use insert, or upsert")
        after = self.schedule.after if isinstance(self.schedule, AfterSpec) else None
        if after == "audience" and not isinstance(self.model, AudienceModel):
            raise ValueError("the schedule {after: audience} goes with a model {audience: NAME}; use {after: run}")
        return self


def _column(source: Any) -> Any:
    if isinstance(source, FieldSpec):
        return source.column
    return source.get("column", source.get("trait")) if isinstance(source, dict) else source
