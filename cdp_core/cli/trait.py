"""cdp trait."""

from __future__ import annotations

import typer

from cdp_core.cli.options import FrameOption, TableOutput, WorkspaceOption, opened
from cdp_core.cli.output import print_frame

app = typer.Typer(help="What is known about a person.", no_args_is_help=True)


@app.callback()
def _noun() -> None:
    pass


@app.command("list")
def list_traits(output: FrameOption = TableOutput.table, workspace: WorkspaceOption = None) -> None:
    """Traits with their definition, type and how many profiles have a value."""
    with opened(workspace) as ws:
        print_frame(ws.traits(), output)
