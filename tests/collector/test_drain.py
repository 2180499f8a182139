"""What has been received goes into the lake by itself: every few seconds, and at the end."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from serving import serving

import cdp_core as cdp
from cdp_core.runs.lock import run_lock


def page(number: int) -> dict[str, str]:
    return {"type": "page", "userId": "u", "messageId": f"m{number}"}


def stored(root: Path) -> int:
    with cdp.open(root) as ws:
        return int(ws.sql("SELECT count(*) AS n FROM events").item())


def test_every_few_seconds(tmp_path: Path) -> None:
    with serving(tmp_path / "ws", "--drain-every", "0.5s") as collector:
        collector.post("/v1/batch", {"batch": [page(n) for n in range(5)]})
        until = time.monotonic() + 60
        while stored(collector.root) < 5:
            assert time.monotonic() < until, (collector.root / "collector.log").read_text()
            time.sleep(0.3)
        assert collector.stop() == 0


@pytest.mark.parametrize("busy", [False, True], ids=["alone", "while a run goes on"])
def test_at_the_end(tmp_path: Path, busy: bool) -> None:
    with serving(tmp_path / "ws", "--drain-every", "1h") as collector:
        collector.post("/v1/batch", {"batch": [page(n) for n in range(7)]})
        if not busy:
            assert collector.stop() == 0
        else:
            with run_lock(collector.root / "data" / "lake"):
                ending = threading.Thread(target=collector.stop)
                ending.start()
                time.sleep(4)
            ending.join()
    assert stored(tmp_path / "ws") == 7
