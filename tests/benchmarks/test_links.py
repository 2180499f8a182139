"""Ten million links of six million identifiers: seconds and memory beside other libraries. Run alone, on an idle machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import links_peers
import links_world
import pytest

pytestmark = pytest.mark.benchmark
HERE = Path(__file__).parent


def measured(name: str, path: Path) -> dict[str, float] | None:
    """In a process of its own, so that the peak of memory is its own; None when the library is not installed."""
    done = subprocess.run(
        [sys.executable, HERE / "links_peers.py", name, path], capture_output=True, text=True, check=False
    )
    if done.returncode and "ModuleNotFoundError" in done.stderr:
        return None
    assert done.returncode in (0, -9), done.stderr
    return json.loads(done.stdout) if done.stdout else {"seconds": float("nan"), "peak_mb": float("nan")}


def show(title: str, found: dict[str, dict[str, float] | None], base: str) -> float:
    best = found[base]
    assert best is not None
    sys.stdout.write(f"\n{title}\n")
    for name, each in found.items():
        line = "not installed"
        if each:
            line = (
                f"{each['seconds']:7.1f} s  {each['peak_mb'] / 1000:5.1f} GB  x {each['seconds'] / best['seconds']:.2f}"
            )
        sys.stdout.write(f"  {name:15} {line}\n")
    own = found["ours"]
    assert own is not None
    return own["seconds"] / best["seconds"]


def test_links_without_conflicts(tmp_path: Path) -> None:
    people = links_world.write(tmp_path / "links.parquet", shared_every=None)
    found = {name: measured(name, tmp_path / "links.parquet") for name in links_peers.PEERS}
    ratio = show("10 million links, 6 million identifiers", found, "scipy")
    assert {each["components"] for each in found.values() if each and "components" in each} == {people}
    assert ratio <= 2


def test_links_with_households(tmp_path: Path) -> None:
    """Of every fifty people two share an e-mail: what no other one here can tell apart goes through the exact policy."""
    people = links_world.write(tmp_path / "links.parquet", shared_every=50)
    found = {name: measured(name, tmp_path / "links.parquet") for name in ("ours", "scipy")}
    ratio = show("the same with households", found, "scipy")
    ours, theirs = found["ours"], found["scipy"]
    assert ours is not None
    assert theirs is not None
    assert theirs["components"] < people <= ours["components"]
    assert ratio <= 3
