"""cdp sql."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cdp_core.cli.options import FrameOption, TableOutput, WorkspaceOption, opened
from cdp_core.cli.output import print_frame


def add_to(app: typer.Typer) -> None:
    app.command("sql")(sql)


def sql(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="One SELECT; - reads it from stdin.")],
    output: FrameOption = TableOutput.table,
    workspace: WorkspaceOption = None,
) -> None:
    """Answer one SELECT over the canonical tables, read-only."""
    with opened(workspace) as ws:
        print_frame(ws.sql(sys.stdin.read() if query == "-" else query), output)
