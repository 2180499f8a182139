"""cdp quality."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from cdp_core.cli import plan, suite
from cdp_core.cli.options import (
    DryRunOption,
    FrameOption,
    LimitOption,
    Output,
    OutputOption,
    TableOutput,
    WorkspaceOption,
    day,
    opened,
)
from cdp_core.cli.output import print_frame, print_object, say

app = typer.Typer(help="What good data is, and what was held back.", no_args_is_help=True)
app.add_typer(plan.app, name="plan")
app.add_typer(suite.app, name="suite")


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


@app.command("anomalies")
def anomalies(
    source: Annotated[str | None, typer.Option("--source", metavar="NAME", help="Only of this source.")] = None,
    event: Annotated[
        str | None,
        typer.Option("--event", metavar="NAME", help="Only of this event, or type of call (page, identify)."),
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help="Only volume, missing, violations or new_values.")
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option("--from", metavar="DAY", parser=day, help="First UTC day; default: the last 28 days."),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option("--to", metavar="DAY", parser=day, help="Last UTC day; default: the newest one."),
    ] = None,
    output: FrameOption = TableOutput.table,
    workspace: WorkspaceOption = None,
) -> None:
    """Days that are unlike a source's own history, newest first."""
    with opened(workspace) as ws:
        found = ws.anomalies.find(
            source=source, event=event, kind=kind, since=since and since.date(), until=until and until.date()
        )
    shown = found if output != TableOutput.table else found.select("day", "kind", "z", "what", "values")
    print_frame(shown, output)


SourceArgument = Annotated[str, typer.Argument(metavar="SOURCE", help="A source of cdp.yaml.")]
IdsArgument = Annotated[
    list[str], typer.Argument(metavar="ID...", help="Message ids, as 'cdp quality quarantine' shows.")
]


@app.command("replay")
def replay(
    source: Annotated[str | None, typer.Option("--source", metavar="NAME", help="Only rows of this source.")] = None,
    rule: Annotated[str | None, typer.Option("--rule", metavar="RULE", help="Only rows that this rule holds.")] = None,
    ids: Annotated[list[str] | None, typer.Option("--id", metavar="ID", help="Only this row; repeat it.")] = None,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> None:
    """Try held rows again, by the mapping, tracking plan and suites of today; what passes becomes events."""
    with opened(workspace) as ws:
        found = ws.held.replay(source=source, rule=rule, ids=ids or (), dry_run=dry_run)
    print_object(found.to_dict(), output)
    if found.passed and not dry_run:
        say("next: cdp run")


@app.command("fix")
def fix(
    source: SourceArgument,
    message_id: Annotated[str, typer.Argument(metavar="ID", help="Message id of the held row.")],
    content: Annotated[
        str, typer.Option("--content", metavar="JSON", help="The whole row as it should be; - reads it.")
    ],
    workspace: WorkspaceOption = None,
) -> None:
    """Correct a held row. Its original stays beside it; 'cdp quality replay' tries it again."""
    with opened(workspace) as ws:
        ws.held.fix(source, message_id, sys.stdin.read() if content == "-" else content)
    say("next: cdp quality replay")


@app.command("discard")
def discard(
    source: SourceArgument,
    ids: IdsArgument,
    restore: Annotated[bool, typer.Option("--restore", help="Take it back.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Let held rows go: they stay in the table and are not tried again."""
    with opened(workspace) as ws:
        count = ws.held.restore(source, ids) if restore else ws.held.discard(source, ids)
    say(f"{'restored' if restore else 'discarded'} {count:,}")
