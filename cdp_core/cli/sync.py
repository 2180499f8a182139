"""cdp sync."""

from __future__ import annotations

from typing import Annotated

import typer

from cdp_core.cli.options import DryRunOption, FrameOption, Output, OutputOption, TableOutput, WorkspaceOption, opened
from cdp_core.cli.output import print_frame, print_object
from cdp_core.cli.progress import progress

app = typer.Typer(help="What is sent where.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NAME", help="A sync of cdp.yaml.")]


@app.command("list")
def list_syncs(output: FrameOption = TableOutput.table, workspace: WorkspaceOption = None) -> None:
    """Syncs with their destination and what was delivered."""
    with opened(workspace) as ws:
        print_frame(ws.syncs(), output)


@app.command("plan")
def plan(name: Name, output: OutputOption = Output.table, workspace: WorkspaceOption = None) -> None:
    """The diff against what was delivered before: add, change, remove. Nothing is sent."""
    with opened(workspace) as ws:
        print_object(ws.sync(name).plan().to_dict(), output)


@app.command("run")
def run(
    name: Name,
    plan: Annotated[
        str | None, typer.Option("--plan", metavar="ID", help="Only if the plan is still this one.")
    ] = None,
    confirm: Annotated[bool, typer.Option("--confirm", help="Lift the brake on an emptied model.")] = False,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> None:
    """Send the diff."""
    with opened(workspace) as ws, progress() as tell:
        sync = ws.sync(name)
        if dry_run:
            result = sync.plan().to_dict()
        else:
            result = sync.run(plan, confirm=confirm, progress=lambda done, text: tell("sync", done, text)).to_dict()
    print_object(result, output)
