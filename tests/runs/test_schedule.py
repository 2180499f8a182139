"""Cron lines, the user's crontab, and the scheduler in the foreground."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cdp_core.cron import ScheduleSpec
from cdp_core.errors import UsageError
from cdp_core.runs.schedule.crontab import cron_lines, install_cron, uninstall_cron
from cdp_core.runs.schedule.foreground import run_scheduler
from cdp_core.runs.schedule.jobs import Job, JobResult, jobs_for, next_times

CRONTAB = """#!{python}
import os, pathlib, sys
store = pathlib.Path({store!r})
if sys.argv[1:] == ["-l"]:
    if not store.exists():
        sys.exit("no crontab for tester")
    sys.stdout.write(store.read_text())
elif sys.argv[1:] == ["-"]:
    text = sys.stdin.read()
    if text and not text.endswith("\\n"):
        sys.exit("new crontab file is missing newline before EOF, can't install.")
    store.write_text(text)
else:
    sys.exit("crontab: usage error")
"""


def sync(schedule: str | None, *, enabled: bool = True) -> Any:
    return SimpleNamespace(schedule=schedule, enabled=enabled)


@pytest.fixture
def crontab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of that name that speaks crontab's protocol and keeps the table in the file that is returned."""
    programs, store = tmp_path / "bin", tmp_path / "stored"
    programs.mkdir()
    program = programs / "crontab"
    program.write_text(CRONTAB.format(python=sys.executable, store=str(store)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return store


def test_what_is_scheduled(tmp_path: Path) -> None:
    syncs = {"a": sync("0 6 * * *"), "b": sync(None), "c": sync("0 7 * * *", enabled=False)}
    jobs = jobs_for(tmp_path, ScheduleSpec(run="*/15 * * * *"), syncs)
    assert [(job.name, job.cron, job.command[1:]) for job in jobs] == [
        ("run", "*/15 * * * *", ("-m", "cdp_core.cli", "run")),
        ("sync a", "0 6 * * *", ("-m", "cdp_core.cli", "sync", "run", "a")),
    ]
    assert jobs_for(tmp_path, ScheduleSpec(run="0 * * * *", sync=True), {})[0].command[-1] == "--sync"
    assert jobs_for(tmp_path, None, {}) == []
    assert cron_lines(tmp_path, None, {}) == []


def test_lines_run_in_a_shell_whatever_the_folder_is_called(tmp_path: Path) -> None:
    """Cron gives the command to /bin/sh after turning \\% into %; the same is done here, with a command that tells."""
    root = tmp_path / 'it\'s 100% "a" $HOME `x` workspace'
    (root / "data" / "lake").mkdir(parents=True)
    line = next(line for line in cron_lines(root, ScheduleSpec(run="@daily"), {}) if not line.startswith("#"))
    assert line.startswith("0 0 * * * cd ")
    assert "%" not in line.replace("\\%", "")
    command = line.split(" ", 5)[5].replace("\\%", "%")
    command = command.replace(shlex.join((sys.executable, "-m", "cdp_core.cli", "run")), "pwd")
    subprocess.run(["/bin/sh", "-c", command], check=True, env={"PATH": "/usr/bin:/bin"}, cwd="/")
    assert (root / "data" / "lake" / "schedule.log").read_text() == f"{root.resolve()}\n"


def test_installing_leaves_other_lines_alone(crontab: Path, tmp_path: Path) -> None:
    mine = "MAILTO=me\n# a comment\n5 5 * * * backup\n"
    crontab.write_text(mine)
    roots = [tmp_path / "one", tmp_path / "two"]
    for root in roots:
        install_cron(cron_lines(root, ScheduleSpec(run="0 * * * *"), {}), root)
    first = crontab.read_text()
    assert first.startswith(mine)
    assert first.count("cdp_core.cli") == 2
    install_cron(cron_lines(roots[0], ScheduleSpec(run="7 * * * *"), {}), roots[0])
    changed = crontab.read_text()
    assert changed.count("cdp_core.cli") == 2
    assert "\n7 * * * * cd " in changed
    assert uninstall_cron(roots[0])
    assert uninstall_cron(roots[1])
    assert crontab.read_text() == mine
    assert not uninstall_cron(roots[1])
    assert crontab.read_text() == mine


def test_installing_twice_changes_nothing(crontab: Path, tmp_path: Path) -> None:
    lines = cron_lines(tmp_path, ScheduleSpec(run="0 * * * *"), {"a": sync("1 * * * *")})
    install_cron(lines, tmp_path)
    first = crontab.read_text()
    install_cron(lines, tmp_path)
    assert crontab.read_text() == first
    assert (tmp_path / "data" / "lake").is_dir()


def test_a_broken_block_is_left_to_its_owner(crontab: Path, tmp_path: Path) -> None:
    lines = cron_lines(tmp_path, ScheduleSpec(run="0 * * * *"), {})
    crontab.write_text("\n".join(lines[:-1]) + "\n5 5 * * * backup\n")
    before = crontab.read_text()
    with pytest.raises(UsageError, match="crontab -e"):
        install_cron(lines, tmp_path)
    assert crontab.read_text() == before


def test_without_crontab_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="crontab is not installed; install cron, or run 'cdp schedule run'"):
        uninstall_cron(tmp_path)


def test_next_times() -> None:
    now = datetime(1998, 7, 1)
    assert next_times(ScheduleSpec(run="*/30 * * * *"), now, 2) == [
        datetime(1998, 7, 1, 0, 30, tzinfo=UTC),
        datetime(1998, 7, 1, 1, 0, tzinfo=UTC),
    ]
    assert next_times(ScheduleSpec(), now) == []


def shell(tmp_path: Path, name: str, text: str) -> Job:
    return Job(name=name, cron="0 * * * *", command=("/bin/sh", "-c", text), root=tmp_path)


def before_the_hour() -> Any:
    """A clock whose next full hour is a second away."""
    offset = datetime(2026, 3, 1, 9, 59, 59, tzinfo=UTC) - datetime.now(UTC)
    return lambda: datetime.now(UTC) + offset


def test_jobs_run_in_processes_of_their_own(tmp_path: Path) -> None:
    stop = threading.Event()
    results: list[JobResult] = []

    def done(result: JobResult) -> None:
        results.append(result)
        if len(results) == 2:
            stop.set()

    jobs = [shell(tmp_path, "one", "pwd > one"), shell(tmp_path, "two", "exit 3")]
    watchdog = threading.Timer(60, stop.set)
    watchdog.start()
    run_scheduler(jobs, clock=before_the_hour(), stop=stop, done=done)
    watchdog.cancel()
    assert {result.name: result.exit_code for result in results} == {"one": 0, "two": 3}
    assert (tmp_path / "one").read_text() == f"{tmp_path}\n"


def test_stopping_waits_for_what_is_running(tmp_path: Path) -> None:
    stop = threading.Event()
    results: list[JobResult] = []

    def watch() -> None:
        end = time.monotonic() + 60
        while not (tmp_path / "begun").exists() and time.monotonic() < end:
            time.sleep(0.02)
        stop.set()

    threading.Thread(target=watch).start()
    job = shell(tmp_path, "slow", "touch begun; sleep 1; touch finished")
    run_scheduler([job], clock=before_the_hour(), stop=stop, done=results.append)
    assert (tmp_path / "finished").exists()
    assert [result.exit_code for result in results] == [0]


def test_nothing_fires_before_its_time(tmp_path: Path) -> None:
    stop = threading.Event()
    threading.Timer(1.5, stop.set).start()
    clock = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    run_scheduler([shell(tmp_path, "later", "touch never")], clock=lambda: clock, stop=stop)
    assert not (tmp_path / "never").exists()


def test_nothing_scheduled_is_said() -> None:
    with pytest.raises(UsageError, match="nothing is scheduled; add 'schedule"):
        run_scheduler([])


def test_a_wrong_schedule_names_an_example() -> None:
    with pytest.raises(ValueError, match=r"'hourly' is no cron schedule; write five fields, such as"):
        ScheduleSpec(run="hourly")
