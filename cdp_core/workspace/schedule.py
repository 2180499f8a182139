"""When the run and the syncs of an open workspace start by themselves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cdp_core.errors import UsageError
from cdp_core.workspace.permits import needs

if TYPE_CHECKING:
    from cdp_core.runs.schedule.jobs import JobResult
    from cdp_core.workspace.facade import Workspace


class Schedule:
    """What runs by itself. All times are UTC.

    `jobs` have a `name`, a `cron` text, the `command` to run and the folder `root` to run it in, for a scheduler of
    one's own; `after` are the syncs that every run starts by itself, with the condition in words.

    Example: `ws.schedule().next_times(3)`
    """

    def __init__(self, workspace: Workspace) -> None:
        from cdp_core.cron import in_words
        from cdp_core.runs.due import following
        from cdp_core.runs.schedule.crontab import cron_lines
        from cdp_core.runs.schedule.jobs import jobs_for
        from cdp_core.runs.schedule.systemd import units

        self._workspace = workspace
        config, self._root, self._now = workspace.config, workspace.root, workspace.now
        self.jobs = jobs_for(self._root, config.schedule, config.syncs)
        self.after = {name: str(in_words(config.syncs[name].schedule)) for name in following(config)}
        self.lines = cron_lines(self._root, config.schedule, config.syncs)
        """What `install` puts into the crontab."""
        self.units = units(self.jobs)
        """What `install(systemd=True)` writes: file name → text."""

    @needs("read", plain=True)
    def next_times(self, n: int = 3) -> dict[str, list[datetime]]:
        """The next `n` times of every job."""
        from cdp_core.runs.schedule.jobs import next_times

        return {job.name: next_times(job.cron, self._now, n) for job in self.jobs}

    @needs("admin", plain=True)
    def install(self, *, systemd: bool = False) -> list[Path]:
        """Put the lines into the user's crontab, in place of this workspace's earlier ones; with `systemd` its user
        units, whose files are given back. Raises UsageError when nothing is scheduled or the machine refuses.
        """
        from cdp_core.runs.schedule.crontab import install_cron
        from cdp_core.runs.schedule.systemd import install_units

        if not self.jobs:
            raise UsageError("nothing is scheduled", hint="add 'schedule: {run: \"*/15 * * * *\"}' to cdp.yaml")
        if systemd:
            return install_units(self.jobs, self._root)
        install_cron(self.lines, self._root)
        return []

    @needs("admin", plain=True)
    def uninstall(self, *, systemd: bool = False) -> bool:
        """Take the lines, or the units, out again; False when there were none. Raises UsageError."""
        from cdp_core.runs.schedule.crontab import uninstall_cron
        from cdp_core.runs.schedule.systemd import uninstall_units

        return uninstall_units(self._root) if systemd else uninstall_cron(self._root)

    @needs("admin", plain=True)
    def run(self, *, done: Callable[[JobResult], None] | None = None) -> None:
        """Run the jobs at their times, in the foreground, until interrupted. Raises UsageError when there is none."""
        from cdp_core.runs.schedule.foreground import run_scheduler

        run_scheduler(self.jobs, done=done)
