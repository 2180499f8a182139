"""Runs: every row accounted for, whatever happens in the middle."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from filelock import FileLock
from syncing import NOW, Syncer, person

from cdp_core.destinations.files.file import FileDestination, FileOptions
from cdp_core.engine import Engine
from cdp_core.errors import ContractError, DestinationError, WorkspaceBusy
from cdp_core.testing.flaky import FlakyDestination, Outage

Make = Callable[..., Syncer]


def by_status(s: Syncer) -> dict[str, int]:
    found = [row["status"] for row in s.ledger()]
    return {status: found.count(status) for status in sorted(set(found))}


def test_the_ledger_tells_what_was_sent(syncer: Make) -> None:
    s = syncer(destination=FlakyDestination(refuses=lambda row: row["id"] == "p2"), options={})
    s.profiles([person(1), person(2)])
    result = s.run(run_id="r1")
    assert (result.delivered, result.failed, result.reasons) == (1, 1, {"refused by rule": 1})
    one, two = s.ledger()
    assert one["payload"] == '{"id":"p1","email":"a1@example.org","total":1.0}'
    assert (one["status"], one["operation"], one["attempts"], one["run_id"]) == ("delivered", "add", 1, "r1")
    assert (one["sent_at"], one["error"], one["profile_id"]) == (NOW, None, "p1")
    assert (two["status"], two["error"], two["attempts"]) == ("failed", "refused by rule", 1)


def test_failed_rows_are_tried_until_they_pass(syncer: Make) -> None:
    flaky = FlakyDestination(refuses=lambda row: row["id"] == "p2")
    s = syncer(destination=flaky, options={})
    s.profiles([person(1), person(2)])
    for attempt in (1, 2, 3):
        plan = s.plan()
        assert plan.add == (2 if attempt == 1 else 1)
        s.run(plan)
        assert [row["attempts"] for row in s.ledger()] == [1, attempt]
    flaky.refuses = None
    assert s.run().delivered == 1
    assert by_status(s) == {"delivered": 2}
    assert s.run().delivered == 0


def test_a_refused_change_stays_a_change_and_the_old_row_is_removed_later(syncer: Make) -> None:
    flaky = FlakyDestination()
    s = syncer(destination=flaky, options={})
    s.profiles([person(n) for n in range(3)])
    s.run()
    flaky.refuses = lambda row: row["total"] == 9.0
    s.profiles([person(0), person(1, total=9.0), person(2)])
    assert s.run().failed == 1
    assert s.plan().change == 1
    s.profiles([person(0), person(2)])
    assert s.run().removed == 1
    assert sorted(flaky.state) == ["p0", "p2"]


def test_a_refused_row_that_left_the_model_is_closed_and_may_come_back(syncer: Make) -> None:
    flaky = FlakyDestination(refuses=lambda row: row["id"] == "p1")
    s = syncer(destination=flaky, options={})
    s.profiles([person(1), person(2)])
    s.run()
    s.profiles([person(2)])
    plan = s.plan()
    assert (plan.due, plan.lapsed) == (0, 1)
    calls = flaky.calls
    s.run(plan)
    assert flaky.calls == calls
    assert by_status(s) == {"dead": 1, "delivered": 1}
    assert s.plan().lapsed == 0
    flaky.refuses = None
    s.profiles([person(1), person(2)])
    assert s.run().delivered == 1
    assert by_status(s) == {"delivered": 2}


def test_a_dismissed_row_is_withheld_until_it_changes(syncer: Make) -> None:
    s = syncer(destination=FlakyDestination(refuses=lambda row: row["total"] == 1.0), options={})
    s.profiles([person(1)])
    s.run()
    ledger = s.engine.table("sync_ledger")
    import ibis

    s.engine.replace("sync_ledger", s.engine.keep(ledger.mutate(status=ibis.literal("dead"))))
    plan = s.plan()
    assert (plan.withheld, plan.due) == (1, 0)
    assert plan.samples["withheld"][0]["reason"].startswith("was refused before")
    s.profiles([person(1, total=2.0)])
    assert s.run().delivered == 1


@pytest.mark.parametrize("ambiguous", [False, True], ids=["lost request", "lost answer"])
@pytest.mark.parametrize("breaks", [1, 2, 3])
def test_an_outage_in_the_middle_loses_and_doubles_nothing(syncer: Make, breaks: int, ambiguous: bool) -> None:
    flaky = FlakyDestination(batch_rows=10)
    s = syncer(destination=flaky, options={})
    s.profiles([person(n) for n in range(25)])
    flaky.breaks, flaky.ambiguous = breaks, ambiguous
    with pytest.raises(Outage):
        s.run()
    assert flaky.finished == [False]
    sent_well = 10 * (breaks - 1)
    expected = {"delivered": sent_well, "pending": 25 - sent_well}
    assert by_status(s) == {status: n for status, n in expected.items() if n}
    again = s.plan()
    assert again.due == 25 - sent_well
    assert s.run(again).delivered == 25 - sent_well
    assert {key: row["total"] for key, row in flaky.state.items()} == {f"p{n}": float(n) for n in range(25)}


def test_a_pending_row_that_left_the_model_is_removed(syncer: Make) -> None:
    """It may have arrived: its answer was lost."""
    flaky = FlakyDestination(breaks=1, ambiguous=True)
    s = syncer(destination=flaky, options={})
    s.profiles([person(1), person(2)])
    with pytest.raises(Outage):
        s.run()
    s.profiles([person(2)])
    s.run()
    assert sorted(flaky.state) == ["p2"]


def test_nothing_to_do_calls_nobody(syncer: Make) -> None:
    flaky = FlakyDestination()
    s = syncer(destination=flaky, options={})
    s.profiles(pl.DataFrame(schema={"profile_id": pl.String, "email": pl.String, "total": pl.Float64}))
    assert s.run().delivered == 0
    assert (flaky.prepared, flaky.calls) == (0, 0)


def test_rows_a_destination_names_must_be_of_the_batch(syncer: Make) -> None:
    from cdp_core.destinations.base import SendResult

    flaky = FlakyDestination()
    flaky.send = lambda batch: SendResult({"nobody": "refused"})  # type: ignore[method-assign]
    s = syncer(destination=flaky, options={})
    s.profiles([person(1)])
    with pytest.raises(ContractError, match="not in the batch"):
        s.run()
    assert by_status(s) == {"pending": 1}


def test_a_plan_is_sent_once(syncer: Make) -> None:
    s = syncer(destination=FlakyDestination(), options={})
    s.profiles([person(1)])
    first, second = s.plan(), s.plan()
    s.run(first)
    with pytest.raises(DestinationError, match=r"another run has sent rows.*plan again"):
        s.run(second)


def test_two_runs_of_one_sync_never_overlap(syncer: Make) -> None:
    s = syncer()
    s.profiles([person(1)])
    s.run()
    (lock,) = (s.engine.folder / "syncs").glob("*.lock")
    s.profiles([person(2)])
    plan = s.plan()
    with FileLock(lock), pytest.raises(WorkspaceBusy, match="sync s: this sync is running already"):
        s.run(plan, confirm=True)
    s.run(plan, confirm=True)
    other = syncer(name="other", options={"file": "other.csv"})
    with FileLock(lock):
        assert other.run().delivered == 1


def test_progress_reaches_one(syncer: Make) -> None:
    from cdp_core.destinations.sync import run_sync

    s = syncer(destination=FlakyDestination(batch_rows=10), options={})
    s.profiles([person(n) for n in range(25)])
    heard: list[tuple[float | None, str]] = []
    run_sync(
        s.engine, "s", s.spec, s.destination, s.plan(), run_id="r", now=NOW, progress=lambda d, t: heard.append((d, t))
    )
    assert [done for done, _ in heard] == [0.4, 0.8, 1.0]
    assert heard[-1][1] == "25 of 25 rows"


@pytest.mark.parametrize("seed", range(3))
def test_after_any_history_the_destination_is_the_model(syncer: Make, tmp_path: Path, seed: int) -> None:
    """Random models, refusals and outages; after one calm run the state equals the model, and the ledger says so."""
    rng = random.Random(seed)
    flaky = FlakyDestination(batch_rows=7)
    s = syncer(destination=flaky, options={})
    for _ in range(6):
        people = {n: float(rng.randint(0, 2)) for n in rng.sample(range(40), rng.randint(1, 40))}
        s.profiles([person(n, total=total) for n, total in people.items()])
        refused = {f"p{n}" for n in rng.sample(range(40), 5)}
        flaky.refuses = lambda row, refused=refused: row["id"] in refused  # type: ignore[misc]
        flaky.calls, flaky.breaks, flaky.ambiguous = 0, rng.choice([None, 1, 2, 3]), rng.random() < 0.5
        try:
            s.run(confirm=True)
        except Outage:
            continue
    flaky.refuses = flaky.breaks = None
    s.run(confirm=True)
    assert {key: row["total"] for key, row in flaky.state.items()} == {f"p{n}": t for n, t in people.items()}
    there = {row["key"] for row in s.ledger() if row["status"] == "delivered" and row["operation"] != "remove"}
    assert there == set(flaky.state)
    assert s.plan().due == 0


@pytest.mark.spark
@pytest.mark.xdist_group("spark")
def test_on_spark(spark: Engine, tmp_path: Path) -> None:
    s = Syncer(engine=spark, destination=FileDestination(FileOptions(path="out"), tmp_path), options={"file": "s.csv"})
    s.profiles([person(1), person(2), person(3)])
    assert s.run().delivered == 3
    s.profiles([person(2), person(3, total=9.5)])
    plan = s.plan()
    assert (plan.change, plan.remove, plan.unchanged) == (1, 1, 1)
    s.run(plan)
    assert (tmp_path / "out" / "s.csv").read_text() == "id,email,total\np2,a2@example.org,2.0\np3,a3@example.org,9.5\n"
    assert s.plan().due == 0


KILLED = """
import os, sys, pathlib, datetime
import polars as pl
sys.path.insert(0, {tests!r})
from syncing import Syncer, person
from cdp_core.engine import EngineSpec, open_engine
from cdp_core.destinations import ledger, sync
from cdp_core.destinations.files import file
from cdp_core.destinations.files.file import FileDestination, FileOptions
root = pathlib.Path({root!r})
engine = open_engine(root, EngineSpec())
engine.ensure_tables()
s = Syncer(engine=engine, destination=FileDestination(FileOptions(path="out"), root), options={{"file": "s.csv"}})
s.profiles([person(n, total=float({total})) for n in range({start}, {end})])
def die(*_, **__):
    os._exit(9)
