"""One audience and the schedule of an open workspace, as objects to ask."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cdp_core.errors import UsageError
from cdp_core.workspace import listings

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.audiences.preview import Preview
    from cdp_core.audiences.spec import AudienceSpec
    from cdp_core.runs.schedule import JobResult
    from cdp_core.workspace.facade import Workspace


class Audience:
    """One audience. Raises UsageError for a name that cdp.yaml does not define.

    Example: `ws.audience("high_value").preview().count`
    """

    def __init__(self, workspace: Workspace, name: str) -> None:
        if name not in workspace.config.audiences:
            raise UsageError.unknown("audience", name, workspace.config.audiences)
        self.name = name
        self._workspace = workspace

    @property
    def spec(self) -> AudienceSpec:
        return self._workspace.config.audiences[self.name]

    @property
    def definition(self) -> dict[str, Any]:
        """The definition as it stands in cdp.yaml."""
        written: dict[str, Any] = self._workspace.config.written("audiences", self.name)
        return written

    def preview(self, *, sample: int = 20) -> Preview:
        """Count, sample and funnel on today's published profiles, whether or not the audience has been run."""
        return listings.preview_condition(self._workspace, self.spec.where, sample=sample)

    def members(self, limit: int | None = None) -> pl.DataFrame:
        """Members as of the last run: the columns of `profiles` and entered_at (UTC), by profile_id."""
        workspace = self._workspace
        members = workspace.table("audience_members")
        members = members.filter(members.audience == self.name).select("profile_id", "entered_at")
        rows = workspace.table("profiles").inner_join(members, "profile_id").order_by("profile_id")
        return workspace.polars(rows.limit(limit) if limit is not None else rows)

    def history(self) -> pl.DataFrame:
        """How many entered and exited at each run: the columns at (UTC), entered, exited."""
        workspace = self._workspace
        changes = workspace.table("audience_changes")
        changes = changes.filter(changes.audience == self.name)
        counted = changes.group_by("at").agg(
            entered=(changes.change == "entered").sum(), exited=(changes.change == "exited").sum()
        )
        return workspace.polars(counted.order_by("at"))


class Schedule:
    """When the run and the syncs of a workspace start by themselves. All times are UTC.

    Example: `ws.schedule().next_times(3)`
    """

    def __init__(self, workspace: Workspace) -> None:
        from cdp_core.runs.schedule import cron_lines, jobs_for

        config, self._root, self._now = workspace.config, workspace.root, workspace.now
        self.jobs = jobs_for(self._root, config.schedule, config.syncs)
        self.lines = cron_lines(self._root, config.schedule, config.syncs)
        """What `install` puts into the crontab."""

    def next_times(self, n: int = 3) -> dict[str, list[datetime]]:
        """The next `n` times of every job."""
        from cdp_core.runs.schedule import next_times

        return {job.name: next_times(job.cron, self._now, n) for job in self.jobs}

    def install(self) -> None:
        """Put the lines into the user's crontab, in place of this workspace's earlier ones. Raises UsageError."""
        from cdp_core.runs.schedule import install_cron

        if not self.lines:
            raise UsageError("nothing is scheduled", hint="add 'schedule: {run: \"*/15 * * * *\"}' to cdp.yaml")
        install_cron(self.lines, self._root)

    def uninstall(self) -> bool:
        """Take the lines out again; False when there were none. Raises UsageError."""
        from cdp_core.runs.schedule import uninstall_cron

        return uninstall_cron(self._root)

    def run(self, *, done: Callable[[JobResult], None] | None = None) -> None:
        """Run the jobs at their times, in the foreground, until interrupted. Raises UsageError when there is none."""
        from cdp_core.runs.schedule import run_scheduler

        run_scheduler(self.jobs, done=done)
