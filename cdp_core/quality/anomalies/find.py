"""Every series of a lake, judged: volume, missing fields, violations and new values, day by day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

from cdp_core.quality.anomalies.judge import LOOKBACK, judge
from cdp_core.quality.anomalies.series import KEY, Seen, fields, violations, volumes
from cdp_core.quality.anomalies.spec import KINDS
from cdp_core.quality.anomalies.values import judge_values, known_before, values

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.engine import Engine

SERIES = ["kind", "source", "event", "field"]


def judged_days(
    engine: Engine,
    events: ir.Table,
    held: ir.Table,
    spans: pl.DataFrame,
    *,
    first: date,
    last: date,
    threshold: float,
    kinds: Sequence[str] = KINDS,
) -> pl.DataFrame:
    """The days from `first` to `last` of every series of the sources in `spans`, and the days that they are compared
    with (without judgement).

    `spans`: source, until (the last day to look at), whole (the last day that is over). Columns: kind, source, event,
    field, day, count, total, value (the count, or the share of the total), usual, low, high, z, days, unfinished,
    values (new ones), anomaly.
    """
    import polars as pl

    events = events.filter(events.source.isin(spans["source"].to_list()))
    held = held.filter(held.source.isin(spans["source"].to_list()))
    start = first - timedelta(days=LOOKBACK)
    seen = Seen(events=events, held=held, loads=engine.table("source_loads"), first=start, last=last)
    parts: list[pl.DataFrame] = []
    counted = volumes(engine, seen)
    present = fields(engine, seen, counted) if {"missing", "new_values"} & set(kinds) else None
    if "volume" in kinds:
        parts.append(_filled(engine, events, counted, spans, seen))
    if "missing" in kinds and present is not None:
        parts.append(_missing(counted, present))
    if "violations" in kinds:
        found = violations(engine, seen).rename({"broken": "count"})
        parts.append(_of("violations", found.with_columns(event=None, field=None)))
    series = _numbered(pl.concat(parts), spans) if parts else None
    frames = [_compared(series, first, last, threshold)] if series is not None else []
    if "new_values" in kinds and present is not None:
        frames.append(_new(engine, seen, present, spans, first, last, threshold))
    return _marked(pl.concat(frames, how="diagonal_relaxed"), spans, threshold)


def _of(kind: str, rows: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    return rows.select(
        pl.lit(kind).alias("kind"), pl.col("source", "event", "field").cast(pl.String), pl.col("day").cast(pl.Date),
        pl.col("count", "total").cast(pl.Float64),
    )  # fmt: skip


def _filled(engine: Engine, events: ir.Table, counted: pl.DataFrame, spans: pl.DataFrame, seen: Seen) -> pl.DataFrame:
    """Volumes with a zero for each day without events, from the first day of an event to the last one of its source."""
    import polars as pl

    from cdp_core.quality.anomalies.series import named

    rows = named(events)
    wanted = engine.frame(counted.select(KEY).unique())
    lives = engine.polars(rows.semi_join(wanted, KEY).group_by(KEY).agg(born=rows.timestamp.min().date()))
    days = lives.join(spans.select("source", "until"), on="source").with_columns(
        pl.max_horizontal(pl.col("born").cast(pl.Date), pl.lit(seen.first)).alias("born"),
        pl.min_horizontal("until", pl.lit(seen.last)).alias("until"),
    )
    days = days.filter(pl.col("born") <= pl.col("until")).with_columns(day=pl.date_ranges("born", "until"))
    every = days.explode("day").select(*KEY, "day")
    rows = every.join(counted.select(*KEY, pl.col("day").cast(pl.Date), count="total"), on=[*KEY, "day"], how="left")
    return _of("volume", rows.with_columns(pl.col("count").fill_null(0), field=None, total=None))


def _missing(counted: pl.DataFrame, present: pl.DataFrame) -> pl.DataFrame:
    """Events of a day that lack a field; none on days without events."""
    import polars as pl

    names = present.select(*KEY, "field").unique()
    every = counted.select(*KEY, "day", "total").join(names, on=KEY)
    rows = every.join(present, on=[*KEY, "field", "day"], how="left")
    lacking = (pl.col("total") - pl.col("present").fill_null(0)).clip(lower_bound=0)
    return _of("missing", rows.with_columns(count=lacking))


def _numbered(rows: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    rows = rows.join(spans.select("source", "until"), on="source").filter(pl.col("day") <= pl.col("until"))
    return rows.drop("until").with_columns(series=pl.struct(SERIES).rank("dense").cast(pl.Int64))


def _compared(series: pl.DataFrame, first: date, last: date, threshold: float) -> pl.DataFrame:
    import polars as pl

    judged = judge(series, first=first, last=last, threshold=threshold)
    earlier = series.filter(pl.col("day") < first)
    rows = pl.concat([earlier, judged], how="diagonal_relaxed").drop("series")
    share = pl.col("total").is_not_null()
    return rows.with_columns(
        value=pl.when(share).then(pl.col("count") / pl.col("total")).otherwise(pl.col("count")),
        low=pl.when(~share).then(pl.col("low")).when(pl.col("high").is_not_null()).then(0.0),
    )


def _new(
    engine: Engine, seen: Seen, present: pl.DataFrame, spans: pl.DataFrame, first: date, last: date, threshold: float
) -> pl.DataFrame:
    import polars as pl

    daily = values(engine, seen, present).with_columns(pl.col("day").cast(pl.Date))
    daily = daily.join(spans.select("source", "until"), on="source").filter(pl.col("day") <= pl.col("until"))
    judged = judge_values(daily, first=first, last=last, threshold=threshold)
    candidates = judged.filter(pl.col("z") > threshold).explode("values").rename({"values": "value"})
    if candidates.height:
        known = known_before(engine, seen.events, candidates, seen.first)
        judged = judge_values(daily, first=first, last=last, threshold=threshold, known=known)
    return judged.with_columns(
        kind=pl.lit("new_values"), value=pl.col("count"), low=pl.when(pl.col("z").is_not_null()).then(0.0)
    )


def _marked(rows: pl.DataFrame, spans: pl.DataFrame, threshold: float) -> pl.DataFrame:
    """Fewer events than usual are no anomaly before the day is over; of shares and new values only more are one."""
    import polars as pl

    rows = rows.join(spans.select("source", "whole"), on="source")
    rows = rows.with_columns(unfinished=pl.col("day") > pl.col("whole"))
    fewer = (pl.col("kind") == "volume") & (pl.col("z") < -threshold) & ~pl.col("unfinished")
    if "values" not in rows.columns:
        rows = rows.with_columns(values=pl.lit(None, pl.List(pl.String)))
    columns = [*SERIES, "day", "count", "total", "value", "usual", "low", "high", "z", "days", "unfinished", "values"]
    return rows.select(*columns, anomaly=((pl.col("z") > threshold) | fewer).fill_null(False)).sort([*SERIES, "day"])
