"""Up to which day a source can be judged: it may not have been loaded yet, or the day may not be over."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.engine import Engine

_PATIENCE = 1.5
_LOADS = 10
_ARCHIVE_DAYS = 7
"""Data this much older than their load are an archive, which may end in the middle of a day."""


def spans(engine: Engine, *, now: datetime) -> pl.DataFrame:
    """Columns: source, until (the last day to look at), whole (the last day that is over).

    A source is looked at until its newest event. Where loads brought events every so often (`source_loads`) and have
    brought none for more than one and a half times the longest pause between the last ten, it is silent: then it is
    looked at until yesterday. `now` is UTC; events that lie after it do not count.
    """
    import polars as pl

    events, loads = engine.table("events"), engine.table("source_loads")
    events = events.filter(events.timestamp <= now)
    newest = engine.polars(events.group_by("source").agg(newest=events.timestamp.max().date()))
    loads = loads.filter(loads.events > 0)
    times = engine.polars(loads.select("source", "loaded_at").distinct()).sort("loaded_at")
    recent = times.group_by("source").tail(_LOADS)
    pauses = recent.group_by("source").agg(
        loaded=pl.col("loaded_at").max(), pause=pl.col("loaded_at").diff().max(), loads=pl.len()
    )
    rows = newest.with_columns(pl.col("newest").cast(pl.Date)).join(pauses, on="source", how="left")
    patience = pl.col("pause") * _PATIENCE + pl.duration(days=1)
    silent = (pl.col("loads") > 1) & (pl.lit(now) - pl.col("loaded") > patience)
    today, loaded = pl.lit(now.date()), pl.col("loaded").dt.date()
    archived = loaded - pl.col("newest") > pl.duration(days=_ARCHIVE_DAYS)
    day = timedelta(days=1)
    until = pl.when(silent.fill_null(False)).then(pl.max_horizontal(today - day, pl.col("newest")))
    rows = rows.with_columns(until=until.otherwise(pl.col("newest")))
    ended = (
        pl.when(silent.fill_null(False)).then(today - day).when(archived.fill_null(False)).then(pl.col("newest") - day)
    )
    return rows.select("source", "until", whole=ended.otherwise(pl.min_horizontal(today, loaded) - day))
