"""cdp schedule."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cdp_core.cli.options import Output, OutputOption, WorkspaceOption, opened
from cdp_core.cli.output import print_object, say

app = typer.Typer(help="When things run by themselves.", no_args_is_help=True)
SystemdOption = Annotated[bool, typer.Option("--systemd", help="User units of systemd instead of cron.")]


@app.command("show")
def show(output: OutputOption = Output.table, workspace: WorkspaceOption = None) -> None:
    """What runs when: the next times (UTC) and the lines for cron."""
    with opened(workspace) as ws:
        schedule = ws.schedule()
        times = schedule.next_times()
    jobs = [{"job": job.name, "cron": job.cron, "next": times[job.name]} for job in schedule.jobs]
    jobs += [{"job": f"sync {name}", "cron": None, "after": words} for name, words in schedule.after.items()]
    if output is Output.json:
        print_object({"jobs": jobs, "crontab": schedule.lines}, output)
        return
    print_object({"jobs": jobs}, output)
    print("\n".join(["crontab:", *schedule.lines]))


@app.command("install")
def install(
    systemd: SystemdOption = False,
    show: Annotated[bool, typer.Option("--print", help="Show what would be installed; install nothing.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Put this workspace's lines into your crontab, or its timers into systemd; a second time replaces them."""
    with opened(workspace) as ws:
        schedule = ws.schedule()
        files = [] if show else schedule.install(systemd=systemd)
    if systemd and show:
        print("\n".join(f"# {name}\n{text}" for name, text in schedule.units.items()), end="")
    else:
        print("\n".join(map(str, files) if systemd else schedule.lines))
    if show and not schedule.jobs:
        say("nothing is scheduled")


@app.command("uninstall")
def uninstall(systemd: SystemdOption = False, workspace: WorkspaceOption = None) -> None:
    """Take this workspace's lines out of your crontab, or its timers out of systemd; all others stay."""
    with opened(workspace) as ws:
        say("removed" if ws.schedule().uninstall(systemd=systemd) else "nothing was installed")


@app.command("run")
def run(workspace: WorkspaceOption = None) -> None:
    """Run things at their times, in the foreground, until Ctrl-C."""

    def done(result: Any) -> None:
        say(f"{result.started_at:%Y-%m-%d %H:%M:%S}Z {result.name}: exit {result.exit_code}, {result.seconds:.1f} s")

    with opened(workspace) as ws:
        schedule = ws.schedule()
    if schedule.jobs:
        say(f"waiting for {', '.join(job.name for job in schedule.jobs)}; Ctrl-C stops")
    schedule.run(done=done)
