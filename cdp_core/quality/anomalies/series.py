"""What a day of a source holds: how many events, which of their fields have a value, how many break a rule.

A day is a UTC day. Volume and fields go by when an event happened (`timestamp`), violations by when it was received.
A series has a source and a name: of a track its event, of any other call its type.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.engine import Engine

KEY = ["source", "event"]
MOST = 200
"""So many events, and so many of their fields, are followed: the most frequent ones."""
_RARE = 0.05
"""A field that fewer events have is not one whose absence says anything."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Tables to look at: `events`, `held` (quarantine), `loads` (source_loads), and the days from `first` to `last`."""

    events: ir.Table
    held: ir.Table
    loads: ir.Table
    first: date
    last: date

    def happened(self) -> ir.Table:
        """The events of those days with `name` and `day`. Those without a time belong to no day."""
        start, end = _bounds(self.first, self.last)
        events = self.events.filter(self.events.timestamp >= start, self.events.timestamp < end)
        return named(events).mutate(day=events.timestamp.date())


def named(events: ir.Table) -> ir.Table:
    """Events whose column `event` is the name of their series."""
    return events.mutate(event=(events.type == "track").ifelse(events.event, events.type))


def _bounds(first: date, last: date) -> tuple[ir.Value, ir.Value]:
    import ibis

    days = (first, last + timedelta(days=1))
    start, end = (ibis.literal(datetime.combine(day, time()), "timestamp(6)") for day in days)
    return start, end


def volumes(engine: Engine, seen: Seen) -> pl.DataFrame:
    """Columns: source, event, day, total (events), user_id and anonymous_id (events that have one)."""
    events = seen.happened().filter(lambda t: t.event.notnull())
    counted = events.group_by([*KEY, "day"]).agg(
        total=events.count(), user_id=events.user_id.count(), anonymous_id=events.anonymous_id.count()
    )
    daily = engine.keep(counted)
    every = daily.group_by(KEY).agg(n=daily.total.sum())
    names = every.order_by([every.n.desc(), every.source, every.event]).limit(MOST)
    return engine.polars(daily.semi_join(names, KEY))


def fields(engine: Engine, seen: Seen, volume: pl.DataFrame) -> pl.DataFrame:
    """How many events of a day have a field. Columns: source, event, field, day, present.

    A field is user_id, anonymous_id, or a key of properties or traits, such as properties.total; null is no value.
    Only those of the events in `volume` that enough events have.
    """
    import polars as pl

    wanted = engine.frame(volume.group_by(KEY).agg(n=pl.col("total").sum()))
    events = seen.happened().semi_join(wanted, KEY)
    # Few sets of keys make up a day, so the keys of a set are looked at once and not event by event.
    sets = engine.keep(
        events.group_by(
            [*KEY, "day"],
            properties=engine.json_keys(events.properties),
            traits=engine.json_keys(events.traits),
        ).agg(n=events.count())
    )
    parts = [_spread(sets, bucket) for bucket in ("properties", "traits")]
    rows = parts[0].union(parts[1])
    daily = engine.keep(rows.group_by([*KEY, "field", "day"]).agg(present=rows.n.sum()))
    every = daily.group_by([*KEY, "field"]).agg(n=daily.present.sum())
    known = every.inner_join(wanted.select(*KEY, of="n"), KEY)
    known = known.filter(known.n >= known.of * _RARE)
    most = known.order_by([known.n.desc(), *KEY, "field"]).limit(MOST)
    found = engine.polars(daily.semi_join(most, [*KEY, "field"]))
    return pl.concat([found, _identifiers(volume)], how="vertical_relaxed")


def _spread(sets: ir.Table, bucket: str) -> ir.Table:
    import ibis

    rows = sets.select(*KEY, "day", "n", key=sets[bucket].unnest())
    return rows.select(*KEY, "day", "n", field=ibis.literal(f"{bucket}.") + rows.key)


def _identifiers(volume: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    names = ["user_id", "anonymous_id"]
    rows = volume.unpivot(names, index=[*KEY, "day", "total"], variable_name="field", value_name="present")
    usual = pl.col("present").sum().over([*KEY, "field"]) >= pl.col("total").sum().over([*KEY, "field"]) * _RARE
    return rows.filter(usual, pl.col("present") > 0).select(*KEY, "field", "day", "present")


def violations(engine: Engine, seen: Seen) -> pl.DataFrame:
    """Columns: source, day (of receipt), total (events and held rows), broken (held, or against the tracking plan).

    A held row that was let through by a replay is an event like others.
    """
    import polars as pl

    start, end = _bounds(seen.first, seen.last)
    events = _received(seen.events)
    events = events.filter(events.at >= start, events.at < end)
    wrong = engine.json_text(events.context, "protocols", "violations") != "[]"
    # Few events say anything about a plan; only those are read as JSON.
    said = events.context.contains('"protocols"').fill_null(False)
    rows = events.mutate(day=events.at.date(), broken=said.ifelse(wrong.fill_null(False), False).cast("int64"))
    counted = engine.polars(rows.group_by(["source", "day"]).agg(total=rows.count(), broken=rows.broken.sum()))
    counted = counted.with_columns(pl.col("total", "broken").cast(pl.Float64))
    return pl.concat([counted, _held(engine, seen)]).group_by("source", "day").agg(pl.col("total", "broken").sum())


def _received(events: ir.Table) -> ir.Table:
    import ibis

    return events.mutate(at=ibis.coalesce(events.received_at, events.timestamp))


def _held(engine: Engine, seen: Seen) -> pl.DataFrame:
    """Held rows by day. One that could not be read has at best the time of its file, so a day counts only if the run
    brought events of that day too. The other rows are spread over the days of the run, as its events are; without any
    events, they count on the day that they have, else on that of the load.
    """
    import polars as pl

    run = ["source", "run_id"]
    held = seen.held.filter(seen.held.status != "replayed")
    counted = engine.polars(held.group_by([*run, held.received_at.date().name("own")]).agg(n=held.count()))
    wanted = engine.frame(counted.select(run).unique())
    events = _received(seen.events).semi_join(wanted, run)
    brought = engine.polars(events.group_by([*run, events.at.date().name("day")]).agg(part=events.count()))
    brought = brought.with_columns(pl.col("day").cast(pl.Date), part=pl.col("part") / pl.col("part").sum().over(run))
    loads = seen.loads.semi_join(wanted, run)
    loaded = engine.polars(loads.select(*run, loaded=loads.loaded_at.date())).with_columns(
        pl.col("loaded").cast(pl.Date)
    )
    counted = counted.with_columns(pl.col("own").cast(pl.Date), pl.col("n").cast(pl.Float64))
    dated = counted.join(brought, left_on=[*run, "own"], right_on=[*run, "day"], how="semi").with_columns(day="own")
    rest = counted.join(dated, on=[*run, "own"], how="anti").join(brought, on=run, how="left")
    rest = rest.join(loaded, on=run, how="left").with_columns(
        day=pl.coalesce("day", "own", "loaded", pl.lit(seen.last)), n=pl.col("n") * pl.col("part").fill_null(1.0)
    )
    rows = pl.concat([frame.select("source", "day", total="n", broken="n") for frame in (dated, rest)])
    return rows.filter(pl.col("day").is_between(seen.first, seen.last))
