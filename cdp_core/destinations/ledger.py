"""The row ledger: what was sent about whom, when, and what became of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cdp_core import tables
from cdp_core.destinations.diff import DISMISSED, SENT, WITHHELD

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine

LAPSED = "left the model before the destination took it"
_KEY = tables.SYNC_LEDGER.key


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A sync's ledger in short. `state` changes with every run that wrote to it; `delivered` rows may be there now."""

    state: str
    delivered: int


def summary(engine: Engine, own: ir.Table) -> Summary:
    """`own`: the ledger rows of one sync."""
    grouped = own.group_by("run_id", "status", "operation").aggregate(rows=own.count())
    frame = engine.polars(grouped).sort("run_id", "status", "operation", nulls_last=True)
    removed = (frame["operation"] == "remove") & (frame["status"] == "delivered")
    refused = (frame["operation"] == "add") & ~frame["status"].is_in(["delivered", "pending"])
    there = frame.filter(~(removed | refused))
    return Summary(
        state=hashlib.sha256(frame.write_csv().encode()).hexdigest()[:16], delivered=int(there["rows"].sum() or 0)
    )


def begin(engine: Engine, name: str, rows: ir.Table, *, run_id: str, now: datetime) -> None:
    """Before sending: every row that will be sent is pending, every lapsed one is closed, withheld ones are told.

    `rows` are a plan's, with `delivery_id` in the place of what was null.
    """
    import ibis

    nothing = ibis.null("string")
    news = (rows.operation == WITHHELD) & ~rows.told & (rows.reason != DISMISSED)
    chosen = rows.filter(rows.operation.isin([*SENT, "lapse"]) | news)
    lapsed, withheld = chosen.operation == "lapse", chosen.operation == WITHHELD
    entry = _entry(chosen, name, run_id, now).mutate(
        status=ibis.cases((lapsed, "dead"), (withheld, WITHHELD), else_="pending"),
        error=ibis.cases((lapsed, ibis.literal(LAPSED)), (withheld, chosen.reason), else_=nothing),
        operation=ibis.cases(
            (lapsed, "add"), (withheld, chosen.old_before.notnull().ifelse("change", "add")), else_=chosen.operation
        ),
        payload=withheld.ifelse(nothing, chosen.payload),
        row_hash=withheld.ifelse(nothing, chosen.row_hash),
        sent_at=ibis.null("timestamp"),
    )
    with engine.transaction():
        engine.upsert("sync_ledger", entry, _KEY)
        kind = ibis.literal(WITHHELD)
        told = rows.filter(news).mutate(operation=kind, status=kind, error=lambda t: t.reason)
        _log(engine, name, told, run_id, now)


def settle(
    engine: Engine,
    name: str,
    rows: ir.Table,
    failed: Mapping[str, str],
    later: Mapping[str, str],
    *,
    run_id: str,
    now: datetime,
) -> None:
    """After sending: rows in `failed` (key → reason) are failed, those in `later` pending, the others delivered."""
    import ibis
    import polars as pl

    chosen = rows.filter(rows.operation.isin(SENT)).drop("reason")
    found: dict[str, Any] = {"error": ibis.null("string"), "status": ibis.literal("delivered")}
    if failed or later:
        named = pl.DataFrame(
            {
                "refused": [*failed, *later],
                "error": [*failed.values(), *later.values()],
                "status": ["failed"] * len(failed) + ["pending"] * len(later),
            },
            schema=dict.fromkeys(("refused", "error", "status"), pl.String),
        )
        reasons = engine.frame(named)
        chosen = chosen.left_join(reasons, chosen.key == reasons.refused)
        found = {"error": chosen.error, "status": chosen.status.fill_null("delivered")}
    entry = _entry(chosen, name, run_id, now).mutate(**found)
    entry = entry.mutate(before=(entry.status == "delivered").ifelse(ibis.null("string"), entry.before))
    with engine.transaction():
        engine.upsert("sync_ledger", entry, _KEY)
        _log(engine, name, entry.filter(entry.status != "pending"), run_id, now)


def _entry(rows: ir.Table, name: str, run_id: str, now: datetime) -> ir.Table:
    import ibis

    return rows.mutate(
        sync=ibis.literal(name), run_id=ibis.literal(run_id), sent_at=ibis.literal(now), before=rows.old_before
    )


def _log(engine: Engine, name: str, rows: ir.Table, run_id: str, now: datetime) -> None:
    import ibis

    line = rows.mutate(sync=ibis.literal(name), run_id=ibis.literal(run_id), sent_at=ibis.literal(now))
    engine.append("sync_log", line.select(*tables.SYNC_LOG.columns))
