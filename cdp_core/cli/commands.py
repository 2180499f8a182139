"""All commands under one roof."""

from __future__ import annotations

from typing import Annotated

import typer

from cdp_core.cli import (
    alerts,
    app_command,
    audience,
    collect,
    destination,
    doctor,
    identity,
    privacy,
    profile,
    quality,
    run,
    schedule,
    source,
    sql,
    start,
    status,
    sync,
    trait,
)
from cdp_core.cli.options import WorkspaceOption, choose_workspace

app = typer.Typer(
    name="cdp",
    help="A customer data platform in a folder: sources → events → quality → identity → profiles → audiences → "
    "destinations.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        import cdp_core

        typer.echo(f"cdp {cdp_core.__version__}")
        raise typer.Exit


@app.callback()
def _everywhere(
    workspace: WorkspaceOption = None,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    choose_workspace(workspace)


for module in (start, run, app_command, collect, sql, status, doctor):
    module.add_to(app)
for noun, commands in {
    "source": source,
    "quality": quality,
    "identity": identity,
    "profile": profile,
    "trait": trait,
    "audience": audience,
    "destination": destination,
    "sync": sync,
    "schedule": schedule,
    "alerts": alerts,
    "privacy": privacy,
}.items():
    app.add_typer(commands.app, name=noun)
