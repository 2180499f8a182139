"""A disk that fills up in the middle of a run: one line, nothing half-done, and the next run goes on."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import cdp_core as cdp


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A workspace whose lake lies on a file system of 12 MB."""
    folder = tmp_path / "ws"
    cdp.demo(folder, people=1500, seed=4)
    lake = folder / "data/lake"
    lake.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(lake)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a small file system here")
    yield folder
    subprocess.run(["umount", "-l", str(lake)], check=True)


def test_full_disk(small_disk: Path) -> None:
    lake = small_disk / "data/lake"
    with cdp.open(small_disk) as ws:
        run = ws.run()
        assert run.status == "failed"
        assert "the disk is full" in str(run.error), run.error
        assert "\n" not in str(run.error)
        assert ws.polars(ws.table("events").count().as_table()).item() == 0
    subprocess.run(["mount", "-o", "remount,size=2g", str(lake)], check=True)
    with cdp.open(small_disk) as ws:
        run = ws.run()
        assert run.status == "succeeded", run.error
        assert ws.sql("SELECT count(*) AS n FROM profiles").item() > 1000
