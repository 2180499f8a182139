"""Who said what about consent and when: of one profile, and of all of them by week."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cdp_core.profiles.consents import standing, statements

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.engine import Engine


def said_by(
    engine: Engine, events: ir.Table, links: ir.Table, source_order: Sequence[str], desk: ir.Table | None
) -> pl.DataFrame:
    """Every statement of the profiles in `links`, newest first: profile_id, category, said (granted, denied), at (UTC),
    source (`desk`: here), who (device, record, user, source or person, with the name they go by), message_id (at the
    desk the decision's id), and counts, whether it is part of what is so now.
    """
    import polars as pl

    kinds: dict[str, Any] = {"profile_id": pl.String, "category": pl.String, "said": pl.String, "at": pl.Datetime("us"),
             "source": pl.String, "who": pl.String, "message_id": pl.String, "counts": pl.Boolean}  # fmt: skip
    rows = statements(engine, events, links, source_order, desk)
    if rows is None:
        return pl.DataFrame(schema=kinds)
    rows = engine.keep(rows)
    left = standing(rows).select("profile_id", "category", kept="seq")
    told = rows.left_join(
        left, [rows.profile_id == left.profile_id, rows.category == left.category, rows.seq == left.kept]
    )
    found = engine.polars(
        told.select(
            "profile_id",
            "category",
            said=(told.granted == 1).ifelse("granted", "denied"),
            at=told["at"],
            source=told.source,
            who=told.speaker,
            message_id=told.message_id,
            counts=told.kept.notnull(),
            seq=told.seq,
        )
    )
    return found.sort("at", "seq", descending=True).select(*kinds)


def by_week(
    engine: Engine,
    events: ir.Table,
    links: ir.Table,
    source_order: Sequence[str],
    desk: ir.Table | None,
    *,
    since: datetime,
    until: datetime,
) -> pl.DataFrame:
    """What was said a week, from `since` up to `until`: category, week (its Monday, UTC), granted and denied
    (statements), and standing (profiles of which the newest statement by then was a grant).
    """
    import polars as pl

    kinds: dict[str, Any] = {"category": pl.String, "week": pl.Datetime("us"), "granted": pl.Int64, "denied": pl.Int64,
             "standing": pl.Int64}  # fmt: skip
    rows = statements(engine, events, links, source_order, desk)
    if rows is None:
        return pl.DataFrame(schema=kinds)
    before = rows.granted.lag().over(group_by=[rows.profile_id, rows.category], order_by=rows.seq)
    rows = rows.mutate(step=rows.granted - before.fill_null(0), week=rows["at"].truncate("W"))
    counted = rows.group_by("category", "week").agg(granted=rows.granted.sum(), said=rows.count(), step=rows.step.sum())
    weeks = (
        engine.polars(counted)
        .sort("category", "week")
        .with_columns(
            pl.col("week").cast(pl.Datetime("us")),
            denied=pl.col("said") - pl.col("granted"),
            standing=pl.col("step").cum_sum().over("category"),
        )
    )
    found = _every_week(weeks.select(*kinds), until)
    return found.filter(pl.col("week").is_between(since, until)).cast(pl.Schema(kinds))


def _every_week(weeks: pl.DataFrame, until: datetime) -> pl.DataFrame:
    """Weeks in which nothing was said too, from the first of each category on."""
    import polars as pl

    span = (
        weeks.group_by("category")
        .agg(pl.col("week").min())
        .with_columns(week=pl.datetime_ranges("week", pl.max_horizontal("week", pl.lit(until)), "1w", time_unit="us"))
    )
    full = span.explode("week").join(weeks, on=["category", "week"], how="left").sort("category", "week")
    return full.with_columns(
        pl.col("granted", "denied").fill_null(0), pl.col("standing").forward_fill().over("category")
    )
