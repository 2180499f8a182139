"""What the rules held back, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from cdp_core.identity.identifiers import Known, Seen
from cdp_core.tables import IDENTITY_CONFLICTS

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine


def conflicts(engine: Engine, seen: Seen, known: Known, demoted: pl.DataFrame, ids: ir.Table) -> ir.Table:
    """tables.IDENTITY_CONFLICTS: values that identify nobody once each, and demotions once per value and profile."""
    parts = [_ignored(engine, seen, known), _demoted(engine, known, demoted, ids)]
    return engine.frame(pl.concat(parts))


def _ignored(engine: Engine, seen: Seen, known: Known) -> pl.DataFrame:
    """Blocked and invalid values, counted per value: action ignored, source null when several sources say it."""
    problems = known.values.filter(pl.col("problem").is_not_null())
    if problems.is_empty():
        return IDENTITY_CONFLICTS.empty()
    bad = engine.frame(problems.select("type", "raw", "as_type", "shown", "problem"))
    found = seen.parts.join(bad, ["type", "raw"]).select("tuple", "as_type", "shown", "problem").distinct()
    found = found.join(seen.uses, "tuple")
    counted = engine.polars(
        found.group_by(["as_type", "shown", "problem"]).agg(
            at=found.first_seen.min(),
            events=found.events.sum().cast("int64"),
            first_source=found.source.min(),
            last_source=found.source.max(),
        )
    )
    one = pl.when(pl.col("first_source") == pl.col("last_source")).then("first_source")
    return _shaped(
        counted.with_columns(
            type="as_type",
            value="shown",
            rule="problem",
            action=pl.lit("ignored"),
            source=one,
            detail=_in_events(pl.col("events")),
        )
    )


def _demoted(engine: Engine, known: Known, demoted: pl.DataFrame, ids: ir.Table) -> pl.DataFrame:
    """Identifiers that did not join: profile_id is where the events went, `candidates` whom they would have joined."""
    if demoted.is_empty():
        return IDENTITY_CONFLICTS.empty()
    grouped = demoted.sort("at", "source", "message_id", nulls_last=True).group_by(
        "node", "profile", "rule", maintain_order=True
    )
    firsts = pl.col("count", "limit", "source", "message_id", "at").first()
    each = grouped.agg(firsts, pl.col("candidates").explode().unique(), pl.col("events").sum())
    each = each.with_row_index("row").join(known.frame.select("node", "type", "value"), on="node")
    wanted = pl.concat([each["profile"], each["candidates"].explode()]).unique().to_frame("profile")
    names = engine.polars(ids.semi_join(engine.frame(wanted), "profile"))
    others = each.select("row", pl.col("candidates").alias("profile")).explode("profile").join(names, on="profile")
    listed = others.group_by("row").agg(candidates=pl.col("profile_id").sort())
    what = pl.col("rule").str.strip_prefix("limit:")
    return _shaped(
        each.drop("candidates")
        .join(names, on="profile")
        .join(listed, on="row", how="left")
        .with_columns(
            action=pl.lit("demoted"),
            candidates='["' + pl.col("candidates").list.join('","') + '"]',
            detail=pl.format("would give {} {}, limit {}; {}", "count", what, "limit", _in_events(pl.col("events"))),
        )
    )


def _in_events(count: pl.Expr) -> pl.Expr:
    return pl.when(count == 1).then(pl.lit("in 1 event")).otherwise(pl.format("in {} events", count))


def _shaped(rows: pl.DataFrame) -> pl.DataFrame:
    schema = IDENTITY_CONFLICTS.polars_schema()
    present = [pl.col(c).cast(k) if c in rows.columns else pl.lit(None, k).alias(c) for c, k in schema.items()]
    return rows.select(present)
