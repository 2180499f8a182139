"""The `traits:` block of cdp.yaml."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from cdp_core.errors import SpecError
from cdp_core.operators import Duration, Text, Where
from cdp_core.tables import PROFILES

Kind = Literal["string", "integer", "number", "boolean", "date", "datetime"]
COMPUTED = (
    "count",
    "sum",
    "average",
    "min",
    "max",
    "first",
    "last",
    "most_frequent",
    "unique_list",
    "unique_count",
    "days_since",
)
_WHOLE = ("count", "days_since")
"""Computed from events as such; the others from one property of the event."""
_TYPED = ("min", "max", "first", "last", "most_frequent")
_RESULT = {
    "count": "integer",
    "unique_count": "integer",
    "days_since": "integer",
    "sum": "number",
    "average": "number",
    "unique_list": "list",
}
TIME = "timestamp"
"""The property name that means the event's own time."""


class PickedTrait(BaseModel):
    """One value chosen from what the sources state (survivorship). Blank texts count as not stated.

    `pick`: latest (default), source_order (the first source in `sources`, else in cdp.yaml, that states one),
    most_frequent (ties: the later), longest (ties: the later). `from` is the trait's name in the events when it
    differs, `sources` limits and orders who may state it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    pick: Literal["latest", "source_order", "most_frequent", "longest"] = "latest"
    from_: Text | None = Field(default=None, alias="from", min_length=1)
    sources: list[str] | None = Field(default=None, min_length=1)
    type: Kind = "string"


class ComputedTrait(BaseModel):
    """One value computed from events: exactly one of count … days_since, written as `Event` or `Event.property`.

    `Event.timestamp` is the event's time. `where` are conditions on properties, `window` looks back from now.
    `type` is what the property is read as (min, max: number unless said otherwise; first, last, most_frequent: text).

    >>> ComputedTrait(sum="Order Completed.total").event, ComputedTrait(sum="Order Completed.total").property_name
    ('Order Completed', 'total')
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: Text | None = None
    sum: Text | None = None
    average: Text | None = None
    min: Text | None = None
    max: Text | None = None
    first: Text | None = None
    last: Text | None = None
    most_frequent: Text | None = None
    unique_list: Text | None = None
    unique_count: Text | None = None
    days_since: Text | None = None
    where: Where = Field(default_factory=dict)
    window: Duration | None = None
    type: Kind | None = None
    at_least: int | None = Field(default=None, ge=1, description="most_frequent only: how often the value must occur")

    @model_validator(mode="after")
    def _one_kind(self) -> ComputedTrait:
        given = [k for k in COMPUTED if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of {', '.join(COMPUTED)} is needed, found {', '.join(given) or 'none'}")
        event, _, name = self.reads.rpartition(".")
        if self.how not in _WHOLE and not (event.strip() and name.strip()):
            raise ValueError(f"{self.how} needs Event.property, such as Order Completed.total")
        if not self.reads.strip():
            raise ValueError(f"{self.how} needs the name of an event")
        self._check_options(name)
        return self

    def _check_options(self, name: str) -> None:
        if self.type and self.how not in _TYPED:
            raise ValueError(f"type does not go with {self.how} (valid with: {', '.join(_TYPED)})")
        if self.type and name == TIME and self.type != "datetime":
            raise ValueError("the event's timestamp is a datetime")
        if self.how in ("sum", "average") and name == TIME:
            raise ValueError(f"{self.how} needs a property that is a number, not the event's timestamp")
        if self.how in ("min", "max") and self.type in ("string", "boolean"):
            raise ValueError(f"{self.how} needs a number, a date or a datetime")
        if self.at_least is not None and self.how != "most_frequent":
            raise ValueError("at_least goes with most_frequent only; conditions on properties go under where")

    @property
    def how(self) -> str:
        """Which of `COMPUTED` it is."""
        return next(k for k in COMPUTED if getattr(self, k) is not None)

    @property
    def reads(self) -> str:
        """What was written behind it."""
        return str(getattr(self, self.how))

    @property
    def event(self) -> str:
        return self.reads if self.how in _WHOLE else self.reads.rpartition(".")[0]

    @property
    def property_name(self) -> str | None:
        """The property, split off at the last dot; None for count and days_since."""
        return None if self.how in _WHOLE else self.reads.rpartition(".")[2]

    @property
    def kind(self) -> str:
        """Kind of the trait's column."""
        if self.how in _RESULT:
            return _RESULT[self.how]
        if self.property_name == TIME:
            return "datetime"
        return self.type or ("number" if self.how in ("min", "max") else "string")


class SqlTrait(BaseModel):
    """One or more traits from a SELECT that returns profile_id and one column per trait.

    It may read profiles (with all traits that are not SQL and the SQL traits before it), events, event_profiles,
    profile_traits, user_identifiers and the other canonical tables. `columns` lists the traits when there are more
    than the one of its own name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sql: str = Field(min_length=1)
    columns: list[str] | None = Field(default=None, min_length=1)


def _which(data: Any) -> str:
    if isinstance(data, BaseModel):
        return {PickedTrait: "picked", SqlTrait: "sql"}.get(type(data), "computed")
    keys = set(data) if isinstance(data, Mapping) else set()
    if "sql" in keys:
        return "sql"
    return "computed" if keys & set(COMPUTED) else "picked"


TraitSpec = Annotated[
    Annotated[PickedTrait, Tag("picked")] | Annotated[ComputedTrait, Tag("computed")] | Annotated[SqlTrait, Tag("sql")],
    Discriminator(_which),
]


def columns_of(name: str, trait: TraitSpec) -> list[str]:
    """The columns of `profiles` that a trait fills."""
    return (trait.columns or [name]) if isinstance(trait, SqlTrait) else [name]


def trait_types(traits: Mapping[str, TraitSpec]) -> dict[str, str]:
    """Column → kind, as audiences need it to check their operators; SQL traits are `unknown` until they have run.

    >>> trait_types({"orders": ComputedTrait(count="Order Completed"), "email": PickedTrait()})
    {'orders': 'integer', 'email': 'string'}
    """
    return {column: kind_of_trait(traits[name]) for name, column in _columns(traits)}


def kind_of_trait(trait: TraitSpec) -> str:
    """Kind of a trait's column."""
    if isinstance(trait, SqlTrait):
        return "unknown"
    return trait.type if isinstance(trait, PickedTrait) else trait.kind


def check_traits(traits: Mapping[str, TraitSpec], sources: Mapping[str, Any] | list[str]) -> None:
    """Raise SpecError for names that cannot be columns, names given twice and sources that do not exist."""
    seen = {c.lower(): "a fixed column of profiles" for c in PROFILES.columns}
    for name, column in _columns(traits):
        where = f"traits.{name}"
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,62}", column):
            raise SpecError(f"{column!r} cannot be a column", where=where, hint="use letters, digits and _")
        if column.lower() in seen:
            raise SpecError(f"the name {column!r} is taken by {seen[column.lower()]}", where=where)
        seen[column.lower()] = f"trait {name!r}"
    for name, trait in traits.items():
        for source in (trait.sources or []) if isinstance(trait, PickedTrait) else []:
            if source not in sources:
                raise SpecError.unknown("source", source, sources, where=f"traits.{name}.sources")


def _columns(traits: Mapping[str, TraitSpec]) -> Iterator[tuple[str, str]]:
    for name, trait in traits.items():
        for column in columns_of(name, trait):
            yield name, column
