"""cdp quality."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cdp_core.cli import plan
from cdp_core.cli.options import FrameOption, LimitOption, TableOutput, WorkspaceOption, opened
from cdp_core.cli.output import print_frame

app = typer.Typer(help="What good data is, and what was held back.", no_args_is_help=True)
app.add_typer(plan.app, name="plan")


@app.command("list")
def list_expectations(output: FrameOption = TableOutput.table, workspace: WorkspaceOption = None) -> None:
    """Every expectation with its last result."""
    with opened(workspace) as ws:
        print_frame(ws.suites(), output)


@app.command("report")
def report(
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Default: data/reports/quality.html.")
    ] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Write the last run's results as one HTML page that needs no network, and print its path."""
    with opened(workspace) as ws:
        print(ws.quality_report(out or ws.root / "data" / "reports" / "quality.html"))


@app.command("quarantine")
def quarantine(
    limit: LimitOption = 100, output: FrameOption = TableOutput.table, workspace: WorkspaceOption = None
) -> None:
    """Rows held back, newest first, with their reasons and original content."""
    with opened(workspace) as ws:
        print_frame(ws.quarantine(limit), output)
