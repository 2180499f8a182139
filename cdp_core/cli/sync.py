"""cdp sync."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cdp_core.cli.ending import terminable
from cdp_core.cli.options import DryRunOption, FrameOption, Output, OutputOption, TableOutput, WorkspaceOption, opened
from cdp_core.cli.output import print_frame, print_object, say
from cdp_core.cli.progress import progress

app = typer.Typer(help="What is sent where.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NAME", help="A sync of cdp.yaml.")]
KeyOption = Annotated[
    list[str] | None, typer.Option("--key", metavar="KEY", help="Only this row; can be given more than once.")
]
ConfirmOption = Annotated[bool, typer.Option("--confirm", help="Lift the brake on an emptied model.")]


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
    confirm: ConfirmOption = False,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="Only the first rows, to see what arrives.")
    ] = None,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> None:
    """Send the diff."""
    with terminable(), opened(workspace) as ws, progress() as tell:
        sync = ws.sync(name)
        if dry_run:
            result = sync.plan().to_dict()
        else:
            told = sync.run(plan, confirm=confirm, limit=limit, progress=lambda done, text: tell("sync", done, text))
            result = told.to_dict()
    print_object(result, output)
    _tell_open(name, result)


@app.command("retry")
def retry(
    name: Name,
    key: KeyOption = None,
    confirm: ConfirmOption = False,
    output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> None:
    """Send now what was refused or left pending, and nothing else."""
    with terminable(), opened(workspace) as ws, progress() as tell:
        done = ws.sync(name).retry(key, confirm=confirm, progress=lambda done, text: tell("sync", done, text))
    print_object(done.to_dict(), output)
    _tell_open(name, done.to_dict())


@app.command("failed")
def failed(
    name: Name,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many rows.")] = None,
    output: FrameOption = TableOutput.table,
    workspace: WorkspaceOption = None,
) -> None:
    """Rows that were refused, left pending or dismissed, with the reason."""
    with opened(workspace) as ws:
        print_frame(ws.sync(name).failed(limit), output)


@app.command("dismiss")
def dismiss(
    name: Name, key: KeyOption = None, output: OutputOption = Output.table, workspace: WorkspaceOption = None
) -> None:
    """Leave refused rows alone until their content changes."""
    with opened(workspace) as ws:
        print_object({"sync": name, "dismissed": ws.sync(name).dismiss(key)}, output)


@app.command("restore")
def restore(
    name: Name, key: KeyOption = None, output: OutputOption = Output.table, workspace: WorkspaceOption = None
) -> None:
    """Take a dismissal back."""
    with opened(workspace) as ws:
        print_object({"sync": name, "restored": ws.sync(name).restore(key)}, output)


@app.command("history")
def history(
    name: Name,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many runs.")] = 50,
    output: FrameOption = TableOutput.table,
    workspace: WorkspaceOption = None,
) -> None:
    """What every run did, newest first."""
    with opened(workspace) as ws:
        print_frame(ws.sync(name).history(limit), output)


@app.command("sent")
def sent(
    identifier: Annotated[str, typer.Argument(metavar="IDENTIFIER", help="type:value or a profile id.")],
    output: FrameOption = TableOutput.table,
    workspace: WorkspaceOption = None,
) -> None:
    """What was sent about a person: where, when, and what became of it."""
    with opened(workspace) as ws:
        print_frame(ws.sent(identifier), output)


def _tell_open(name: str, result: dict[str, Any]) -> None:
    """A run that leaves rows behind says so, whoever reads its numbers."""
    if result.get("failed"):
        say(f"{result['failed']:,} rows were refused; see: cdp sync failed {name}")
