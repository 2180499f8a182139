"""When things run: cron lines for the machine's own cron, or a scheduler in the foreground.

Both start the command line in a process of its own, so a job that dies takes nothing with it, and the workspace's lock
keeps two runs apart.
"""

from __future__ import annotations

import hashlib
import logging
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cdp_core import cron
from cdp_core.cron import ScheduleSpec
from cdp_core.errors import EngineError, UsageError

if TYPE_CHECKING:
    from apscheduler.triggers.base import BaseTrigger

__all__ = [
    "Job",
    "JobResult",
    "ScheduleSpec",
    "cron_lines",
    "install_cron",
    "jobs_for",
    "next_times",
    "run_scheduler",
    "uninstall_cron",
]
LOG = Path("data/lake/schedule.log")


class HasSchedule(Protocol):
    """What is asked of a sync's spec."""

    @property
    def schedule(self) -> str | None: ...

    @property
    def enabled(self) -> bool: ...


@dataclass(frozen=True, kw_only=True)
class Job:
    """One thing to run: `cron` says when (UTC), `command` what, in the folder `root`."""

    name: str
    cron: str
    command: tuple[str, ...]
    root: Path


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """One finished job. `started_at` is UTC; `exit_code` is that of the command line."""

    name: str
    started_at: datetime
    seconds: float
    exit_code: int


def jobs_for(root: Path, spec: ScheduleSpec | None, syncs: Mapping[str, HasSchedule]) -> list[Job]:
    """The run of `schedule:` and every enabled sync that has a schedule."""
    start = (sys.executable, "-m", "cdp_core.cli")
    root = root.resolve()
    jobs = []
    if spec is not None and spec.run is not None:
        more = ("--sync",) if spec.sync else ()
        jobs.append(Job(name="run", cron=spec.run, command=(*start, "run", *more), root=root))
    for name, sync in syncs.items():
        if sync.enabled and sync.schedule is not None:
            command = (*start, "sync", "run", name)
            jobs.append(Job(name=f"sync {name}", cron=sync.schedule, command=command, root=root))
    return jobs


def next_times(spec: ScheduleSpec | str, now: datetime, n: int = 5) -> list[datetime]:
    """The next `n` times of a cron text or of the run, UTC; empty when nothing is scheduled.

    >>> next_times("0 6 * * 1", datetime(1998, 7, 1), 1)[0].isoformat()
    '1998-07-06T06:00:00+00:00'
    """
    text = spec.run if isinstance(spec, ScheduleSpec) else spec
    return cron.next_times(text, now, n) if text else []


def cron_lines(root: Path, spec: ScheduleSpec | None, syncs: Mapping[str, HasSchedule]) -> list[str]:
    """Lines for crontab, between two marker comments of this workspace; empty when nothing is scheduled.

    Cron reads times in the machine's own time zone, which the first line says.
    """
    jobs = jobs_for(root, spec, syncs)
    if not jobs:
        return []
    begin, end = _markers(root)
    return [begin, "# cron reads these times in the time zone of this machine", *map(_line, jobs), end]


def install_cron(lines: list[str], root: Path) -> None:
    """Put the lines into the user's crontab in place of this workspace's earlier ones; all others stay as they are.

    Raises UsageError when crontab is not installed or refuses.
    """
    kept = _without(_read(), root)
    if kept and kept[-1] != "":
        kept.append("")
    (root / LOG).parent.mkdir(parents=True, exist_ok=True)
    _write([*kept, *lines])


def uninstall_cron(root: Path) -> bool:
    """Take this workspace's lines out again; False when there were none. Raises UsageError like `install_cron`."""
    before = _read()
    after = _without(before, root)
    if after == before:
        return False
    _write(after)
    return True


