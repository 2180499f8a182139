"""cdp destination."""

from __future__ import annotations

from typing import Annotated

import typer

from cdp_core.cli.options import FrameOption, Output, OutputOption, TableOutput, WorkspaceOption, opened
from cdp_core.cli.output import print_frame, print_object, say

app = typer.Typer(help="Where data can go, and types of your own.", no_args_is_help=True)


@app.command("list")
def list_types(output: FrameOption = TableOutput.table, workspace: WorkspaceOption = None) -> None:
    """Types of destinations (built in, plug-ins, your own) with modes, keys and who uses them."""
    with opened(workspace) as ws:
        print_frame(ws.destinations(), output)


@app.command("test")
def try_one(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A destination of cdp.yaml.")],
    output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> int:
    """Connect and prove the rights to write; nothing stays behind. Exit 1 when it fails."""
    with opened(workspace) as ws:
        result = ws.destinations.test(name)
    print_object(result.to_dict(), output)
    return 1 if result.ok is False else 0


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it shall be called.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Begin a destination of your own: destinations.py, and a contract test that passes as it is."""
    with opened(workspace) as ws:
        files = ws.destinations.new(name)
    for file in files:
        print(file.name)
    say(f"under destinations: in cdp.yaml: '{name}: {{type: {name}}}'; test it with 'pytest {files[-1].name}'")
