"""A disk that fills up or may only be read: one line, exit 2, nothing half-done, and the next run goes on."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import cdp_core as cdp
from cdp_core.errors import EngineError


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


def remount(lake: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(lake)], check=True)


def test_full_disk(small_disk: Path) -> None:
    lake = small_disk / "data/lake"
    with cdp.open(small_disk) as ws:
        run = ws.run()
        assert (run.status, run.exit_code) == ("failed", 2)
        assert "the disk is full" in str(run.error), run.error
        assert "\n" not in str(run.error)
        assert ws.polars(ws.table("events").count().as_table()).item() == 0
    remount(lake, "size=2g")
    with cdp.open(small_disk) as ws:
        run = ws.run()
        assert run.status == "succeeded", run.error
        assert ws.sql("SELECT count(*) AS n FROM profiles").item() > 1000


@pytest.mark.parametrize("used", [False, True])
def test_disk_that_may_only_be_read(small_disk: Path, *, used: bool) -> None:
    lake = small_disk / "data/lake"
    if used:
        with cdp.open(small_disk) as ws:
            ws.engine.snapshot()
    remount(lake, "ro")
    with cdp.open(small_disk) as ws, pytest.raises(EngineError, match="cannot be written") as caught:
        ws.run()
    assert caught.value.exit_code == 2
    remount(lake, "rw,size=2g")
    with cdp.open(small_disk) as ws:
        assert ws.run().status == "succeeded"
