"""Consent of everybody, ready to draw; and of one customer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cdp_core as cdp
from cdp_core.dashboard import formatting as f

if TYPE_CHECKING:
    import polars as pl

STATES = ("granted", "denied", "conflict", "unknown")
WORDS = {"granted": "Granted", "denied": "Denied", "conflict": "In conflict", "unknown": "Not said"}


@dataclass(frozen=True)
class Consents:
    """`shares`: category, state (in words), profiles, share, order. `weeks`: week, category, standing, granted, denied.
    `uses`: category, destination, sync, profiles, withheld, reached. `categories` as they are called in data.
    """

    profiles: int
    categories: list[str]
    totals: dict[str, int]
    shares: pl.DataFrame
    weeks: pl.DataFrame
    uses: pl.DataFrame


def consents(ws: cdp.Workspace) -> Consents:
    import polars as pl

    found = ws.consent.overview()
    names = found.categories.with_columns(pl.col("category").map_elements(f.label, return_dtype=pl.String))
    long = names.unpivot(on=STATES, index="category", variable_name="state", value_name="profiles")
    order = {state: place for place, state in enumerate(STATES)}
    shares = long.with_columns(
        order=pl.col("state").replace_strict(order, return_dtype=pl.Int64),
        state=pl.col("state").replace(WORDS),
        share=pl.col("profiles") / max(found.profiles, 1),
    )
    weeks = found.weeks.with_columns(pl.col("category").map_elements(f.label, return_dtype=pl.String))
    uses = found.uses.with_columns(
        pl.col("category", "sync", "destination").map_elements(f.label, return_dtype=pl.String),
        reached=(pl.col("profiles") - pl.col("withheld")) / pl.col("profiles"),
    )
    totals = {state: int(found.categories[state].sum()) for state in STATES}
    return Consents(
        profiles=found.profiles, categories=found.categories["category"].to_list(), totals=totals,
        shares=shares.filter(pl.col("profiles") > 0), weeks=weeks, uses=uses,
    )  # fmt: skip


def conflicts(ws: cdp.Workspace) -> pl.DataFrame:
    """profile_id, category (in words), granted_by, denied_by, updated_at."""
    import polars as pl

    found = ws.consent.conflicts()
    return found.with_columns(pl.col("category").map_elements(f.label, return_dtype=pl.String))


def history(ws: cdp.Workspace, profile_id: str) -> pl.DataFrame:
    """category, said, at, by (in words), counts, reason, newest first."""
    import polars as pl

    found = ws.consent.history(profile_id)
    said = {"granted": "Granted", "denied": "Denied", "revoke": "Taken back"}
    noted = pl.format("Noted by {}", pl.col("actor"))
    seen = pl.format(
        "{}, {}",
        pl.col("source").map_elements(f.label, return_dtype=pl.String),
        pl.col("who").str.split(" ").list.first(),
    )
    return found.select(
        pl.col("category").map_elements(f.label, return_dtype=pl.String),
        pl.col("said").replace(said),
        "at",
        by=pl.when(pl.col("source") == "desk").then(noted).otherwise(seen),
        counts="counts",
        reason="reason",
    )
