"""cdp profile."""

from __future__ import annotations

from typing import Annotated

import typer

from cdp_core.cli.options import FrameOption, LimitOption, Output, OutputOption, TableOutput, WorkspaceOption, opened
from cdp_core.cli.output import print_frame, print_object

app = typer.Typer(help="People: one profile each.", no_args_is_help=True)


@app.command("show")
def show(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="type:value, or a profile_id.")],
    output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> None:
    """The single customer view of one person."""
    with opened(workspace) as ws:
        print_object(ws.profile(identifier).to_dict(), output)


@app.command("explain")
def explain(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="type:value, or a profile_id.")],
    output: FrameOption = TableOutput.table,
    workspace: WorkspaceOption = None,
) -> None:
    """How a profile came to be: what joined it, when and why, and what was held back."""
    import polars as pl

    with opened(workspace) as ws:
        steps = ws.identity.history(identifier)
    if output == TableOutput.json:
        print_object(steps, Output.json)
        return
    columns = ("at", "what", "identifiers", "because", "source", "detail")
    shown = [{c: ", ".join(s[c]) if isinstance(s[c], list) else s[c] for c in columns} for s in steps]
    print_frame(pl.DataFrame(shown, schema=dict.fromkeys(columns), infer_schema_length=None), output)


@app.command("search")
def search(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Any identifier, or part of a name.")],
    limit: LimitOption = 50,
    output: FrameOption = TableOutput.table,
    workspace: WorkspaceOption = None,
) -> None:
    """Profiles found by an identifier or a name."""
    with opened(workspace) as ws:
        print_frame(ws.search(text, limit), output)
