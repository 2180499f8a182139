"""cdp audience."""

from __future__ import annotations

from typing import Annotated

import typer

from cdp_core.cli.options import FrameOption, LimitOption, Output, OutputOption, TableOutput, WorkspaceOption, opened
from cdp_core.cli.output import print_frame, print_object

app = typer.Typer(help="Sets of people by rule.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NAME", help="An audience of cdp.yaml.")]


@app.command("list")
def list_audiences(output: FrameOption = TableOutput.table, workspace: WorkspaceOption = None) -> None:
    """Audiences with their members."""
    with opened(workspace) as ws:
        print_frame(ws.audiences(), output)


@app.command("show")
def show(name: Name, output: OutputOption = Output.table, workspace: WorkspaceOption = None) -> None:
    """One audience's definition and where it stands."""
    with opened(workspace) as ws:
        found = ws.audience(name)
        where = ws.config.where("audiences", name)
        print_object({"audience": name, "defined": where, "definition": found.definition}, output)


@app.command("preview")
def preview(name: Name, output: OutputOption = Output.table, workspace: WorkspaceOption = None) -> None:
    """How many would be in it now, condition by condition, and a sample."""
    with opened(workspace) as ws:
        print_object(ws.audience(name).preview().to_dict(), output)


@app.command("members")
def members(
    name: Name,
    limit: LimitOption = 1_000,
    output: FrameOption = TableOutput.table,
    workspace: WorkspaceOption = None,
) -> None:
    """Who is in it as of the last run."""
    with opened(workspace) as ws:
        print_frame(ws.audience(name).members(limit), output)
