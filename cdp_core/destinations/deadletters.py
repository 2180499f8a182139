"""Rows that a destination has not taken: listed, tried again, dismissed, and taken up again."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cdp_core import tables
from cdp_core.destinations.diff import SENT
from cdp_core.errors import UsageError

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.destinations.plan import SyncPlan
    from cdp_core.engine import Engine

OPEN = ("failed", "pending")
DISMISSED = "dismissed"
_SHOWN = ("key", "profile_id", "status", "operation", "attempts", "error", "sent_at", "payload")


def listed(engine: Engine, name: str, limit: int | None = None) -> pl.DataFrame:
    """Refused, pending and dismissed rows of a sync, newest first."""
    rows = _own(engine, name)
    rows = rows.filter(rows.status.isin(OPEN) | _dismissed(rows)).select(*_SHOWN)
    rows = rows.order_by([rows.sent_at.desc(), rows.key])
    return engine.polars(rows if limit is None else rows.limit(limit))


def chosen(engine: Engine, name: str, keys: Sequence[str] | None, statuses: Sequence[str]) -> ir.Table:
    """Ledger rows of a sync with these statuses, all or those with these keys.

    Raises UsageError that says how many of the keys are none of them.
    """
    rows = _own(engine, name)
    rows = rows.filter(rows.status.isin(statuses))
    if keys is None:
        return rows
    rows = rows.filter(rows.key.isin(list(keys)))
    found = engine.polars(rows.aggregate(n=rows.count()))["n"][0]
    if found < len(set(keys)):
        raise UsageError(
            f"{len(set(keys)) - found} of {len(set(keys))} keys are not {' or '.join(statuses)}",
            where=f"sync {name}",
            hint=f"see cdp sync failed {name}",
        )
    return rows


def narrowed(engine: Engine, plan: SyncPlan, rows: ir.Table) -> SyncPlan:
    """A plan with nothing in it but those ledger rows."""
    return _part(engine, plan, plan.rows.semi_join(rows.select("key"), "key"))


def first(engine: Engine, plan: SyncPlan, limit: int) -> SyncPlan:
    """A plan with nothing in it but the first rows that would be sent."""
    due = plan.rows.filter(plan.rows.operation.isin(SENT))
    return _part(engine, plan, due.order_by("n").limit(limit))


def _part(engine: Engine, plan: SyncPlan, rows: ir.Table) -> SyncPlan:
    kept = engine.keep(rows)
    grouped = engine.polars(kept.group_by("operation").aggregate(n=kept.count()))
    counts = dict(zip(grouped["operation"].to_list(), grouped["n"].to_list(), strict=True))
    named = {name: counts.get(name, 0) for name in (*SENT, "invalid", "withheld")}
    return dataclasses.replace(plan, rows=kept, lapsed=counts.get("lapse", 0), unchanged=0, untold=0, **named)


def dismiss(engine: Engine, name: str, keys: Sequence[str] | None) -> int:
    """Refused rows are left alone until their content changes."""
    import ibis

    rows = chosen(engine, name, keys, ("failed",))
    text = ibis.literal(f"{DISMISSED}: ") + rows.error.fill_null("")
    return _written(engine, rows.mutate(status=ibis.literal("dead"), error=text))


def restore(engine: Engine, name: str, keys: Sequence[str] | None) -> int:
    """Dismissed rows are refused rows again."""
    import ibis

    rows = chosen(engine, name, keys, ("dead",))
    rows = rows.filter(_dismissed(rows))
    text = rows.error.substr(len(DISMISSED) + 2)
    return _written(engine, rows.mutate(status=ibis.literal("failed"), error=text))


def _own(engine: Engine, name: str) -> ir.Table:
    ledger = engine.table("sync_ledger")
    return ledger.filter(ledger.sync == name)


def _dismissed(rows: ir.Table) -> ir.BooleanValue:
    return (rows.status == "dead") & rows.error.startswith(f"{DISMISSED}: ").fill_null(False)


def _written(engine: Engine, rows: ir.Table) -> int:
    kept = engine.keep(rows)
    count = int(engine.polars(kept.aggregate(n=kept.count()))["n"][0])
    if count:
        engine.upsert("sync_ledger", kept, tables.SYNC_LEDGER.key)
    return count
