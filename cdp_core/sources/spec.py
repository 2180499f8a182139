"""The `sources:` block of cdp.yaml: where rows come from and what they mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from cdp_core.tracking import PlanOption, Step

Kind = Literal["string", "integer", "number", "boolean", "date", "datetime", "json"]
EVENT_IDENTIFIERS = ("user_id", "anonymous_id", "group_id", "previous_id")


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ColumnValue(_Frozen):
    """A value taken from a column, of a declared type; a value that does not fit sends its row to quarantine."""

    column: str
    type: Kind | None = None
    format: str | None = Field(None, description="strptime format of a date or datetime, or epoch or epoch_ms")


class ConstantValue(_Frozen):
    """The same value for every row."""

    value: str | int | float | bool | None


def _as_value(value: object) -> object:
    return {"column": value} if isinstance(value, str) else value


Value = Annotated[ColumnValue | ConstantValue, BeforeValidator(_as_value)]


class MapSpec(_Frozen):
    """What a row means: the event it becomes.

    Identifiers named user_id, anonymous_id, group_id and previous_id go into the event's columns of that name, every
    other one into `context.externalIds` (Segment's shape). Without `traits` and `properties` every column that is not
    otherwise used is taken: as traits by identify and group, as properties by the others. A naive time is read in
    `timezone`; a time that a clock change repeats is taken as the first of the two.

    >>> MapSpec(type="identify", key="contact_id", identifiers={"email": "mail"}).key
    ('contact_id',)
    """

    type: Literal["identify", "track", "group", "page", "screen", "alias"]
    event: str | None = Field(None, description="Name of the event (track, page, screen)")
    key: Annotated[tuple[str, ...], BeforeValidator(_as_list)] = Field(
        (), description="Columns that identify the row; a changed row becomes a new version. Default: the whole row"
    )
    record: str | None = Field(None, description="Column with the source's own record id; default: the key")
    message_id: str | None = Field(None, description="Column with a unique id of the event; default: a stable hash")
    time: str | None = Field(None, description="Column with the time of the event; default: the file's own time")
    time_format: str | None = Field(None, description="strptime format, epoch or epoch_ms; default: ISO 8601")
    timezone: str = Field("UTC", description="Time zone of times that name none")
    received_at: str | None = None
    sent_at: str | None = None
    identifiers: Mapping[str, str] = Field(default_factory=dict, description="identifier type: column")
    traits: Mapping[str, Value] | None = None
    properties: Mapping[str, Value] | None = None
    consent: Mapping[str, str] = Field(default_factory=dict, description="consent category: column")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"unknown time zone {value!r}, an IANA name such as Europe/Berlin is expected")
        ZoneInfo(value)
        return value

    @model_validator(mode="after")
    def _named_event(self) -> MapSpec:
        if self.type == "track" and not self.event:
            raise ValueError("a track mapping needs `event`, the name of the event")
        return self

    def used(self) -> dict[str, str]:
        """Columns that the mapping names, each with the key of the mapping that names it."""
        named = {"record": self.record, "message_id": self.message_id, "time": self.time}
        named |= {"received_at": self.received_at, "sent_at": self.sent_at}
        named |= {f"key[{i}]": column for i, column in enumerate(self.key)}
        named |= {f"identifiers.{name}": column for name, column in self.identifiers.items()}
        named |= {f"consent.{name}": column for name, column in self.consent.items()}
        for bucket in ("traits", "properties"):
            for name, value in (getattr(self, bucket) or {}).items():
                named[f"{bucket}.{name}"] = getattr(value, "column", None)
        return {column: f"map.{key}" for key, column in reversed(named.items()) if column}


class SourceSpec(BaseModel):
    """One source. `type` names a class through plug-ins; that class parses the options beside it.

    >>> SourceSpec(type="file", path="orders.csv").options
    {'path': 'orders.csv'}
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str
    map: MapSpec | None = None
    purpose: str | None = Field(None, description="What its data are for, as people are told who ask for theirs")
    plan: PlanOption = Field(None, description="The tracking plan that its events keep to, and the controls")
    transform: tuple[Step, ...] = Field((), description="Corrections, before the plan is checked")

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Of the options their names only: an address may hold a password."""
        yield from ((name, getattr(self, name)) for name in type(self).model_fields)
        yield "options", sorted(self.options)
