"""cdp identity."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cdp_core.cli.options import Output, OutputOption, WorkspaceOption, opened
from cdp_core.cli.output import print_object

app = typer.Typer(help="Which identifiers make one person.", no_args_is_help=True)


@app.callback()
def _noun() -> None:
    pass


@app.command("evaluate")
def evaluate(
    truth: Annotated[Path, typer.Option("--truth", metavar="FILE", help="CSV with source, record, person.")],
    output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> None:
    """Precision and recall of identity resolution against the truth."""
    with opened(workspace) as ws:
        print_object(ws.evaluate_identity(truth).to_dict(), output)
