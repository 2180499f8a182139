"""A hundred thousand people and a million events, load to audiences; and identity's precision at another size."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1800)]


def cdp(*arguments: str, cwd: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "cdp_core.cli", *arguments, "--output", "json"]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def show(run: dict[str, Any]) -> None:
    stages = ", ".join(f"{s['name']} {s['seconds']:.1f}" for s in run["stages"])
    print(f"\n{run['seconds']:.1f} s, {run['peak_rss_mb']:,} MB: {stages}; {run['tables']}")


def test_a_million_events(tmp_path: Path) -> None:
    cdp("demo", "--people", "100000", "--seed", "1", "--out", str(tmp_path / "ws"), cwd=tmp_path)
    first = cdp("run", cwd=tmp_path / "ws")
    show(first)
    assert first["tables"]["events"] > 990_000
    again = cdp("run", cwd=tmp_path / "ws")
    show(again)
    assert first["seconds"] <= 30
    assert first["peak_rss_mb"] <= 4096
    assert again["seconds"] <= 4


def test_precision_on_twenty_thousand_people(tmp_path: Path) -> None:
    cdp("demo", "--people", "20000", "--seed", "99", "--out", str(tmp_path / "ws"), cwd=tmp_path)
    show(cdp("run", cwd=tmp_path / "ws"))
    found = cdp("identity", "evaluate", "--truth", "data/truth.csv", cwd=tmp_path / "ws")
    print(found)
    assert found["precision"] >= 0.999
    assert found["recall"] >= 0.95


def test_a_million_people_are_written_in_three_minutes(tmp_path: Path) -> None:
    import time

    started = time.perf_counter()
    cdp("demo", "--people", "1000000", "--seed", "1", "--out", str(tmp_path / "ws"), cwd=tmp_path)
    seconds = time.perf_counter() - started
    size = sum(p.stat().st_size for p in (tmp_path / "ws/data").rglob("*") if p.is_file())
    print(f"\na million people written in {seconds:.0f} s, {size / 1e6:,.0f} MB")
    assert seconds <= 180
