"""Minutes of an erasure in a lake of ten million events, from the request to the certificate."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

import cdp_core
from cdp_core.workspace import demo

PEOPLE = int(os.environ.get("CDP_PEOPLE", "1000000"))
TIMES = int(os.environ.get("CDP_TIMES", "20"))
pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(4 * 3600)]


def test_minutes_of_an_erasure(tmp_path: Path) -> None:
    root = tmp_path / "ws"
    demo(root, people=PEOPLE, seed=1)
    with cdp_core.open(root) as ws:
        assert ws.run().status == "succeeded"
        events = ws.status()["tables"]["events"]
        people = ws.polars(ws.table("profiles").order_by("profile_id").limit(TIMES))["profile_id"].to_list()
        seconds = []
        for profile_id in people:
            started = time.perf_counter()
            made = ws.privacy.erase(f"profile_id:{profile_id}", reason="a benchmark")
            seconds.append(time.perf_counter() - started)
            assert made.status == "done", made.to_dict()
        size = sum(path.stat().st_size for path in (root / "data/lake").rglob("*") if path.is_file())
    seconds.sort()
    worst = seconds[min(len(seconds) - 1, round(0.99 * len(seconds)))]
    print(f"\n{events:,} events, {size / 1e9:.1f} GB: p50 {seconds[len(seconds) // 2]:.1f} s, p99 {worst:.1f} s")
    assert worst < 600
