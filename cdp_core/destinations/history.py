"""What every run of a sync did, and the last one's mapping."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cdp_core import tables
from cdp_core.destinations.plan import mapping_text
from cdp_core.errors import CDPError

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.destinations.plan import SyncPlan
    from cdp_core.destinations.spec import SyncSpec
    from cdp_core.destinations.sync import SyncResult
    from cdp_core.engine import Engine

COUNTS = ("delivered", "removed", "failed", "pending", "unchanged", "invalid", "withheld")

ENDED = "its process ended before the run did"


@contextmanager
def recorded(
    engine: Engine,
    sync: SyncSpec,
    plan: SyncPlan,
    *,
    run_id: str,
    now: datetime,
    result: Callable[[], SyncResult],
) -> Iterator[None]:
    """A row of `sync_runs` before, and the same row with what became of it afterwards, whatever happens.

    Runs of this sync that never came to their end (only one runs at a time) are closed first.
    """
    _close_dead(engine, plan.sync, now)
    began = {
        "sync": plan.sync,
        "run_id": run_id,
        "destination": sync.destination,
        "plan_id": plan.plan_id,
        "started_at": now,
        "mapping": mapping_text(sync),
    }
    if plan.due or plan.rewrite:
        _write(engine, {**began, "status": "running"})
    try:
        yield
    except BaseException as error:
        kind = "interrupted" if isinstance(error, Exception) else "cancelled"
        said = error.what if isinstance(error, CDPError) else type(error).__name__
        _write(engine, {**began, **_counts(result()), "status": kind, "error": said, "finished_at": _now(now)})
        raise
    found = result()
    status = "partial" if found.failed or found.pending else "succeeded"
    _write(engine, {**began, **_counts(found), "status": status, "finished_at": _now(now)})


def _close_dead(engine: Engine, name: str, now: datetime) -> None:
    """A process that was killed left its run as running. What it sent is not known: its rows are pending."""
    import ibis

    runs = engine.table("sync_runs")
    dead = runs.filter((runs.sync == name) & (runs.status == "running"))
    if engine.polars(dead.select("run_id")).height:
        closed = dead.mutate(
            status=ibis.literal("interrupted"), error=ibis.literal(ENDED), finished_at=ibis.literal(_now(now))
        )
        engine.upsert("sync_runs", engine.keep(closed), tables.SYNC_RUNS.key)


def last_mapping(engine: Engine, name: str) -> str | None:
    """The mapping that the last run of a sync sent with, as JSON; None before the first."""
    runs = engine.table("sync_runs")
    own = runs.filter((runs.sync == name) & runs.mapping.notnull())
    frame = engine.polars(own.order_by([own.started_at.desc(), own.run_id.desc()]).limit(1).select("mapping"))
    return str(frame["mapping"][0]) if frame.height else None


def runs_of(engine: Engine, name: str | None = None) -> ir.Table:
    """Runs of one sync or of all, newest first: the columns of `sync_runs` without the mapping."""
    runs = engine.table("sync_runs")
    runs = runs if name is None else runs.filter(runs.sync == name)
    return runs.order_by([runs.started_at.desc(), runs.run_id.desc()]).drop("mapping")


def _counts(result: SyncResult) -> dict[str, int]:
    return {name: getattr(result, name) for name in COUNTS}


def _now(began: datetime) -> datetime:
    """Now, unless the workspace's clock stands at another time."""
    now = datetime.now(UTC).replace(tzinfo=None)
    return now if abs((now - began).total_seconds()) < 7 * 86_400 else began


def _write(engine: Engine, row: dict[str, Any]) -> None:
    import polars as pl

    shape = tables.SYNC_RUNS.polars_schema()
    engine.upsert("sync_runs", engine.frame(pl.DataFrame([row], schema=shape)), tables.SYNC_RUNS.key)
