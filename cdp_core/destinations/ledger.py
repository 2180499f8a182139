"""The row ledger: what was sent about whom, when, and what became of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cdp_core import tables
from cdp_core.destinations.diff import SENT

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
    """Before sending: every row that will be sent is pending, every lapsed one is closed."""
    import ibis

    chosen = rows.filter(rows.operation.isin([*SENT, "lapse"]))
    lapsed = chosen.operation == "lapse"
    entry = _entry(chosen, name, run_id, now).mutate(
        status=lapsed.ifelse("dead", "pending"),
        error=lapsed.ifelse(LAPSED, ibis.null("string")),
        operation=lapsed.ifelse("add", chosen.operation),
        sent_at=ibis.null("timestamp"),
    )
    engine.upsert("sync_ledger", entry, _KEY)


def settle(engine: Engine, name: str, rows: ir.Table, failed: Mapping[str, str], *, run_id: str, now: datetime) -> None:
    """After sending: rows named in `failed` (key → reason) are failed, the others delivered."""
    import ibis
    import polars as pl

    chosen = rows.filter(rows.operation.isin(SENT))
    error: Any = ibis.null("string")
    if failed:
        shape = {"refused": pl.String, "error": pl.String}
        reasons = engine.frame(pl.DataFrame({"refused": list(failed), "error": list(failed.values())}, schema=shape))
        chosen = chosen.left_join(reasons, chosen.key == reasons.refused)
        error = chosen.error
    entry = _entry(chosen, name, run_id, now)
    engine.upsert("sync_ledger", entry.mutate(status=error.notnull().ifelse("failed", "delivered"), error=error), _KEY)


def _entry(rows: ir.Table, name: str, run_id: str, now: datetime) -> ir.Table:
    import ibis

    return rows.mutate(sync=ibis.literal(name), run_id=ibis.literal(run_id), sent_at=ibis.literal(now))
