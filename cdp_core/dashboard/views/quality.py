"""Quality: suites with their results, how they went over time, and the rows held in quarantine."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard.views.plans import ids_in_words
from cdp_core.privacy import masking

if TYPE_CHECKING:
    import polars as pl

RUNS = 30


@dataclass(frozen=True)
class Summary:
    """Expectations passed, failed and never checked; rows held now; when it was last checked (UTC)."""

    passed: int
    failed: int
    unchecked: int
    held: int
    checked_at: Any


def summary(ws: cdp.Workspace) -> Summary:
    import polars as pl

    frame = ws.suites()
    held = ws.table("quarantine")
    held = held.filter(held.status == "held")
    count = ws.polars(held.aggregate(n=held.count())).item()
    return Summary(
        passed=frame.filter(pl.col("success").eq(True)).height,
        failed=frame.filter(pl.col("success").eq(False)).height,
        unchecked=frame.filter(pl.col("success").is_null()).height,
        held=int(count),
        checked_at=frame["at"].max() if frame.height else None,
    )


def rules(ws: cdp.Workspace) -> pl.DataFrame:
    """Every expectation with its last result: suite, target, rule, field, severity, description, checked, failed,
    outcome (passed, failed, not checked), share (of rows that passed), at (UTC)."""
    import polars as pl

    frame = ws.suites()
    outcome = (
        pl.when(pl.col("success").is_null())
        .then(pl.lit("not checked"))
        .when(pl.col("success"))
        .then(pl.lit("passed"))
        .otherwise(pl.lit("failed"))
    )
    share = pl.when(pl.col("checked") > 0).then(1 - pl.col("failed") / pl.col("checked")).otherwise(None)
    return frame.with_columns(outcome=outcome, share=share)


def over_time(ws: cdp.Workspace) -> pl.DataFrame:
    """Columns: run (UTC time), suite, passed, expectations, share; the last runs that checked anything."""
    import polars as pl

    results = ws.table("quality_results")
    counted = results.group_by(["run_id", "suite"]).agg(
        at=results["at"].max(), passed=results.success.sum(), expectations=results.count()
    )
    runs = ws.table("runs").select("run_id", "started_at")
    joined = counted.inner_join(runs, "run_id")
    frame = ws.polars(joined.order_by(joined.started_at.desc()).limit(RUNS * 12))
    return frame.with_columns(share=pl.col("passed") / pl.col("expectations")).sort("started_at", "suite")


def held_by(ws: cdp.Workspace) -> pl.DataFrame:
    """Which rules rows break, most often first. Columns: source, event (of a track), rule, field, description,
    severity, rows (in all runs), first_seen, last_seen (UTC, when such rows were received), sample (message ids).
    """
    import polars as pl

    table = ws.table("violations")
    counted = table.group_by(["source", "event", "rule", "field", "description", "severity"]).agg(
        rows=table["count"].sum().cast("int64"),
        first_seen=table.first_seen.min(),
        last_seen=table.last_seen.max(),
        sample=table["sample"].max(),
    )
    frame = ws.polars(counted.order_by([counted.rows.desc(), counted.rule, counted.event]).limit(100))
    return frame.with_columns(pl.col("sample").map_elements(ids_in_words, return_dtype=pl.String))


def sources(ws: cdp.Workspace) -> dict[str, int]:
    """Source → rows held now."""
    held = ws.table("quarantine")
    held = held.filter(held.status == "held")
    frame = ws.polars(held.group_by("source").agg(n=held.count()).order_by("source"))
    return dict(zip(frame["source"].to_list(), frame["n"].to_list(), strict=True))


@dataclass(frozen=True)
class Held:
    """One row in quarantine: every reason in words, the original content as it came."""

    source: str
    message_id: str
    received_at: Any
    reasons: list[str]
    payload: str
    status: str


def quarantine(
    ws: cdp.Workspace, source: str | None, rule: str | None, page: int, size: int, reveal: bool
) -> tuple[int, list[Held]]:
    """How many rows are held (of a source, for a rule), and one page of them, newest first."""
    table = ws.table("quarantine")
    table = table.filter(table.status == "held")
    if source:
        table = table.filter(table.source == source)
    if rule:
        table = table.filter(table.reasons.contains(json.dumps(rule)))
    total = ws.polars(table.aggregate(n=table.count())).item()
    rows = table.order_by([table.received_at.desc(), table.source, table.message_id]).limit(
        size, offset=(page - 1) * size
    )
    return int(total), [_held(row, reveal) for row in ws.polars(rows).to_dicts()]


def _held(row: dict[str, Any], reveal: bool) -> Held:
    payload = row["payload"] or ""
    return Held(
        source=row["source"],
        message_id=row["message_id"],
        received_at=row["received_at"],
        reasons=reasons_in_words(row["reasons"]),
        payload=payload if reveal else masking.mask_json(payload) or "",
        status=row["status"],
    )


def reasons_in_words(text: str | None) -> list[str]:
    """
    >>> reasons_in_words('[{"rule": "has_time", "field": "timestamp", "description": "a time is missing"}]')
    ['Timestamp: a time is missing']
    """
    try:
        found = json.loads(text or "[]")
    except ValueError:
        return [text or ""]
    words = []
    for reason in found if isinstance(found, list) else []:
        said = str(reason.get("description") or reason.get("rule") or "no reason given")
        words.append(f"{f.label(reason['field'])}: {said}" if reason.get("field") else said)
    return words


def report(ws: cdp.Workspace) -> bytes:
    """The last run's results as one HTML page. Raises CDPError when nothing has been checked."""
    with tempfile.TemporaryDirectory() as folder:
        return ws.quality_report(Path(folder) / "report.html").read_bytes()
