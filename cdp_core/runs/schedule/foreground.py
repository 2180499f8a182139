"""A scheduler in the foreground."""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cdp_core import cron
from cdp_core.errors import UsageError
from cdp_core.runs.schedule.jobs import Job, JobResult

if TYPE_CHECKING:
    from apscheduler.triggers.base import BaseTrigger


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
