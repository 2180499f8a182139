"""The validating process: started early, reused, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from quality_kit import expect, suite

from cdp_core.engine.staging import Staging
from cdp_core.errors import EngineError
from cdp_core.quality.spare import Spare
from cdp_core.quality.validator import Validator, _started

GIVEN = expect("given", "warn", "expect_column_values_to_not_be_null", column="a")


def _stage(staging: Staging) -> None:
    staging.append("rows_t", pl.DataFrame({"message_id": ["m1", "m2"], "a": [1, None]}))


def test_start_returns_at_once() -> None:
    with Validator() as validator:
        began = time.perf_counter()
        validator.start()
        validator.start()
        assert time.perf_counter() - began < 0.5


def test_one_process_serves_many_checks_and_gives_the_file_back(staging: Staging, validator: Validator) -> None:
    _stage(staging)
    validator.start()
    assert validator._running is not None
    process = validator._running.process.pid
    for checked in range(2, 5):
        (result,) = validator.check(staging, {"rows_t": suite("t", GIVEN)})
        assert (result.failed, result.checked) == (1, checked)
        staging.append("rows_t", pl.DataFrame({"message_id": ["m3"], "a": [3]}))
    assert validator._running.process.pid == process


def test_nothing_to_check_starts_nothing(staging: Staging) -> None:
    validator = Validator()
    assert validator.check(staging, {}) == []
    assert validator.check(staging, {"t": suite("t")}) == []
    assert validator._running is None


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    """The parent is killed while the import still runs."""
    code = (
        "import time; from cdp_core.quality.validator import Validator;"
        "v = Validator(); v.start(); print(v._running.process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert _alive(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 30
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _alive(child)


def _alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_process_that_dies_is_one_line_and_the_next_check_starts_anew(
    staging: Staging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new one starts in a folder with a file that must not be taken for a module."""
    _stage(staging)
    (tmp_path / "great_expectations.py").write_text("raise SystemExit('taken from the working folder')")
    monkeypatch.chdir(tmp_path)
    with Validator() as validator:
        validator.start()
        assert validator._running is not None
        os.kill(validator._running.process.pid, signal.SIGKILL)
        with pytest.raises(EngineError, match="the process that runs Great Expectations ended: exit code -9") as caught:
            validator.check(staging, {"rows_t": suite("t", GIVEN)})
        assert "\n" not in str(caught.value)
        assert validator.check(staging, {"rows_t": suite("t", GIVEN)})[0].failed == 1


def test_a_missing_great_expectations_is_named(
    staging: Staging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _stage(staging)
    (tmp_path / "great_expectations.py").write_text("raise ModuleNotFoundError('No module named great_expectations')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Validator() as validator, pytest.raises(EngineError, match="is 'great-expectations' installed"):
        validator.check(staging, {"rows_t": suite("t", GIVEN)})


def test_a_table_that_is_not_staged_is_one_line(staging: Staging, validator: Validator) -> None:
    _stage(staging)
    with pytest.raises(EngineError, match="table 'rows_x' is not staged") as caught:
        validator.check(staging, {"rows_x": suite("x", GIVEN)})
    assert "\n" not in str(caught.value)


def test_close_may_be_called_again(staging: Staging) -> None:
    validator = Validator()
    validator.start()
    validator.close()
    validator.close()


def test_the_next_one_takes_over_what_waits(staging: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless it was asked and has not answered, or packages would come from elsewhere now."""
    _stage(staging)
    with Validator() as first:
        assert first.check(staging, {"rows_t": suite("t", GIVEN)})[0].failed == 1
        assert first._running is not None
        process = first._running.process
    with Validator() as second:
        second.start()
        assert second._running is not None
        assert second._running.process.pid == process.pid
        assert second.check(staging, {"rows_t": suite("t", GIVEN)})[0].failed == 1
        second._asked = True
    assert process.poll() is not None
    with Validator() as third:
        third.start()
        assert third._running is not None
        waiting = third._running.process
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    with Validator() as fourth:
        fourth.start()
        assert fourth._running is not None
        assert fourth._running.process.pid != waiting.pid
    assert waiting.poll() is not None


def test_one_waits_for_so_long() -> None:
    spare = Spare(waits=0.1)
    running = _started()
    spare.give_back(running)
    assert running.process.wait(timeout=10) is not None


def test_without_a_rule_nothing_starts_early() -> None:
    with Validator(expected=False) as validator:
        validator.start()
        assert validator._running is None
