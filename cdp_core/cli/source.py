"""cdp source."""

from __future__ import annotations

from typing import Annotated

import typer

from cdp_core.cli.options import FrameOption, Output, OutputOption, TableOutput, WorkspaceOption, opened
from cdp_core.cli.output import print_frame, print_object

app = typer.Typer(help="Where data comes from.", no_args_is_help=True)


@app.command("list")
def list_sources(output: FrameOption = TableOutput.table, workspace: WorkspaceOption = None) -> None:
    """Sources with rows, freshness and held rows."""
    with opened(workspace) as ws:
        print_frame(ws.sources(), output)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A source of cdp.yaml.")],
    output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> None:
    """One source: its definition, where it stands, and what was loaded from it."""
    import cdp_core as cdp

    with opened(workspace) as ws:
        if name not in ws.config.sources:
            raise cdp.UsageError.unknown("source", name, ws.config.sources)
        loaded = ws.sources().rows(named=True)
        found = {
            "source": name,
            "defined": ws.config.where("sources", name),
            "definition": ws.config.written("sources", name),
            "loaded": next(row for row in loaded if row["source"] == name),
        }
    print_object(found, output)
