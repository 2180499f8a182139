"""Tracking plans: which source keeps to which, what breaks them, and how that went over the runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import cdp_core as cdp

if TYPE_CHECKING:
    import polars as pl

RUNS = 12
MOST = 200
_CONTROLS = ("unplanned_events", "unplanned_properties", "violations", "common")


def used(ws: cdp.Workspace) -> pl.DataFrame:
    """Columns: source, plan, unplanned_events, unplanned_properties, violations, common (what follows from each)."""
    import polars as pl

    rows: list[dict[str, Any]] = []
    for name, source in ws.config.sources.items():
        if source.plan is not None:
            rows.append({"source": name, "plan": source.plan.name, **source.plan.controls.model_dump()})
    return pl.DataFrame(rows, schema=dict.fromkeys(("source", "plan", *_CONTROLS), pl.String))


def broken(ws: cdp.Workspace) -> pl.DataFrame:
    """What broke a plan, most often first: source, event, what, rule, severity, events, first_seen, last_seen, sample
    (message ids).
    """
    import polars as pl

    table = ws.table("violations")
    table = table.filter(table.rule.startswith("plan."))
    found = table.group_by(["source", "event", "rule", "field", "description", "severity"]).agg(
        events=table["count"].sum().cast("int64"),
        first_seen=table.first_seen.min(),
        last_seen=table.last_seen.max(),
        sample=table["sample"].max(),
    )
    frame = ws.polars(found.order_by([found.events.desc(), found.source, found.rule, found.field]).limit(MOST))
    return frame.select(
        "source",
        "event",
        in_words().alias("what"),
        "rule",
        "severity",
        "events",
        "first_seen",
        "last_seen",
        pl.col("sample").map_elements(_ids, return_dtype=pl.String),
    )


def in_words() -> pl.Expr:
    """Field and description of a finding as one sentence."""
    import polars as pl

    named = (pl.col("rule") != "plan.unplanned_event") & (pl.col("field").fill_null("") != "")
    return pl.when(named).then(pl.format("{} {}", "field", "description")).otherwise("description")


def over_time(ws: cdp.Workspace) -> pl.DataFrame:
    """The last runs that loaded something, oldest first: run (its start), events (findings in it)."""
    import polars as pl

    table, runs, loads = ws.table("violations"), ws.table("runs"), ws.table("source_loads")
    table = table.filter(table.rule.startswith("plan."))
    newest = runs.semi_join(loads, "run_id").order_by(runs.started_at.desc()).limit(RUNS)
    counted = table.group_by("run_id").agg(events=table["count"].sum().cast("int64"))
    joined = newest.select("run_id", "started_at").left_join(counted, "run_id")
    frame = ws.polars(joined.select("started_at", "events")).sort("started_at")
    return frame.select(run=pl.col("started_at").dt.strftime("%d %b %H:%M"), events=pl.col("events").fill_null(0))


def _ids(text: str) -> str:
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return ", ".join(map(str, found)) if isinstance(found, list) else text


def previewed(found: pl.DataFrame) -> pl.DataFrame:
    """The frame of a preview for people: event, what, action, count, sample."""
    import polars as pl

    return found.select(
        pl.coalesce("event", "type").alias("event"),
        in_words().alias("what"),
        "action",
        "count",
        pl.col("sample").cast(pl.List(pl.String)).list.join(", "),
    )
