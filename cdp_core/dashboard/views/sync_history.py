"""Runs of syncs: what each did, how deliveries went day by day, and the rows of one run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard.views import sync_rows
from cdp_core.privacy import masking

if TYPE_CHECKING:
    import polars as pl

RUNS = 100
DAYS = 90
OUTCOMES = {"delivered": "Delivered", "removed": "Removed", "failed": "Refused", "withheld": "Withheld"}
STATUSES = {
    "succeeded": "Done",
    "partial": "Some rows refused",
    "running": "Running",
    "interrupted": "Broken off",
    "cancelled": "Cancelled",
}


@dataclass(frozen=True)
class Running:
    """A run that is under way in some process, since when (UTC)."""

    run_id: str
    started_at: datetime


def runs(ws: cdp.Workspace, name: str, limit: int = RUNS) -> pl.DataFrame:
    """The newest runs. Columns: run_id, status, started_at (UTC), seconds, delivered, removed, failed, pending,
    withheld, invalid, error. A run without an end that no process works on was killed: it is interrupted.
    """
    import polars as pl

    frame = ws.sync(name).history(limit)
    if "running" in frame["status"] and not ws.sync(name).running():
        frame = killed(frame)
    elif frame.height > 1:
        frame = pl.concat([frame.head(1), killed(frame.slice(1))])
    seconds = (pl.col("finished_at") - pl.col("started_at")).dt.total_milliseconds() / 1000
    counts = ("delivered", "removed", "failed", "pending", "withheld", "invalid")
    error = pl.when(pl.col("status") != "cancelled").then(pl.col("error"))
    return frame.select("run_id", "status", "started_at", seconds.alias("seconds"), *counts, error.alias("error"))


def killed(frame: pl.DataFrame) -> pl.DataFrame:
    """Runs that say they are running are interrupted ones."""
    import polars as pl

    dead = pl.col("status") == "running"
    return frame.with_columns(
        status=pl.when(dead).then(pl.lit("interrupted")).otherwise(pl.col("status")),
        error=pl.when(dead).then(pl.lit("its process was ended; the next run sends the rest")).otherwise("error"),
    )


def running(ws: cdp.Workspace, name: str) -> Running | None:
    """The run of a sync that is under way now, whichever process works on it."""
    newest = ws.sync(name).history(1)
    if newest.is_empty() or newest["status"][0] != "running" or not ws.sync(name).running():
        return None
    return Running(newest["run_id"][0], newest["started_at"][0])


def by_day(ws: cdp.Workspace, name: str, days: int = DAYS) -> pl.DataFrame:
    """Rows by outcome of the last days on which the sync ran. Columns: day, outcome, rows, order."""
    import polars as pl

    own = ws.table("sync_runs")
    own = own.filter((own.sync == name) & (own.started_at >= ws.now - timedelta(days=days)))
    grouped = own.group_by(day=own.started_at.truncate("D")).agg(
        **{kind: own[kind].fill_null(0).sum().cast("int64") for kind in OUTCOMES}
    )
    frame = ws.polars(grouped.order_by("day"))
    long = frame.unpivot(list(OUTCOMES), index="day", variable_name="kind", value_name="rows")
    places = {kind: place for place, kind in enumerate(OUTCOMES)}
    return (
        long.filter(pl.col("rows") > 0)
        .select(
            "day",
            pl.col("kind").replace_strict(OUTCOMES, return_dtype=pl.String).alias("outcome"),
            "rows",
            pl.col("kind").replace_strict(places, return_dtype=pl.Int64).alias("order"),
        )
        .sort("day", "order")
    )


def rows_of(ws: cdp.Workspace, name: str, run_id: str, page: int, size: int, reveal: bool) -> tuple[int, pl.DataFrame]:
    """How many rows a run settled, and one page of them. Columns: key, profile_id, operation, status, error,
    sent_at (UTC).
    """
    log = ws.table("sync_log")
    own = log.filter((log.sync == name) & (log.run_id == run_id))
    total = int(ws.polars(own.aggregate(n=own.count())).item())
    worst_first = own.order_by([(own.status == "delivered").asc(), own.status, own.key])
    columns = ("key", "profile_id", "operation", "status", "error", "sent_at")
    frame = ws.polars(worst_first.select(*columns).limit(size, offset=(page - 1) * size))
    return total, sync_rows.masked(ws, name, frame, reveal)


def summary_of_run(row: dict[str, Any]) -> str:
    """
    >>> summary_of_run({"delivered": 1200, "removed": 0, "failed": 2, "pending": 0, "withheld": 0})
    '1,200 delivered · 2 refused'
    """
    words = {**{kind: text.lower() for kind, text in OUTCOMES.items()}, "pending": "still to send"}
    said = [f"{f.number(row[kind])} {text}" for kind, text in words.items() if row[kind]]
    return " · ".join(said) or "nothing to send"


def sent_about(ws: cdp.Workspace, identifier: str, reveal: bool, limit: int = 500) -> pl.DataFrame:
    """Everything ever sent about a person, newest first. Columns: destination, sync, operation, sent_at (UTC),
    status, reason. Raises UsageError when there is nobody.
    """
    import polars as pl

    frame = ws.sent(identifier).head(limit)
    why = [
        None if row["error"] is None else sync_rows.why(row["status"], row["error"])
        for row in frame.select("status", "error").to_dicts()
    ]
    frame = frame.with_columns(reason=pl.Series(why, dtype=pl.String))
    frame = frame if reveal else masking.mask_column(frame, "reason", "note")
    return frame.select("destination", "sync", "operation", "sent_at", "status", "reason", "run_id")
