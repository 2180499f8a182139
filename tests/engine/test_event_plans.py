"""A plan of events is the same on every engine: what is new, changed on the way, and sent once."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import polars as pl

from cdp_core.destinations.model import model_table, with_profiles
from cdp_core.destinations.plan import SyncPlan, plan_sync
from cdp_core.destinations.spec import SyncSpec
from cdp_core.destinations.sync import run_sync
from cdp_core.engine import Engine
from cdp_core.quality.plan.correct import edits
from cdp_core.testing.flaky import FlakyDestination
from cdp_core.tracking import Step

MAPPING = {
    "id": "event_id",
    "whose": "profile_id",
    "at": "timestamp",
    "sum": {"column": "properties.sum", "type": "number"},
    "when": {"column": "properties.when", "type": "datetime"},
    "mail": "properties.mail",
}


def test_events_are_sent_once(engine: Engine) -> None:
    sync = SyncSpec.model_validate({"model": {"events": {"type": "track"}}, "destination": "d", "mapping": MAPPING})
    steps = [Step.model_validate({"drop": "properties.mail"})]
    sink = FlakyDestination()

    def plan() -> SyncPlan:
        return plan_sync(
            engine, "s", sync, model=model_table(engine, sync.model), ledger=engine.table("sync_ledger"), destination=sink,
            completed=lambda rows: engine.edited(with_profiles(engine, rows), edits(steps)),
        )  # fmt: skip

    say(engine, ["a", "b"])
    engine.append(
        "event_profiles", engine.frame(pl.DataFrame({"source": ["a"], "message_id": ["1"], "profile_id": ["p"]}))
    )
    found = plan()
    assert found.samples["add"] == [
        {"id": "a/1", "whose": "p", "at": "1998-01-01T12:30:00Z", "sum": 1.5, "when": "1998-07-01T00:00:00Z", "mail": None},
        {"id": "b/1", "whose": None, "at": "1998-01-01T12:30:00Z", "sum": 1.5, "when": "1998-07-01T00:00:00Z", "mail": None},
    ]  # fmt: skip
    assert run_sync(engine, "s", sync, sink, found, run_id="r", now=datetime(1998, 7, 1)).delivered == 2
    assert (plan().due, plan().unchanged) == (0, 2)
    say(engine, ["c"])
    assert (plan().add, plan().unchanged) == (1, 2)


def say(engine: Engine, sources: list[str]) -> None:
    told = '{"sum":"1.5","when":"1998-07-01T02:00:00+02:00","mail":"ann@example.org"}'
    rows: dict[str, Any] = {
        "source": sources, "message_id": ["1"] * len(sources), "type": ["track"] * len(sources),
        "timestamp": [datetime(1998, 1, 1, 12, 30)] * len(sources), "properties": [told] * len(sources),
    }  # fmt: skip
    engine.append("events", engine.frame(pl.DataFrame(rows)))
