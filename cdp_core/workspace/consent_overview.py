"""Consent of everybody at once: how many, since when, and what is held back by it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.workspace.facade import Workspace

STATES = ("granted", "denied", "conflict")


@dataclass(frozen=True, kw_only=True)
class ConsentOverview:
    """`categories`: category, granted, denied, conflict and unknown (profiles; together all of them). `weeks`:
    category, week (its Monday, UTC), granted and denied (statements), standing (profiles whose newest statement by then
    was a grant). `uses`: category, destination, sync, profiles (of the sync's model) and withheld (of them, those who
    have not granted the category).
    """

    profiles: int
    categories: pl.DataFrame
    weeks: pl.DataFrame
    uses: pl.DataFrame

    def to_dict(self) -> dict[str, Any]:
        return {
            "profiles": self.profiles,
            **{name: getattr(self, name).to_dicts() for name in ("categories", "weeks", "uses")},
        }


def overview(ws: Workspace, consents: ir.Table, *, since: datetime, until: datetime) -> ConsentOverview:
    from cdp_core.profiles.consent_history import by_week
    from cdp_core.runs.consenting import desk

    engine = ws.engine
    everybody = int(engine.polars(engine.table("profiles").count().name("n").as_table()).item())
    weeks = by_week(
        engine,
        engine.table("events"),
        engine.table("event_profiles"),
        list(ws.config.sources),
        desk(engine, ws.root, engine.table("user_identifiers")),
        since=since,
        until=until,
    )
    return ConsentOverview(
        profiles=everybody, categories=_categories(ws, consents, everybody), weeks=weeks, uses=_uses(ws, consents)
    )


def _categories(ws: Workspace, consents: ir.Table, everybody: int) -> pl.DataFrame:
    import polars as pl

    counted = ws.polars(consents.group_by("category", "state").agg(n=consents.count()))
    needed = {name for spec in ws.config.destinations.values() for name in spec.consent}
    names = pl.DataFrame({"category": sorted({*counted["category"], *needed})}, schema={"category": pl.String})
    for state in STATES:
        of_state = counted.filter(pl.col("state") == state).select("category", pl.col("n").cast(pl.Int64).alias(state))
        names = names.join(of_state, on="category", how="left")
    known = names.with_columns(pl.col(STATES).fill_null(0)).sort("category")
    return known.with_columns(unknown=everybody - pl.sum_horizontal(STATES))


def _uses(ws: Workspace, consents: ir.Table) -> pl.DataFrame:
    """Every category that a destination needs, with the syncs that go there; a destination without one stands alone."""
    import polars as pl

    kinds: dict[str, Any] = {"category": pl.String, "destination": pl.String, "sync": pl.String, "profiles": pl.Int64,
             "withheld": pl.Int64}  # fmt: skip
    rows: list[tuple[str, str, str | None, int | None, int | None]] = []
    for destination, spec in ws.config.destinations.items():
        syncs = [name for name, sync in ws.config.syncs.items() if sync.destination == destination]
        for category in spec.consent:
            rows += [(category, destination, name, *_withheld(ws, consents, name, category)) for name in syncs]
            rows += [] if syncs else [(category, destination, None, None, None)]
    return pl.DataFrame(rows, schema=kinds, orient="row").sort("category", "destination", "sync")


def _withheld(ws: Workspace, consents: ir.Table, sync: str, category: str) -> tuple[int | None, int | None]:
    """How many profiles the model of a sync has, and how many of them have not granted the category; None where its
    rows are no profiles'.
    """
    rows = ws.sync(sync).people()
    if rows is None:
        return None, None
    granted = consents.filter(consents.category == category, consents.state == "granted").select("profile_id")
    people = ws.engine.keep(rows)
    left = people.anti_join(granted, "profile_id")
    first, second = (int(ws.polars(t.count().name("n").as_table()).item()) for t in (people, left))
    return first, second


def conflicts(ws: Workspace, consents: ir.Table, limit: int | None) -> pl.DataFrame:
    import polars as pl

    from cdp_core.profiles.consent_history import said_by
    from cdp_core.runs.consenting import desk

    engine = ws.engine
    rows = consents.filter(consents.state == "conflict").order_by(consents.updated_at.desc(), "profile_id", "category")
    found = ws.polars(rows.limit(limit).select("profile_id", "category", "updated_at"))
    people = engine.frame(found.select("profile_id").unique())
    links, known = (
        engine.table(name).semi_join(people, "profile_id") for name in ("event_profiles", "user_identifiers")
    )
    events = engine.table("events").semi_join(links, ["source", "message_id"])
    said = said_by(engine, events, links, list(ws.config.sources), desk(engine, ws.root, known)).filter("counts")
    for name, state in (("granted_by", "granted"), ("denied_by", "denied")):
        sides = said.filter(pl.col("said") == state).group_by("profile_id", "category")
        listed = sides.agg(pl.col("source").unique().sort().str.join(", ").alias(name))
        found = found.join(listed, on=["profile_id", "category"], how="left")
    return found.sort("updated_at", "profile_id", "category", descending=[True, False, False]).select(
        "profile_id", "category", "granted_by", "denied_by", "updated_at"
    )
