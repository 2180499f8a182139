"""cdp status, cdp schema."""

from __future__ import annotations

import json

import typer

from cdp_core.cli.options import Output, OutputOption, WorkspaceOption, folder_of, opened
from cdp_core.cli.output import print_object


def add_to(app: typer.Typer) -> None:
    app.command("status")(status)
    app.command("schema")(schema)


def status(output: OutputOption = Output.table, workspace: WorkspaceOption = None) -> None:
    """The last run, row counts, and whether a run is going on."""
    with opened(workspace) as ws:
        print_object(ws.status(), output)


def schema(workspace: WorkspaceOption = None) -> None:
    """Print the JSON Schema of cdp.yaml, for editors."""
    import cdp_core as cdp

    print(json.dumps(cdp.schema(folder_of(workspace)), indent=2, ensure_ascii=False))
