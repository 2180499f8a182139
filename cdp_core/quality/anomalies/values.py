"""Values that a field never had before: of fields with few different ones, such as a status or a currency.

How often a value is new by pure chance is estimated from how many values have been seen only once: their share of all
events is that of values yet unseen (Good 1953, "The population frequencies of species and the estimation of population
parameters"). What exceeds it by the threshold, in deviations of a Poisson count, is an anomaly; the deviation is half
an event at least, so that one or two odd values are none.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from cdp_core.quality.anomalies.series import KEY, MOST, Seen, named

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.engine import Engine

FEW = 50
"""A field with more different values is no list of choices."""
LEAST_EVENTS, LEAST_DAYS = 100, 14
_LEAST_SPREAD = 0.5
_SAMPLE, _LONG = 20_000, 100
_NUMBER = r"^[-+]?[0-9]+([.,:/T -][0-9]+)*Z?$"
FIELD = [*KEY, "field"]


def values(engine: Engine, seen: Seen, present: pl.DataFrame) -> pl.DataFrame:
    """How often a value occurs on a day. Columns: source, event, field, value, day, n.

    Only fields of `present` (see `series.fields`) that have few values, which are not long and not all numbers.
    """
    import polars as pl

    chosen = _choices(engine, seen, present)
    if chosen.is_empty():
        return pl.DataFrame(schema={**dict.fromkeys([*FIELD, "value"], pl.String), "day": pl.Date, "n": pl.Int64})
    rows = _spread(engine, seen.happened(), engine.frame(chosen))
    daily = engine.keep(rows.group_by([*FIELD, "value", "day"]).agg(n=rows.count()))
    every = daily.group_by(FIELD).agg(different=daily.value.nunique(), longest=daily.value.length().max())
    few = every.filter(every.different <= 2 * FEW, every.longest <= _LONG)
    found = engine.polars(daily.semi_join(few, FIELD))
    texts = (~pl.col("value").str.contains(_NUMBER)).any().over(FIELD)
    return found.filter(texts).with_columns(pl.col("n").cast(pl.Int64))


def _choices(engine: Engine, seen: Seen, present: pl.DataFrame) -> pl.DataFrame:
    """Fields that may have few values: a sample rules out most others, and what it lets through is counted in full."""
    import polars as pl

    totals = (
        present.filter(pl.col("field").str.contains(".", literal=True)).group_by(FIELD).agg(pl.col("present").sum())
    )
    totals = totals.sort(["present", *FIELD], descending=[True, False, False, False]).head(MOST)
    keys = totals.with_columns(
        bucket=pl.col("field").str.extract(r"^([^.]+)\."), key=pl.col("field").str.replace(r"^[^.]+\.", "")
    ).select(*FIELD, "bucket", "key")
    if keys.is_empty():
        return keys
    one_in = int(totals["present"].sum()) // _SAMPLE + 1
    events = seen.happened()
    events = events.filter(engine.digest(events.source, events.message_id) % one_in == 0)
    rows = _spread(engine, events, engine.frame(keys))
    counted = engine.polars(rows.group_by(FIELD).agg(different=rows.value.nunique()))
    many = counted.filter(pl.col("different") > 2 * FEW)
    return keys.join(many, on=FIELD, how="anti")


def _spread(engine: Engine, events: ir.Table, keys: ir.Table) -> ir.Table:
    """One row per event and field: source, event, field, day, value."""
    pointers = engine.keep(keys.mutate(pointer=engine.json_pointer(keys.key)))
    rows = events.inner_join(pointers, KEY)
    value = (rows.bucket == "properties").ifelse(
        engine.json_at(rows.properties, rows.pointer), engine.json_at(rows.traits, rows.pointer)
    )
    rows = rows.select(*FIELD, "day", value=value)
    return rows.filter(rows.value.notnull())


def known_before(engine: Engine, events: ir.Table, candidates: pl.DataFrame, first: date) -> pl.DataFrame:
    """Which of `candidates` (source, event, field, value) occurred before the day `first`."""
    import ibis
    import polars as pl

    split = candidates.select(*FIELD, "value").with_columns(
        bucket=pl.col("field").str.extract(r"^([^.]+)\."), key=pl.col("field").str.replace(r"^[^.]+\.", "")
    )
    fields, wanted = split.select(*FIELD, "bucket", "key").unique(), split.select(*FIELD, "value").unique()
    older = named(events.filter(events.timestamp < ibis.literal(first, "date").cast("timestamp(6)")))
    rows = _spread(engine, older.mutate(day=older.timestamp.date()), engine.frame(fields))
    return engine.polars(rows.semi_join(engine.frame(wanted), [*FIELD, "value"]).select(*FIELD, "value").distinct())


def judge_values(
    daily: pl.DataFrame, *, first: date, last: date, threshold: float, known: pl.DataFrame | None = None
) -> pl.DataFrame:
    """The days from `first` to `last` of every field, judged.

    Columns: source, event, field, day, count (events with a value that is new that day), total, usual, high, z, days
    (null where there is too little history, or the field has too many values) and values (the new ones, sorted).
    `known` values (source, event, field, value) are older than `daily` tells.
    """
    import polars as pl

    rows = daily.sort("day").with_columns(
        start=pl.col("day").min().over([*FIELD, "value"]), again=pl.col("day").shift(-1).over([*FIELD, "value"])
    )
    if known is not None and known.height:
        rows = rows.join(known.with_columns(old=True), on=[*FIELD, "value"], how="left")
    else:
        rows = rows.with_columns(old=pl.lit(None, pl.Boolean))
    fresh = (pl.col("day") == pl.col("start")) & pl.col("old").is_null()
    per_day = rows.group_by([*FIELD, "day"]).agg(
        total=pl.col("n").sum(),
        count=pl.col("n").filter(fresh).sum(),
        values=pl.col("value").filter(fresh).sort(),
        started=(pl.col("day") == pl.col("start")).sum(),
        single=((pl.col("day") == pl.col("start")) & (pl.col("n") == 1) & pl.col("old").is_null()).sum(),
    )
    per_day = per_day.join(_repeated(rows), on=[*FIELD, "day"], how="left").sort([*FIELD, "day"])
    before = {
        "seen": pl.col("total"),
        "kinds": pl.col("started"),
        "once": pl.col("single").cast(pl.Int64) - pl.col("repeated").fill_null(0).cast(pl.Int64),
    }
    sums = {name: (e.cum_sum() - e).over(FIELD) for name, e in before.items()}
    sums["days"] = pl.int_range(pl.len(), dtype=pl.Int64).over(FIELD)
    per_day = per_day.with_columns(**sums).filter(pl.col("day").is_between(first, last))
    enough = (pl.col("seen") >= LEAST_EVENTS) & (pl.col("days") >= LEAST_DAYS) & pl.col("kinds").is_between(1, FEW)
    chance = pl.col("total") * (pl.col("once") + 1) / (pl.col("seen") + 1)
    judged = per_day.with_columns(usual=pl.when(enough).then(chance))
    spread = pl.max_horizontal(pl.col("usual").sqrt(), _LEAST_SPREAD)
    return judged.select(
        *FIELD, "day", "total", "usual", "values",
        count=pl.col("count").cast(pl.Float64),
        high=pl.col("usual") + threshold * spread,
        z=(pl.col("count") - pl.col("usual")) / spread,
        days=pl.when(enough).then(pl.col("days")),
    )  # fmt: skip


def _repeated(rows: pl.DataFrame) -> pl.DataFrame:
    """Per field and day: how many values are seen for the second time that had been seen once."""
    import polars as pl

    once = (pl.col("day") == pl.col("start")) & (pl.col("n") == 1) & pl.col("old").is_null()
    second = rows.filter(once, pl.col("again").is_not_null())
    return second.group_by([*FIELD, pl.col("again").alias("day")]).agg(repeated=pl.len())
