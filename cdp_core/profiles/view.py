"""The single customer view: everything known about one person, and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cdp_core.operators import kind_of
from cdp_core.operators.values import nonblank, typed, written
from cdp_core.profiles.find import find_profiles, resolve_profile
from cdp_core.profiles.rules import picked_from

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.engine import Engine

__all__ = ["OtherValue", "Profile", "TraitValue", "find_profiles", "profile_card", "resolve_profile"]


@dataclass(frozen=True)
class OtherValue:
    """A value that a source states and that did not win; the newest statement of it."""

    value: str
    source: str
    updated_at: datetime | None


@dataclass(frozen=True)
class TraitValue:
    """One golden value with its origin. `value` is text, as in profile_traits; `others` are the losing values."""

    name: str
    value: str
    source: str | None
    message_id: str | None
    updated_at: datetime | None
    rule: str
    others: list[OtherValue] = field(default_factory=list)


@dataclass(frozen=True)
class Profile:
    """One person. Frames have the columns of their canonical tables; times are UTC.

    `golden` is the row of profiles (typed); `audiences` audience and entered_at, `merges` the profiles that went into
    this one, `deliveries` its rows in the sync ledger.
    """

    profile_id: str
    first_seen: datetime | None
    last_seen: datetime | None
    events: int
    golden: dict[str, Any]
    traits: list[TraitValue]
    identifiers: pl.DataFrame
    audiences: pl.DataFrame
    consents: pl.DataFrame
    deliveries: pl.DataFrame
    merges: pl.DataFrame
    _engine: Engine = field(repr=False, compare=False)

    def timeline(self, limit: int = 50, offset: int = 0) -> pl.DataFrame:
        """The person's events, newest first: rows of events.

        >>> profile.timeline(limit=10)  # doctest: +SKIP
        """
        rows = _events_of(self._engine, self.profile_id)
        newest = [rows.timestamp.desc(), rows.received_at.desc(), rows.source, rows.message_id]
        return self._engine.polars(rows.order_by(newest).limit(limit, offset=offset))

    def to_dict(self) -> dict[str, Any]:
        """What `cdp profile show --output json` prints: everything but the timeline."""
        fixed = ("profile_id", "first_seen", "last_seen", "events")
        frames = ("identifiers", "audiences", "consents", "deliveries", "merges")
        rows = {name: getattr(self, name).drop("profile_id", strict=False).to_dicts() for name in frames}
        traits = [
            {**{k: v for k, v in vars(trait).items() if k != "others"}, "others": [vars(o) for o in trait.others]}
            for trait in self.traits
        ]
        return {**{name: getattr(self, name) for name in fixed}, "traits": traits, **rows}


def profile_card(engine: Engine, profile_id: str) -> Profile:
    """The profile that a profile id (also one that was merged away) or `type:value` stands for.

    Raises UsageError when there is none.

    >>> profile_card(engine, "email:ann@example.org").traits[0].rule  # doctest: +SKIP
    'pick latest'
    """
    found = resolve_profile(engine, profile_id)
    profiles = engine.table("profiles")
    row = engine.polars(profiles.filter(profiles.profile_id == found)).row(0, named=True)
    return Profile(
        profile_id=found,
        first_seen=row["first_seen"],
        last_seen=row["last_seen"],
        events=row["events"],
        golden=row,
        traits=_traits(engine, found, profiles),
        identifiers=_of(engine, "user_identifiers", found, "type", "value"),
        audiences=_of(engine, "audience_members", found, "audience").drop("profile_id"),
        consents=_of(engine, "consents", found, "category"),
        deliveries=_of(engine, "sync_ledger", found, "sync", "key"),
        merges=_of(engine, "profile_merges", found, "at", "from_profile_id"),
        _engine=engine,
    )


def _of(engine: Engine, name: str, profile_id: str, *order: str) -> pl.DataFrame:
    rows = engine.table(name)
    return engine.polars(rows.filter(rows.profile_id == profile_id)).sort(order)


def _events_of(engine: Engine, profile_id: str) -> ir.Table:
    links = engine.table("event_profiles")
    mine = links.filter(links.profile_id == profile_id).select("source", "message_id")
    return engine.table("events").semi_join(mine, ["source", "message_id"])


def _traits(engine: Engine, profile_id: str, profiles: ir.Table) -> list[TraitValue]:
    rows = _of(engine, "profile_traits", profile_id, "trait").rows(named=True)
    order = {column: i for i, column in enumerate(profiles.columns)}
    rows.sort(key=lambda row: order.get(row["trait"], len(order)))
    others = _others(engine, profile_id, profiles, rows)
    return [
        TraitValue(
            name=row["trait"],
            value=row["value"],
            source=row["source"],
            message_id=row["message_id"],
            updated_at=row["updated_at"],
            rule=row["rule"],
            others=others.get(row["trait"], []),
        )
        for row in rows
    ]


def _others(
    engine: Engine, profile_id: str, profiles: ir.Table, rows: list[dict[str, Any]]
) -> Mapping[str, list[OtherValue]]:
    """For every picked trait with losing values, what the person's identify events state besides the golden value."""
    import ibis

    parts: list[ir.Table] = []
    events = _events_of(engine, profile_id)
    events = events.filter(events.type == "identify")
    for row in rows:
        reads = picked_from(row["trait"], row["rule"])
        if not reads or not row["candidates"] or row["trait"] not in profiles.columns:
            continue
        key, sources = reads
        text = nonblank(engine.json_text(events.traits, key))
        stated = events.select(
            "source",
            trait=ibis.literal(row["trait"], "string"),
            value=written(typed(text, kind_of(profiles[row["trait"]].type()))),
            at=events.timestamp.coalesce(events.received_at),
        )
        lost = stated.value.notnull() & (stated.value != row["value"])
        parts.append(stated.filter(lost & stated.source.isin(sources) if sources else lost))
    if not parts:
        return {}
    union = ibis.union(*parts) if len(parts) > 1 else parts[0]
    newest = union.group_by("trait", "value", "source").agg(updated_at=union["at"].max())
    found: dict[str, list[OtherValue]] = {}
    for row in engine.polars(newest).sort("updated_at", "value", descending=[True, False]).rows(named=True):
        found.setdefault(row["trait"], []).append(OtherValue(row["value"], row["source"], row["updated_at"]))
    return found
