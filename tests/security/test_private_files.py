"""Whatever the umask, what is written is for the user it runs as."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import cdp_core as cdp
from cdp_core.runs.doctor import diagnose
from cdp_core.workspace import demo

ROOT = Path(__file__).parents[2]
LIBRARY = """
import sys
import cdp_core as cdp
with cdp.open(sys.argv[1]) as ws:
    assert ws.run(sync=True).status == "succeeded"
    email = ws.sql("SELECT value FROM user_identifiers WHERE type = 'email' LIMIT 1").item()
    ws.privacy.suppress("email:" + email, reason="asked")
    ws.quality_report("data/report.html")
"""


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[Path]]:
    """A workspace that has run under umask 0, and what was there before."""
    root = tmp_path_factory.mktemp("private") / "shop"
    demo(root, people=60, seed=4)
    before = set(root.rglob("*"))
    _under_umask_0(root, "-c", LIBRARY, str(root))
    return root, before


@pytest.fixture
def shop(given: tuple[Path, set[Path]]) -> Path:
    return given[0]


def _under_umask_0(shop: Path, *command: str) -> str:
    done = subprocess.run(
        ["sh", "-c", 'umask 000; exec "$@"', "sh", sys.executable, *command],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=shop,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _open_to_others(shop: Path, given: set[Path]) -> list[str]:
    return [
        f"{stat.filemode(path.lstat().st_mode)} {path.relative_to(shop)}"
        for path in sorted(shop.rglob("*"))
        if path not in given and path.lstat().st_mode & 0o077
    ]


def test_nothing_is_open_to_others_under_umask_0(given: tuple[Path, set[Path]]) -> None:
    shop, before = given
    written = set(shop.rglob("*")) - before
    assert {"catalog.sqlite", "high_value.csv", "suppressions.jsonl"} <= {path.name for path in written}
    assert _open_to_others(shop, before) == []
    _under_umask_0(shop, "-m", "cdp_core.cli", "quality", "report", "--out", "data/reports/q.html")
    assert (shop / "data/reports/q.html").is_file()
    assert _open_to_others(shop, before) == []


def test_rights_of_an_export_that_somebody_gave_are_kept(shop: Path) -> None:
    export = shop / "data/exports/high_value.csv"
    export.chmod(0o640)
    folder = export.parent
    folder.chmod(0o750)
    with cdp.open(shop) as ws:
        ws.sync("high_value_csv").run()
    assert (stat.S_IMODE(export.stat().st_mode), stat.S_IMODE(folder.stat().st_mode)) == (0o640, 0o750)


def test_the_doctor_tells_of_an_open_lake_and_what_to_type(shop: Path) -> None:
    lake = shop / "data/lake"
    assert not [f for f in diagnose(shop) if "others on this machine" in f.what]
    lake.chmod(0o755)
    (lake / "catalog.sqlite").chmod(0o644)
    (found,) = [f for f in diagnose(shop) if "others on this machine" in f.what]
    assert found.level == "warn"
    assert "data/lake" in found.what
    subprocess.run(["sh", "-c", found.hint or "false"], cwd=shop, check=True)
    assert not [f for f in diagnose(shop) if "others on this machine" in f.what]


def test_a_lake_that_was_open_is_shut_by_the_next_run(shop: Path) -> None:
    lake = shop / "data/lake"
    for path in (lake, *lake.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    with cdp.open(shop) as ws:
        assert ws.run().status == "succeeded"
    assert [p for p in (lake, *lake.rglob("*")) if p.lstat().st_mode & 0o077] == []
