"""What the rules held back, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from cdp_core.identity.bridges import RULE as BRIDGE
from cdp_core.identity.identifiers import Known, Seen
from cdp_core.identity.overrides import NEVER
from cdp_core.identity.shared import shared_rows
from cdp_core.identity.spec import IdentitySpec
from cdp_core.identity.totals import HOLD_SIZE, HOLD_USERS
from cdp_core.tables import IDENTITY_CONFLICTS

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine


SHARED, SET_ASIDE, IGNORED = "shared", "set_aside", "ignored"


def conflicts(
    engine: Engine,
    seen: Seen,
    known: Known,
    demoted: pl.DataFrame,
    ids: ir.Table,
    shared: pl.DataFrame,
    spec: IdentitySpec,
) -> ir.Table:
    """tables.IDENTITY_CONFLICTS: values that identify nobody and those that too many use, once each, and what was
    demoted or held, once per value and profile.
    """
    parts = [ignored(engine, seen, known), _demoted(engine, known, demoted, ids)]
    if shared.height:
        parts.append(set_aside_rows(engine, seen, known, shared, spec))
    return engine.frame(pl.concat(parts))


def set_aside_rows(engine: Engine, seen: Seen, known: Known, shared: pl.DataFrame, spec: IdentitySpec) -> pl.DataFrame:
    """Identifiers that too many use (`shared`: node, user_ids), one row each."""
    rows = shared_rows(engine, seen, known, shared)
    named = rows.with_columns(rule=pl.lit(SHARED), action=pl.lit(SET_ASIDE), held=pl.col("user_ids"))
    return _shaped(named.with_columns(detail=set_aside_words(spec)))


def set_aside_words(spec: IdentitySpec) -> pl.Expr:
    """`held` and `events` of such a row in words."""
    return pl.format("seen with {} user_ids, limit {}; in {} events", "held", pl.lit(spec.shared or 0), "events")


def ignored(engine: Engine, seen: Seen, known: Known) -> pl.DataFrame:
    """Blocked and invalid values, one row each: action ignored, source null when several sources say it."""
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
            action=pl.lit(IGNORED),
            source=one,
            detail=in_events(pl.col("events")),
        )
    )


def _demoted(engine: Engine, known: Known, demoted: pl.DataFrame, ids: ir.Table) -> pl.DataFrame:
    """Identifiers that did not join: profile_id is where the events went, `candidates` whom they would have joined,
    left and right the two identifiers that would have to be linked for that.
    """
    if demoted.is_empty():
        return IDENTITY_CONFLICTS.empty()
    grouped = demoted.sort("at", "source", "message_id", nulls_last=True).group_by(
        "node", "profile", "rule", maintain_order=True
    )
    firsts = pl.col("count", "limit", "source", "message_id", "at", "left", "right").first()
    each = grouped.agg(firsts, pl.col("candidates").explode().unique(), pl.col("events").sum())
    each = each.with_row_index("row").join(known.frame.select("node", "type", "value"), on="node")
    for side in ("left", "right"):
        ends = known.frame.select(
            pl.col("node").alias(side), pl.col("type").alias(f"{side}_type"), pl.col("value").alias(f"{side}_value")
        )
        each = each.join(ends, on=side, how="left")
    wanted = pl.concat([each["profile"], each["candidates"].explode()]).unique().to_frame("profile")
    names = engine.polars(ids.semi_join(engine.frame(wanted), "profile"))
    others = each.select("row", pl.col("candidates").alias("profile")).explode("profile").join(names, on="profile")
    listed = others.group_by("row").agg(candidates=pl.col("profile_id").sort())
    return _shaped(
        each.drop("candidates")
        .join(names, on="profile")
        .join(listed, on="row", how="left")
        .with_columns(
            action=pl.when(pl.col("rule").str.starts_with("hold:")).then(pl.lit("held")).otherwise(pl.lit("demoted")),
            held=pl.col("count"),
            candidates='["' + pl.col("candidates").list.join('","') + '"]',
            detail=pl.format("{}; {}", _why(), in_events(pl.col("events"))),
        )
    )


def _why() -> pl.Expr:
    """What a demotion's rule, count and limit mean, in words."""
    what = pl.col("rule").str.strip_prefix("limit:")
    words = {
        NEVER: pl.lit("would join what is never to be linked"),
        HOLD_USERS: pl.format("would join {} user_ids", "count"),
        HOLD_SIZE: pl.format("would give {} identifiers, held beyond {}", "count", "limit"),
        BRIDGE: pl.lit("would hang on a single event"),
    }
    said = pl.format("would give {} {}, limit {}", "count", what, "limit")
    for rule, text in words.items():
        said = pl.when(pl.col("rule") == rule).then(text).otherwise(said)
    return said


def in_events(count: pl.Expr) -> pl.Expr:
    """How many, in words."""
    return pl.when(count == 1).then(pl.lit("in 1 event")).otherwise(pl.format("in {} events", count))


def _shaped(rows: pl.DataFrame) -> pl.DataFrame:
    schema = IDENTITY_CONFLICTS.polars_schema()
    present = [pl.col(c).cast(k) if c in rows.columns else pl.lit(None, k).alias(c) for c, k in schema.items()]
    return rows.select(present)
