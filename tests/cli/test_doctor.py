"""The doctor finds what is wrong, and says what to do."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from cdp_command import Command
from filelock import FileLock

from cdp_core.modes import new_folder, private_file
from cdp_core.runs.doctor import Finding, diagnose

pytestmark = pytest.mark.xdist_group("cli")


def wrong(folder: Path, level: str = "error") -> list[Finding]:
    return [finding for finding in diagnose(folder) if finding.level == level]


def edited(folder: Path, old: str, new: str) -> Path:
    text = (folder / "cdp.yaml").read_text()
    assert old in text
    (folder / "cdp.yaml").write_text(text.replace(old, new, 1))
    return folder


def test_a_fresh_workspace_is_well(fresh: Path, cdp: Command) -> None:
    assert wrong(fresh) == []
    before = sorted(path.name for path in fresh.rglob("*"))
    done = cdp("doctor", "-o", "json", cwd=fresh)
    assert done.returncode == 0
    assert {row["level"] for row in json.loads(done.stdout)} <= {"ok", "warn"}
    assert sorted(path.name for path in fresh.rglob("*")) == before, "nothing is changed"


def test_every_configuration_error_is_listed(fresh: Path, cdp: Command) -> None:
    edited(fresh, "total_spent, at_least", "total_spend, at_least")
    edited(fresh, "destination: exports", "destination: export")
    found = wrong(fresh)
    assert len(found) == 2
    assert all(finding.what.startswith("cdp.yaml:") for finding in found)
    done = cdp("doctor", cwd=fresh)
    assert done.returncode == 2
    assert "2 errors" in done.stderr


def test_no_workspace_at_all(tmp_path: Path) -> None:
    assert any("there is no such file" in finding.what for finding in wrong(tmp_path))


def test_sources_that_are_not_there(fresh: Path) -> None:
    (fresh / "data/sources/customers.csv").unlink()
    assert "no file data/sources/customers.csv" in wrong(fresh)[0].what
    assert wrong(fresh)[0].what.startswith("cdp.yaml:")


def test_databases_that_do_not_answer(fresh: Path) -> None:
    database = """\
  tickets:
    type: sql
    url: URL
    table: tickets
    map: {type: track, event: Ticket Opened, key: id}

identity:
"""
    edited(fresh, "identity:\n", database.replace("URL", "sqlite:///gone.db"))
    assert "no database file gone.db" in wrong(fresh)[0].what
    edited(fresh, "sqlite:///gone.db", "postgresql://user:hunter2@127.0.0.1:9/shop")
    started = time.monotonic()
    found = wrong(fresh)
    assert "the database does not answer" in found[0].what
    assert "hunter2" not in str(found)
    assert time.monotonic() - started < 60


def test_suites_are_read(fresh: Path) -> None:
    suite = fresh / "expectations/sources/customers.json"
    suite.write_text(suite.read_text().replace("quarantine", "quarantene"))
    assert "quarantene" in wrong(fresh)[0].what


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_folders_without_rights(fresh: Path) -> None:
    (fresh / "data").chmod(0o500)
    try:
        assert [f.what for f in wrong(fresh)] == [
            "the lake: data/lake cannot be written (permission denied)",
            "destination 'exports': data/exports cannot be written (permission denied)",
        ]
    finally:
        (fresh / "data").chmod(0o700)


def test_a_file_in_the_place_of_a_folder(fresh: Path) -> None:
    (fresh / "data/lake").write_text("")
    assert any("the lake: data/lake cannot be written (lake is a file)" in f.what for f in wrong(fresh))


@pytest.mark.parametrize(("free", "level"), [(50 * 1024**2, "error"), (500 * 1024**2, "warn"), (2 * 1024**3, "ok")])
def test_disk(fresh: Path, monkeypatch: pytest.MonkeyPatch, free: int, level: str) -> None:
    usage = shutil.disk_usage(fresh)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=free))
    assert [f.level for f in diagnose(fresh) if f.what.startswith("disk:")] == [level]


def test_a_run_that_is_going_on_and_one_that_died(fresh: Path) -> None:
    staging = fresh / "data/lake/staging"
    new_folder(staging)
    private_file(staging / "old.duckdb")
    os.utime(staging / "old.duckdb", (0, 0))
    assert "1 staging files of a dead run" in wrong(fresh, "warn")[0].what
    with FileLock(fresh / "data/lake/run.lock"):
        assert "a run is going on" in wrong(fresh, "warn")[0].what


def test_a_pinned_clock_is_mentioned(fresh: Path) -> None:
    edited(fresh, "# today: 2024-07-01 ", "today: 2024-07-01 ")
    assert any("the clock is pinned at 2024-07-01 (cdp.yaml:5)" in f.what for f in diagnose(fresh))


def test_packages_outside_their_range(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cdp_core.runs import doctor_versions

    real = doctor_versions.metadata.version
    fake = {"sqlglot": "31.0", "duckdb": "2.0.0"}
    monkeypatch.setattr(doctor_versions.metadata, "version", lambda name: fake.get(name) or real(name))
    found = [f.what for f in wrong(fresh)]
    assert found == ["duckdb 2.0.0 is not ==1.5.5", "sqlglot 31.0 is not <30.18"]


def test_an_identifier_that_no_rule_counts(fresh: Path) -> None:
    edited(fresh, "        email: email\n        phone", "        emial: email\n        phone")
    (found,) = wrong(fresh, "warn")
    assert found.what.startswith("cdp.yaml:")
    assert "identifier 'emial' has no rule" in found.what
    assert found.hint == "did you mean 'email'?"
