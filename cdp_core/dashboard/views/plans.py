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


def holds(ws: cdp.Workspace, plan: str, source: str) -> bool:
    """Whether a source keeps to this plan and holds anything that does not."""
    use = ws.config.sources[source].plan
    return use is not None and use.name == plan and "block" in use.controls.model_dump().values()


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
        pl.col("sample").map_elements(ids_in_words, return_dtype=pl.String),
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


def ids_in_words(text: str) -> str:
    """A JSON list of message ids, with commas."""
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


def frame_of(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """The table of a form: rows of `plan_form.table`, with columns whose types hold when there are none."""
    import polars as pl

    schema: dict[str, Any] = {"name": pl.String, "type": pl.List(pl.String), "required": pl.Boolean,
        "enum": pl.List(pl.String), "minimum": pl.Float64, "maximum": pl.Float64, "pattern": pl.String,
        "format": pl.String, "min_length": pl.Float64, "max_length": pl.Float64, "description": pl.String}  # fmt: skip
    return pl.DataFrame(rows, schema=schema)


def seen(ws: cdp.Workspace, source: str) -> Any:
    """What the newest events of a source hold, in the shape of a plan."""
    return ws.plans.seen(source)


def unplanned(ws: cdp.Workspace, seen: Any, plan: dict[str, Any]) -> list[Any]:
    """What is seen and not planned."""
    return list(ws.plans.unplanned(seen, plan))


def suggestion_label(suggestion: Any) -> str:
    """A suggestion on a button: its name, its type, how often it is there."""
    if len(suggestion.path) <= 2:
        name = suggestion.path[-1] if suggestion.path[0] == "events" else f"every {suggestion.path[0]}"
        return f"{name} · {suggestion.rule.get('description', 'event')}"
    rule = suggestion.rule
    kind = rule.get("type")
    kinds = " or ".join(kind) if isinstance(kind, list) else str(kind or "any")
    often = "always" if rule.get("required") else rule.get("description", "")
    return " · ".join(part for part in (suggestion.path[-1], kinds, often) if part)
