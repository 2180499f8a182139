"""cdp app: the dashboard."""

from __future__ import annotations

from typing import Annotated

import typer

from cdp_core.cli.options import WorkspaceOption, folder_of
from cdp_core.cli.server import Dashboard


def add_to(app: typer.Typer) -> None:
    app.command("app")(dashboard)


def dashboard(
    port: Annotated[int, typer.Option(min=1, max=65535, help="The next free one when it is taken.")] = 8501,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets others in, who have to log in.")
    ] = "127.0.0.1",
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser window.")] = True,
    workspace: WorkspaceOption = None,
) -> int:
    """Serve the dashboard until Ctrl-C."""
    return Dashboard(folder_of(workspace), host=host, port=port).serve(browser=browser)
