"""Merges that a rule has held: what a person has to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from cdp_core.identity.overrides import pair_id

if TYPE_CHECKING:
    from cdp_core.engine import Engine

_PAIR = ["left_type", "left_value", "right_type", "right_value"]


def queue(engine: Engine, *, demoted: bool = False) -> pl.DataFrame:
    """One row per two identifiers that would have to be linked, those that most rows ask for first.

    Columns: review_id, rule, left_type, left_value, right_type, right_value, left_profile_id, right_profile_id,
    identifiers (how many were held because of it), detail, first_at (UTC), source. `demoted` adds what limits demoted.
    """
    table = engine.table("identity_conflicts")
    actions = ["held", "demoted"] if demoted else ["held"]
    rows = engine.polars(table.filter(table.action.isin(actions), table.left_type.notnull()))
    grouped = rows.sort("at", nulls_last=True).group_by(*_PAIR, maintain_order=True)
    each = grouped.agg(
        pl.col("rule", "detail", "source").first(), first_at=pl.col("at").min(), identifiers=pl.len().cast(pl.Int64)
    )
    owners = engine.table("user_identifiers").select("type", "value", "profile_id")
    for side in ("left", "right"):
        kinds = {f"{side}_type": pl.String, f"{side}_value": pl.String}
        asked = engine.frame(each.select(pl.col(n).cast(k) for n, k in kinds.items()).unique())
        named = engine.polars(owners.semi_join(asked, [("type", f"{side}_type"), ("value", f"{side}_value")]))
        named = named.rename({"type": f"{side}_type", "value": f"{side}_value", "profile_id": f"{side}_profile_id"})
        each = each.join(named, on=list(kinds), how="left", maintain_order="left")
    ids = [pair_id((a, b), (c, d)) for a, b, c, d in each.select(_PAIR).iter_rows()]
    shown = ("rule", *_PAIR, "left_profile_id", "right_profile_id", "identifiers", "detail", "first_at", "source")
    found = each.with_columns(pl.Series("review_id", ids, dtype=pl.String)).select("review_id", *shown)
    return found.sort("identifiers", "first_at", "review_id", descending=[True, False, False], nulls_last=True)
