"""What runs when: the jobs of a workspace."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from cdp_core import cron
from cdp_core.cron import AfterSpec, ScheduleSpec


class HasSchedule(Protocol):
    """What is asked of a sync's spec."""

    @property
    def schedule(self) -> str | AfterSpec | None: ...

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
    """The run of `schedule:` and every enabled sync with a time of its own; those after a run are started by it."""
    start = (sys.executable, "-m", "cdp_core.cli")
    root = root.resolve()
    jobs = []
    if spec is not None and spec.run is not None:
        more = ("--sync",) if spec.sync else ()
        jobs.append(Job(name="run", cron=spec.run, command=(*start, "run", *more), root=root))
    for name, sync in syncs.items():
        if sync.enabled and isinstance(sync.schedule, str):
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


def mark(root: Path) -> str:
    """What tells this workspace's lines and units from those of others on the machine."""
    return hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:12]
