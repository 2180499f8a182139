"""A sync to plan and run in one line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from cdp_core.destinations import history
from cdp_core.destinations.diff import SENT
from cdp_core.destinations.model import model_table
from cdp_core.destinations.plan import SyncPlan, plan_sync
from cdp_core.destinations.spec import SyncSpec
from cdp_core.destinations.sync import SyncResult, run_sync
from cdp_core.engine import Engine

NOW = datetime(1998, 7, 1)


@dataclass
class Syncer:
    """A sync of `profiles` over one destination."""

    engine: Engine
    destination: Any
    options: dict[str, Any]
    mapping: dict[str, Any] = field(default_factory=lambda: {"id": "profile_id", "email": "email", "total": "total"})
    mode: str = "mirror"
    model: Any = "profiles"
    name: str = "s"
    gate: Any = None
    limits: Any = None
    clock: Any = None

    @property
    def spec(self) -> SyncSpec:
        return SyncSpec(
            model=self.model,
            destination="d",
            key=next(iter(self.mapping)),
            mapping=self.mapping,
            mode=self.mode,
            options=self.options,
        )

    def profiles(self, rows: Sequence[dict[str, Any]] | pl.DataFrame, **schema: Any) -> None:
        frame = rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(rows, schema_overrides=schema)
        self.engine.replace("profiles", self.engine.frame(frame))

    def plan(self) -> SyncPlan:
        engine = self.engine
        return plan_sync(
            engine,
            self.name,
            self.spec,
            model=model_table(engine, self.spec.model),
            ledger=engine.table("sync_ledger"),
            destination=self.destination,
            gate=self.gate,
            last_mapping=history.last_mapping(engine, self.name),
        )

    def run(self, plan: SyncPlan | None = None, *, confirm: bool = False, run_id: str = "") -> SyncResult:
        plan = plan or self.plan()
        return run_sync(
            self.engine, self.name, self.spec, self.destination, plan, run_id=run_id, now=NOW, confirm=confirm,
            limits=self.limits, clock=self.clock,
        )  # fmt: skip

    def log(self) -> list[dict[str, Any]]:
        table = self.engine.table("sync_log")
        return self.engine.polars(table.filter(table.sync == self.name).order_by("key", "run_id")).to_dicts()

    def runs(self) -> list[dict[str, Any]]:
        return self.engine.polars(history.runs_of(self.engine, self.name)).to_dicts()

    def ledger(self) -> list[dict[str, Any]]:
        table = self.engine.table("sync_ledger")
        return self.engine.polars(table.filter(table.sync == self.name).order_by("key")).to_dicts()


def person(number: int, **more: Any) -> dict[str, Any]:
    return {"profile_id": f"p{number}", "email": f"a{number}@example.org", "total": float(number), **more}


def accounted(engine: Engine, run_id: str, plan: SyncPlan) -> None:
    """due = delivered + removed + failed + pending, in `sync_runs` as in the ledger, and each row once."""
    if not plan.due:
        return
    runs, ledger = engine.table("sync_runs"), engine.table("sync_ledger")
    (run,) = engine.polars(runs.filter((runs.run_id == run_id) & (runs.sync == plan.sync))).to_dicts()
    due = plan.rows.filter(plan.rows.operation.isin(SENT)).select("key")
    rows = engine.polars(ledger.filter(ledger.sync == plan.sync).semi_join(due, "key"))
    assert rows["key"].n_unique() == rows.height, "a row stands twice in the ledger"
    gone, delivered = rows["operation"] == "remove", rows["status"] == "delivered"
    counts = {name: run[name] for name in ("delivered", "removed", "failed", "pending")}
    assert sum(counts.values()) == plan.due, (counts, plan.due)
    assert counts == {
        "delivered": rows.filter(~gone & delivered).height,
        "removed": rows.filter(gone & delivered).height,
        "failed": rows.filter(rows["status"] == "failed").height,
        "pending": rows.filter(rows["status"] == "pending").height,
    }
