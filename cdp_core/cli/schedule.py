"""cdp schedule."""

from __future__ import annotations

import typer

from cdp_core.cli.options import Output, OutputOption, WorkspaceOption, opened
from cdp_core.cli.output import print_object, say

app = typer.Typer(help="When things run by themselves.", no_args_is_help=True)


@app.command("show")
def show(output: OutputOption = Output.table, workspace: WorkspaceOption = None) -> None:
    """What runs when: the next times (UTC) and the lines for cron."""
    from cdp_core.runs.schedule import cron_lines, jobs_for, next_times

    with opened(workspace) as ws:
        jobs = jobs_for(ws.root, ws.config.schedule, ws.config.syncs)
        lines = cron_lines(ws.root, ws.config.schedule, ws.config.syncs)
        found = [{"job": job.name, "cron": job.cron, "next": next_times(job.cron, ws.now, 3)} for job in jobs]
    print_object({"jobs": found, "crontab": lines}, output)


@app.command("install")
def install(workspace: WorkspaceOption = None) -> None:
    """Put this workspace's lines into your crontab; a second time replaces them."""
    import cdp_core as cdp
    from cdp_core.runs.schedule import cron_lines, install_cron

    with opened(workspace) as ws:
        lines = cron_lines(ws.root, ws.config.schedule, ws.config.syncs)
        if not lines:
            hint = "add 'schedule: {run: \"*/15 * * * *\"}'"
            raise cdp.UsageError("nothing is scheduled", where=ws.config.where("schedule"), hint=hint)
        install_cron(lines, ws.root)
    print("\n".join(lines))


@app.command("uninstall")
def uninstall(workspace: WorkspaceOption = None) -> None:
    """Take this workspace's lines out of your crontab; all others stay."""
    from cdp_core.runs.schedule import uninstall_cron

    with opened(workspace) as ws:
        say("removed" if uninstall_cron(ws.root) else "nothing was installed")


@app.command("run")
def run(workspace: WorkspaceOption = None) -> None:
    """Run things at their times, in the foreground, until Ctrl-C."""
    from cdp_core.runs.schedule import JobResult, jobs_for, run_scheduler

    def done(result: JobResult) -> None:
        say(f"{result.started_at:%Y-%m-%d %H:%M:%S}Z {result.name}: exit {result.exit_code}, {result.seconds:.1f} s")

    with opened(workspace) as ws:
        jobs = jobs_for(ws.root, ws.config.schedule, ws.config.syncs)
    if jobs:
        say(f"waiting for {', '.join(job.name for job in jobs)}; Ctrl-C stops")
    run_scheduler(jobs, done=done)
