"""Days that are unlike those before them: of the lake as it stands, and as a gate for the days that a batch brings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from cdp_core.errors import QualityStop
from cdp_core.quality.anomalies.find import judged_days
from cdp_core.quality.anomalies.judge import LEAST_DAYS
from cdp_core.quality.anomalies.spans import spans
from cdp_core.quality.anomalies.words import sentence
from cdp_core.runs.dedupe import KEY

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.engine import Engine, Staging
    from cdp_core.quality.anomalies.spec import AnomalySpec

SHOWN_DAYS = 28
_STRAGGLERS = 0.05
"""A batch that adds less than this share to a day brings what was late: the day has been judged."""


def judged(
    engine: Engine,
    spec: AnomalySpec,
    *,
    now: datetime,
    source: str | None = None,
    kinds: Sequence[str] = (),
    since: date | None = None,
    until: date | None = None,
) -> pl.DataFrame:
    """Every day from `since` to `until` of every series, judged, with the days before that they are compared with.

    Without days: the last 28 of each source, up to its newest event. Columns as `judged_days` gives them.
    """
    import polars as pl

    every = spans(engine, now=now)
    if source is not None:
        every = every.filter(pl.col("source") == source)
    found = []
    for part, first, last in _passes(every, since, until):
        found.append(
            judged_days(
                engine, engine.table("events"), engine.table("quarantine"), part,
                first=first, last=last, threshold=spec.threshold, kinds=kinds or spec.kinds,
            )
        )  # fmt: skip
    engine.clear_scratch()
    return pl.concat(found)


def _passes(every: pl.DataFrame, since: date | None, until: date | None) -> list[tuple[pl.DataFrame, date, date]]:
    """Sources that are looked at together: those that go on, and each one that ended long before, by itself."""
    import polars as pl

    newest = every["until"].max()
    if not isinstance(newest, date):
        day = until or since or date.min + timedelta(days=366)
        return [(every, day, day)]
    days = timedelta(days=SHOWN_DAYS - 1)
    last = until or (newest if since is None else max(newest, since))
    if since is not None or until is not None:
        return [(every, since or last - days, last)]
    going = every.filter(pl.col("until") >= newest - days)
    ended = every.filter(pl.col("until") < newest - days)
    passes = [(going, newest - days, newest)]
    return [*passes, *((part, part["until"][0] - days, part["until"][0]) for part in ended.partition_by("source"))]


def check_days(
    engine: Engine, staging: Staging, spec: AnomalySpec, *, run_id: str, now: datetime, allow: bool = False
) -> str:
    """Judge the days that the staged batch brings against those that are published, each together with what is
    published of it. Gives what was found in words. Raises QualityStop when `spec` says so, unless `allow`.

    A source with less than two weeks published, and what is older than its first day there, is let through.
    """
    if spec.action == "off":
        return ""
    found = _found(engine, staging, spec, run_id, now)
    if found.is_empty():
        return ""
    worst = sentence(found.row(0, named=True))
    more = f" (and {found.height - 1:,} more)" if found.height > 1 else ""
    if spec.action == "stop" and not allow:
        raise QualityStop(
            f"{worst}{more}",
            where="quality.anomalies",
            hint="nothing was published; correct the source, or run with --allow-anomalies",
        )
    return f"{found.height:,} {'anomaly' if found.height == 1 else 'anomalies'}: {worst}{more}"


def _found(engine: Engine, staging: Staging, spec: AnomalySpec, run_id: str, now: datetime) -> pl.DataFrame:
    """The anomalies of the batch's days, the largest deviation first."""
    import ibis
    import polars as pl

    events, quarantine = engine.table("events"), engine.table("quarantine")
    with engine.attach(staging) as staged:
        published = _published(engine, events, staged)
        if published.is_empty():
            return published
        known = published["source"].unique().to_list()
        fresh = staged("events").anti_join(staged("held"), KEY).mutate(run_id=ibis.literal(run_id))
        fresh = engine.keep(fresh.filter(fresh.source.isin(known)))
        held = staged("held")
        held = engine.keep(held.filter(held.source.isin(known)))
    brought = _brought(engine, published, fresh, held, now)
    if brought.is_empty():
        return brought
    first, last = brought["day"].min(), brought["day"].max()
    assert isinstance(first, date)
    assert isinstance(last, date)
    yesterday = pl.lit(now.date() - timedelta(days=1))
    found = judged_days(
        engine,
        events.union(fresh.select(events.columns).cast(events.schema())),
        quarantine.union(held.select(quarantine.columns).cast(quarantine.schema())),
        brought.group_by("source").agg(until=pl.col("day").max()).with_columns(whole=yesterday),
        first=max(first, last - timedelta(days=SHOWN_DAYS - 1)),
        last=last,
        threshold=spec.threshold,
        kinds=spec.kinds,
    )
    engine.clear_scratch()
    rows = found.filter("anomaly").with_columns(received=pl.col("kind") == "violations")
    rows = rows.join(brought, on=["source", "day", "received"], how="semi")
    order = ["day", "kind", "source", "event", "field"]
    return rows.sort(pl.col("z").abs(), *order, descending=[True, *[False] * len(order)])


def _published(engine: Engine, events: ir.Table, staged: Callable[[str], ir.Table]) -> pl.DataFrame:
    """Events per day, of the batch's sources with a history that is long enough: source, day, known. The batch itself
    is not looked at for the others, which on a first load is all of it.
    """
    import polars as pl

    sources = staged("events").select("source").union(staged("held").select("source")).distinct()
    names = engine.polars(sources)["source"].to_list()
    found = events.filter(events.timestamp.notnull(), events.source.isin(names))
    counted = engine.polars(found.group_by("source", day=found.timestamp.date()).agg(known=found.count()))
    counted = counted.with_columns(pl.col("day").cast(pl.Date))
    return counted.filter(pl.len().over("source") >= LEAST_DAYS)


def _brought(engine: Engine, published: pl.DataFrame, fresh: ir.Table, held: ir.Table, now: datetime) -> pl.DataFrame:
    """The days of the batch that can be judged: source, day, and whether it is the day of receipt or of the event."""
    import ibis
    import polars as pl

    # Engines give times in types of their own, and only rows of equal types can be put together.
    kind = fresh.received_at.type()
    at_last = ibis.coalesce(held.received_at.cast(kind), ibis.literal(now).cast(kind))
    received = fresh.select("source", at=fresh.received_at).union(held.select("source", at=at_last))
    parts = []
    for on, rows in ((False, fresh.select("source", at=fresh.timestamp)), (True, received)):
        rows = rows.filter(rows["at"].notnull())
        days = engine.polars(rows.group_by("source", day=rows["at"].date()).agg(n=rows.count()))
        parts.append(days.with_columns(pl.col("day").cast(pl.Date), received=pl.lit(on)))
    lives = published.group_by("source").agg(born=pl.col("day").min())
    days = pl.concat(parts).join(lives, on="source").join(published, on=["source", "day"], how="left")
    share = pl.col("n") / (pl.col("n") + pl.col("known").fill_null(0))
    return days.filter(pl.col("day") >= pl.col("born"), share >= _STRAGGLERS).select("source", "day", "received")
