"""The whole run on a small world: balance, idempotence, rebuilds, readers, gates, and what bad input costs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import cdp_core as cdp

DERIVED = (
    "user_identifiers",
    "identity_links",
    "event_profiles",
    "profiles",
    "profile_traits",
    "consents",
    "audience_members",
    "profile_merges",
    "identity_conflicts",
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small demo world, not run."""
    folder = tmp_path_factory.mktemp("world") / "ws"
    cdp.demo(folder, people=400, seed=11)
    return folder


@pytest.fixture(scope="module")
def finished(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same world after one clean run."""
    folder = tmp_path_factory.mktemp("finished") / "ws"
    shutil.copytree(world, folder)
    with cdp.open(folder) as ws:
        run = ws.run()
        assert run.status == "succeeded", run.error
    return folder


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[Path], Path]:
    def make(source: Path) -> Path:
        target = tmp_path / "copy"
        shutil.copytree(source, target)
        return target

    return make


def contents(folder: Path, names: tuple[str, ...] = DERIVED) -> dict[str, pl.DataFrame]:
    with cdp.open(folder) as ws:
        frames = {}
        for name in names:
            frame = ws.polars(ws.table(name))
            frame = frame.select(sorted(c for c in frame.columns if c != "run_id"))
            frames[name] = frame.sort(c for c in frame.columns if frame[c].dtype != pl.List)
        return frames


def assert_same(left: dict[str, pl.DataFrame], right: dict[str, pl.DataFrame]) -> None:
    for name, frame in left.items():
        assert_frame_equal(frame, right[name])


def test_every_source_balances_and_nothing_is_empty(finished: Path) -> None:
    with cdp.open(finished) as ws:
        loads = ws.polars(ws.table("source_loads"))
        assert sorted(loads["source"]) == sorted(ws.config.sources)
        assert (loads["rows_read"] == loads["events"] + loads["duplicates"] + loads["quarantined"]).all()
        assert loads["duplicates"].sum() > 0, "the demo's web events hold resends"
        counts = {
            name: ws.sql(f"SELECT count(*) AS n FROM {name}").item() for name in DERIVED if name != "profile_merges"
        }
        assert all(counts.values()), counts
        assert ws.sql("SELECT count(*) AS n FROM events").item() == loads["events"].sum()
        held = ws.polars(ws.table("quarantine"))
        assert held.height == loads["quarantined"].sum() > 0
        for reasons, payload in zip(held["reasons"], held["payload"], strict=True):
            assert json.loads(reasons)[0]["rule"]
            assert payload


def test_a_second_run_loads_nothing_and_changes_nothing(finished: Path, copy: Callable[[Path], Path]) -> None:
    folder = copy(finished)
    before = contents(folder)
    with cdp.open(folder) as ws:
        run = ws.run()
        assert run.status == "succeeded"
        assert [s.rows_in for s in run.stages if s.name == "load"] == [0]
        assert {s.note for s in run.stages if s.name in ("identity", "profiles", "audiences")} == {"unchanged"}
    assert_same(before, contents(folder))


def test_full_refresh_gives_the_same_ids_and_tables(finished: Path, copy: Callable[[Path], Path]) -> None:
    folder = copy(finished)
    before = contents(folder)
    with cdp.open(folder) as ws:
        run = ws.run(full_refresh=True)
        assert run.status == "succeeded", run.error
        loaded = ws.polars(ws.table("source_loads")).filter(pl.col("run_id") == run.run_id)
        assert loaded["events"].sum() == 0
        assert loaded["duplicates"].sum() > 1000
    assert_same(before, contents(folder))


def test_a_lake_built_anew_has_the_same_ids(finished: Path, world: Path, copy: Callable[[Path], Path]) -> None:
    folder = copy(world)
    with cdp.open(folder) as ws:
        assert ws.run().status == "succeeded"
    assert_same(contents(finished), contents(folder))


def test_order_of_loading_does_not_matter(finished: Path, world: Path, copy: Callable[[Path], Path]) -> None:
    folder = copy(world)
    with cdp.open(folder) as ws:
        for source in reversed(list(ws.config.sources)):
            assert ws.run(select=[source]).status == "succeeded"
        rows = ws.sql("SELECT count(*) AS n FROM profiles").item()
    names = ("identity_links", "consents")
    clean = contents(finished, (*names, "profiles"))
    assert rows == clean["profiles"].height
    assert contents(folder, ("identity_links",))["identity_links"].equals(clean["identity_links"])
    partition = "SELECT type, value, min(type || value) OVER (PARTITION BY profile_id) AS first FROM user_identifiers ORDER BY ALL"
    with cdp.open(folder) as one, cdp.open(finished) as two:
        assert_frame_equal(one.sql(partition), two.sql(partition))


def test_a_changed_row_becomes_a_new_event_and_counts_once(finished: Path, copy: Callable[[Path], Path]) -> None:
    folder = copy(finished)
    orders = folder / "data/sources/shop_orders.parquet"
    frame = pl.read_parquet(orders)
    first = frame["order_id"][0]
    frame.with_columns(dollars=pl.when(pl.col("order_id") == first).then(1000.0).otherwise("dollars")).write_parquet(
        orders
    )
    with cdp.open(folder) as ws:
        buyer = f"user_id:{frame['customer_id'][0]}"
        before = {t.name: t.value for t in ws.profile(buyer).traits}
        assert ws.run().status == "succeeded"
        after = {t.name: t.value for t in ws.profile(buyer).traits}
        versions = ws.sql(f"SELECT count(*) AS n FROM events WHERE properties LIKE '%\"{first}\"%'").item()
    assert versions == 2
    assert after["orders"] == before["orders"]
    gained = float(after["total_spent"]) - float(before["total_spent"])
    assert gained == pytest.approx(1000.0 - frame["dollars"][0])


def test_readers_in_other_threads_see_whole_states_while_a_run_writes(
    world: Path, copy: Callable[[Path], Path]
) -> None:
    folder = copy(world)
    script = (
        "import sys, time, cdp_core as cdp\n"
        "ws = cdp.open(sys.argv[1]); seen = set(); print('ready', flush=True)\n"
        "import select\n"
        "while not select.select([sys.stdin], [], [], 0)[0]:\n"
        "    q = 'SELECT (SELECT count(*) FROM profiles) a, (SELECT count(DISTINCT profile_id) FROM event_profiles) b'\n"
        "    seen.add(ws.polars(ws.engine.sql(q)).row(0))\n"
        "print(sorted(seen))\n"
    )
    reader = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == "ready\n"
    with cdp.open(folder) as ws:
        assert ws.run().status == "succeeded"
        assert ws.run(full_refresh=True).status == "succeeded"
    out, _ = reader.communicate("stop\n", timeout=60)
    pairs = eval(out)
    assert reader.returncode == 0
    assert len(pairs) == 2
    assert pairs[0] == (0, 0)
    assert all(a == b for a, b in pairs)


def test_a_second_run_at_the_same_time_is_told_who_holds_the_workspace(
    finished: Path, copy: Callable[[Path], Path]
) -> None:
    from cdp_core.runs.lock import run_lock

    folder = copy(finished)
    with cdp.open(folder) as ws, run_lock(folder / "data/lake"):
        result: list[Exception] = []

        def second() -> None:
            with cdp.open(folder) as other:
                try:
                    other.run()
                except cdp.WorkspaceBusy as error:
                    result.append(error)

        thread = threading.Thread(target=second)
        thread.start()
        thread.join(60)
        assert "process" in str(result[0])
        assert ws.status()["running"]


def test_dry_run_writes_nothing(world: Path, copy: Callable[[Path], Path]) -> None:
    folder = copy(world)
    with cdp.open(folder) as ws:
        run = ws.run(dry_run=True)
        assert run.status == "dry"
        assert {s.name: s.rows_out for s in run.stages}["load"] > 1000
        assert ws.sql("SELECT count(*) AS n FROM events").item() == 0
        assert ws.runs().height == 0


def test_a_source_that_cannot_be_read_costs_the_others_nothing(world: Path, copy: Callable[[Path], Path]) -> None:
    folder = copy(world)
    (folder / "data/sources/newsletter.csv").unlink()
    with cdp.open(folder) as ws:
        run = ws.run()
        assert (run.status, run.exit_code) == ("failed", 2)
        assert re.match(r"cdp\.yaml:\d+: source .newsletter.: no file", str(run.error)), run.error
        assert "\n" not in str(run.error)
        loaded = set(ws.polars(ws.table("source_loads"))["source"])
        assert loaded == set(ws.config.sources) - {"newsletter"}
        assert ws.sql("SELECT count(*) AS n FROM profiles").item() > 100


def test_a_stop_expectation_publishes_nothing_and_the_next_run_goes_on(
    world: Path, copy: Callable[[Path], Path]
) -> None:
    folder = copy(world)
    suite = folder / "expectations/sources/shop_orders.json"
    good = suite.read_text()
    content = json.loads(good)
    content["expectations"].append(
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": "dollars", "max_value": 1},
            "meta": {"severity": "stop", "rule": "tiny_orders"},
        }
    )
    suite.write_text(json.dumps(content))
    with cdp.open(folder) as ws:
        run = ws.run()
        assert (run.status, run.exit_code) == ("stopped", 3)
        assert "tiny_orders" in str(run.error)
        assert ws.sql("SELECT count(*) AS n FROM events").item() == 0
        told = ws.polars(ws.table("quality_results")).filter(pl.col("rule") == "tiny_orders")
        assert told["success"].to_list() == [False], "what the gate found is kept"
        suite.write_text(good)
        assert ws.run().status == "succeeded"
        assert ws.runs().height == 2


def test_a_source_selected_beside_a_stage_is_loaded(world: Path, copy: Callable[[Path], Path]) -> None:
    with cdp.open(copy(world)) as ws:
        run = ws.run(select=["newsletter", "identity"])
        assert [s.name for s in run.stages if not s.note] == ["load", "quality", "identity", "profiles", "audiences"]
        assert set(ws.polars(ws.table("source_loads"))["source"]) == {"newsletter"}


def test_the_real_clock_recomputes_only_what_reads_it(tmp_path: Path) -> None:
    folder = cdp.init(tmp_path / "shop")
    config = folder / "cdp.yaml"
    assert "window:" not in config.read_text()
    with cdp.open(folder) as ws:
        assert ws.config.today is None
        assert ws.run().status == "succeeded"
        again = ws.run()
    notes = {s.name: s.note for s in again.stages}
    assert notes["identity"] == notes["profiles"] == notes["audiences"] == "unchanged"


def test_a_selection_that_does_not_exist_names_the_nearest(finished: Path) -> None:
    with cdp.open(finished) as ws, pytest.raises(cdp.UsageError, match="did you mean 'newsletter'"):
        ws.run(select=["newsleter"])
