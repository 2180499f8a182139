"""kill -9 in every stage and around every commit; then a run: the end state equals a clean run's."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import cdp_core as cdp

CHILD = """
import os, signal, sys
import cdp_core as cdp
from cdp_core.engine.ducklake import DuckLakeEngine
from cdp_core.runs import derive, load

folder, point = sys.argv[1], sys.argv[2]
commits = iter(range(1, 100))
plain = DuckLakeEngine._commit

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def commit(self):
    number = next(commits)
    if point == f"before commit {number}":
        die()
    plain(self)
    if point == f"after commit {number}":
        die()

DuckLakeEngine._commit = commit

def progress(stage, done, text):
    if point == f"in {stage}":
        die()

with cdp.open(folder) as ws:
    run = ws.run(sync=True, progress=progress)
    print(run.status, next(commits) - 1)
"""
TABLES = (
    "events",
    "quarantine",
    "source_state",
    "user_identifiers",
    "event_profiles",
    "profiles",
    "profile_traits",
    "audience_members",
    "sync_ledger",
    "consents",
)
NOISE = {"run_id", "loaded_at", "sent_at", "attempts", "delivery_id"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kill") / "ws"
    cdp.demo(folder, people=150, seed=3)
    return folder


@pytest.fixture(scope="module")
def clean(world: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    folder = tmp_path_factory.mktemp("clean") / "ws"
    shutil.copytree(world, folder)
    with cdp.open(folder) as ws:
        assert ws.run(sync=True).status == "succeeded"
    return state(folder)


def state(folder: Path) -> dict[str, pl.DataFrame]:
    found = {}
    with cdp.open(folder) as ws:
        for name in TABLES:
            frame = ws.polars(ws.table(name))
            frame = frame.select(sorted(set(frame.columns) - NOISE))
            if name == "source_state":
                frame = frame.select("source", "cursor", "rows")
            found[name] = frame.sort(c for c in frame.columns if frame[c].dtype != pl.List)
    exports = sorted((folder / "data/exports").glob("*.*"))
    found["exports"] = pl.DataFrame({"file": [p.name for p in exports], "size": [p.stat().st_size for p in exports]})
    return found


def assert_recovers(folder: Path, clean: dict[str, pl.DataFrame]) -> None:
    with cdp.open(folder) as ws:
        run = ws.run(sync=True)
        assert run.status == "succeeded", run.error
        assert not ws.polars(ws.table("runs")).filter(pl.col("status") == "running").height
    found = state(folder)
    for name, frame in clean.items():
        if name == "exports":
            assert found[name]["file"].to_list() == frame["file"].to_list()
        else:
            assert_frame_equal(found[name], frame)
    assert not list((folder / "data/lake/staging").glob("*"))


POINTS = [f"in {stage}" for stage in ("load", "quality", "identity", "profiles", "audiences", "sync")]
POINTS += [f"{side} commit {number}" for number in range(1, 8) for side in ("before", "after")]


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_named_point(point: str, world: Path, clean: dict[str, pl.DataFrame], tmp_path: Path) -> None:
    folder = tmp_path / "ws"
    shutil.copytree(world, folder)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder), point], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == -9, f"never reached: {done.stdout} {done.stderr[-500:]}"
    assert_recovers(folder, clean)


@pytest.mark.faults
def test_killed_at_random_moments(world: Path, clean: dict[str, pl.DataFrame], tmp_path: Path) -> None:
    """Many kills of one workspace, each at another moment; then one run."""
    chance = random.Random(7)
    folder = tmp_path / "ws"
    shutil.copytree(world, folder)
    kills = 0
    for _ in range(30):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(folder), "never"], stdout=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.5, 9))
        if child.poll() is None:
            child.kill()
            kills += 1
        child.wait()
        if child.returncode == 0:
            shutil.rmtree(folder / "data/lake")
            shutil.rmtree(folder / "data/exports", ignore_errors=True)
    print(f"{kills} kills")
    assert kills >= 10
    assert_recovers(folder, clean)
