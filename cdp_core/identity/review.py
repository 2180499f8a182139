"""Merges that a rule has held: what a person has to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from cdp_core.identity.overrides import pair_id

if TYPE_CHECKING:
    from cdp_core.engine import Engine

_PAIR = ["left_type", "left_value", "right_type", "right_value"]


_SHOWN = (
    "left_profile_id",
    "right_profile_id",
    "identifiers",
    "probability",
    "detail",
    "first_at",
    "source",
    "evidence",
)


def queue(engine: Engine, *, demoted: bool = False) -> pl.DataFrame:
    """One row per two identifiers that would have to be linked, those that most rows ask for first, then the likeliest.

    Columns: review_id, rule, left_type, left_value, right_type, right_value, left_profile_id, right_profile_id,
    identifiers (how many were held because of it), probability (of a match, 0 to 1), detail, first_at (UTC), source,
    evidence (of a match, for `waterfall`). `demoted` adds what limits demoted.
    """
    each = pl.concat([_held(engine, demoted), _alike(engine)], how="diagonal").cast(_KINDS)  # type: ignore[arg-type]
    owners = engine.table("user_identifiers").select("type", "value", "profile_id")
    for side in ("left", "right"):
        ends = [f"{side}_type", f"{side}_value"]
        asked = engine.frame(each.select(ends).unique())
        named = engine.polars(owners.semi_join(asked, [("type", ends[0]), ("value", ends[1])]))
        named = named.rename({"type": ends[0], "value": ends[1], "profile_id": f"{side}_profile_id"})
        each = each.join(named, on=ends, how="left", maintain_order="left")
    each = each.filter(pl.col("left_profile_id").ne_missing(pl.col("right_profile_id")))
    ids = [pair_id((a, b), (c, d)) for a, b, c, d in each.select(_PAIR).iter_rows()]
    found = each.with_columns(pl.Series("review_id", ids, dtype=pl.String))
    order = ["identifiers", "probability", "first_at", "review_id"]
    shown = found.select("review_id", "rule", *_PAIR, *_SHOWN)
    return shown.sort(order, descending=[True, True, False, False], nulls_last=True)


_KINDS = {
    **dict.fromkeys(("rule", "detail", "source", "evidence", *_PAIR), pl.String),
    "identifiers": pl.Int64,
    "probability": pl.Float64,
    "first_at": pl.Datetime("us"),
}


def _held(engine: Engine, demoted: bool) -> pl.DataFrame:
    table = engine.table("identity_conflicts")
    actions = ["held", "demoted"] if demoted else ["held"]
    rows = engine.polars(table.filter(table.action.isin(actions), table.left_type.notnull()))
    grouped = rows.sort("at", nulls_last=True).group_by(*_PAIR, maintain_order=True)
    firsts = pl.col("rule", "detail", "source").first()
    each = grouped.agg(firsts, first_at=pl.col("at").min(), identifiers=pl.len().cast(pl.Int64))
    return each.with_columns(probability=pl.lit(None, pl.Float64), evidence=pl.lit(None, pl.String))


def _alike(engine: Engine) -> pl.DataFrame:
    rows = engine.polars(engine.table("identity_matches"))
    return rows.select(
        *_PAIR,
        "probability",
        "evidence",
        rule=pl.lit("match"),
        source=pl.lit("matching"),
        detail=pl.format("alike: match weight {} bits", pl.col("match_weight").round(1)),
        first_at="at",
        identifiers=pl.lit(None, pl.Int64),
    )
