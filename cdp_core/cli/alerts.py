"""cdp alerts."""

from __future__ import annotations

import typer

from cdp_core.cli.options import FrameOption, Output, OutputOption, TableOutput, WorkspaceOption, opened
from cdp_core.cli.output import print_frame, print_object, print_rows

app = typer.Typer(help="Who is told what when a run or a sync goes wrong.", no_args_is_help=True)


@app.command("list")
def list_alerts(output: FrameOption = TableOutput.table, workspace: WorkspaceOption = None) -> None:
    """Every alert, and what it has told and is not over."""
    with opened(workspace) as ws:
        print_frame(ws.alerts(), output)


@app.command("test")
def try_all(output: OutputOption = Output.table, workspace: WorkspaceOption = None) -> int:
    """Send a test message to every receiver. Exit 1 when one does not take it."""
    with opened(workspace) as ws:
        sent = ws.alerts.test()
    if output is Output.json:
        print_object([one.to_dict() for one in sent], output)
    else:
        print_rows(("to", "ok", "said"), [[one.to, one.ok, one.said] for one in sent])
    return 0 if all(one.ok for one in sent) else 1