def run_scheduler(
    jobs: Iterable[Job],
    *,
    clock: Callable[[], datetime] | None = None,
    stop: threading.Event | None = None,
    done: Callable[[JobResult], None] | None = None,
) -> None:
    """Run jobs at their times until `stop` is set or the user interrupts; waits for jobs that are running.

    A job never overlaps itself, and times that were missed while the machine slept are made up for once. `clock` is
    the time the cron texts are read in (default: the real one, UTC); `done` hears about every finished job.
    Raises UsageError when there is nothing to run.
    """
    from apscheduler.schedulers.background import BackgroundScheduler

    listed = list(jobs)
    if not listed:
        raise UsageError("nothing is scheduled", hint="add 'schedule: {run: \"*/15 * * * *\"}' to cdp.yaml")
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    stop = stop or threading.Event()
    defaults = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
    scheduler = BackgroundScheduler(timezone="UTC", job_defaults=defaults)
    for job in listed:
        scheduler.add_job(_run, _trigger(job, clock), args=(job, done), id=job.name, name=job.name)
    scheduler.start()
    try:
        # A wait without an end cannot be interrupted on every system.
        while not stop.wait(1.0):
            pass
    except KeyboardInterrupt:
        pass
    finally:
        scheduler.shutdown(wait=True)


def _run(job: Job, done: Callable[[JobResult], None] | None) -> None:
    started_at, started = datetime.now(UTC), time.perf_counter()
    finished = subprocess.run(job.command, cwd=job.root, check=False, stdin=subprocess.DEVNULL)  # noqa: S603
    if done is not None:
        seconds = round(time.perf_counter() - started, 3)
        done(JobResult(name=job.name, started_at=started_at, seconds=seconds, exit_code=finished.returncode))


def _trigger(job: Job, clock: Callable[[], datetime] | None) -> BaseTrigger:
    inner = cron.trigger(job.cron, where=job.name)
    if clock is None:
        return inner
    now = clock()
    offset = (now.replace(tzinfo=UTC) if now.tzinfo is None else now) - datetime.now(UTC)
    return _shifted(inner, offset)


def _shifted(inner: BaseTrigger, offset: timedelta) -> BaseTrigger:
    from apscheduler.triggers.base import BaseTrigger as Base

    class Shifted(Base):
        """Fires when another clock, `offset` ahead of the real one, shows the time."""

        def get_next_fire_time(self, previous: Any, now: datetime) -> datetime | None:
            found = inner.get_next_fire_time(previous and previous + offset, now + offset)
            return found and found - offset

    shifted: BaseTrigger = Shifted()
    return shifted


def _line(job: Job) -> str:
    """One line of crontab(5), where a bare % ends the command."""
    if any(char in str(job.root) for char in "\n\r\0"):
        raise UsageError("cron cannot run in a folder with a line break in its name", where=job.root.name)
    log = shlex.quote(str(job.root / LOG))
    text = f"cd {shlex.quote(str(job.root))} && {shlex.join(job.command)} >> {log} 2>&1"
    schedule = cron.MACROS.get(job.cron.strip().lower(), job.cron)
    return f"{' '.join(schedule.split())} {text}".replace("%", "\\%")


def _markers(root: Path) -> tuple[str, str]:
    mark = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:12]
    return f"# >>> cdp workspace {mark} >>>", f"# <<< cdp workspace {mark} <<<"


def _without(lines: list[str], root: Path) -> list[str]:
    begin, end = _markers(root)
    if begin not in lines:
        return lines
    first = lines.index(begin)
    if end not in lines[first:]:
        raise UsageError("the crontab has the first but not the last line of this workspace", hint="run crontab -e")
    last = lines.index(end, first)
    before = lines[:first]
    while before and before[-1] == "":
        before.pop()
    return [*before, *lines[last + 1 :]]


def _read() -> list[str]:
    listed = _crontab("-l")
    if listed.returncode == 0:
        return listed.stdout.splitlines()
    if "no crontab" in listed.stderr:
        return []
    raise _refused(listed)


def _write(lines: list[str]) -> None:
    written = _crontab("-", text="".join(line + "\n" for line in lines))
    if written.returncode != 0:
        raise _refused(written)


def _crontab(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    import os

    environment = {**os.environ, "LC_ALL": "C"}
    command = ["crontab", *arguments]
    try:
        return subprocess.run(  # noqa: S603
            command, input=text, capture_output=True, text=True, check=False, timeout=30, env=environment
        )
    except FileNotFoundError:
        raise UsageError(
            "crontab is not installed", hint="install cron, or run 'cdp schedule run' in the foreground"
        ) from None
    except subprocess.TimeoutExpired:
        raise EngineError("crontab does not answer", hint="run 'crontab -l' by hand") from None


def _refused(done: subprocess.CompletedProcess[str]) -> UsageError:
    said = done.stderr.strip().splitlines()
    return UsageError(f"crontab refused: {said[-1] if said else f'exit {done.returncode}'}")