point = {point!r}
if point:
    module, name = {{"before_publish": (file, "_publish"), "before_settle": (ledger, "settle")}}[point]
    setattr(module, name, die)
print(s.run().delivered)
"""


@pytest.mark.parametrize("point", ["before_publish", "before_settle"])
def test_a_run_killed_at_a_named_point_goes_on(tmp_path: Path, point: str) -> None:
    tests = str(Path(__file__).parent)

    def run(start: int, end: int, total: int, point: str) -> subprocess.CompletedProcess[str]:
        text = KILLED.format(tests=tests, root=str(tmp_path), start=start, end=end, total=total, point=point)
        return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)

    assert run(0, 30, 1, "").stdout == "30\n"
    path = tmp_path / "out" / "s.csv"
    before = path.read_text()
    assert run(5, 35, 2, point).returncode == 9
    after_kill = path.read_text()
    assert (after_kill == before) == (point == "before_publish")
    done = run(5, 35, 2, "")
    assert done.stdout == "30\n", done.stderr
    assert pl.read_csv(path).to_dicts() == sorted(
        ({"id": f"p{n}", "email": f"a{n}@example.org", "total": 2.0} for n in range(5, 35)), key=lambda r: r["id"]
    )
    assert [p.name for p in path.parent.iterdir()] == ["s.csv"]


def test_sent_at_is_utc_without_a_zone(syncer: Make) -> None:
    from datetime import timedelta, timezone

    from cdp_core.destinations.sync import run_sync

    s = syncer()
    s.profiles([person(1)])
    now: Any = NOW.replace(tzinfo=timezone(timedelta(hours=2)))
    run_sync(s.engine, "s", s.spec, s.destination, s.plan(), run_id="r", now=now)
    assert s.ledger()[0]["sent_at"] == NOW - timedelta(hours=2)
