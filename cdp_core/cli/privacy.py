"""cdp privacy."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from cdp_core.cli import inventory, privacy_consent, privacy_person, privacy_requests
from cdp_core.cli.options import (
    FrameOption,
    LimitOption,
    Output,
    OutputOption,
    TableOutput,
    WorkspaceOption,
    moment,
    opened,
)
from cdp_core.cli.output import print_frame, print_object, print_rows, say
from cdp_core.cli.privacy_asking import Person, Reason, Yes, confirmed

app = typer.Typer(help="What people may ask of you, and what you may not send.", no_args_is_help=True)
request = typer.Typer(help="What a person has asked for.", no_args_is_help=True)
app.add_typer(request, name="request")
privacy_requests.add_to(request)
app.add_typer(privacy_consent.app, name="consent")
inventory.add_to(app)

privacy_person.add_to(request)


@request.command("suppress")
def suppress(
    person: Person, reason: Reason, yes: Yes = False, output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> None:  # fmt: skip
    """Let nothing about a person go to any destination, nor come in; mirrors take out what they have sent."""
    with opened(workspace) as ws:
        found = ws.privacy.subject(person)
        confirmed(found, yes=yes, output=output, what="suppress")
        made = ws.privacy.suppress(found, reason=reason)
    print_object({**made.to_dict(), "subject": found.to_dict()} if output is Output.json else made.to_dict(), output)
    if output is Output.table:
        say("the next run of every sync leaves this person out")


@request.command("unsuppress")
def unsuppress(
    person: Person, reason: Reason, yes: Yes = False, output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> None:  # fmt: skip
    """Take the suppression of a person back."""
    with opened(workspace) as ws:
        found = ws.privacy.subject(person)
        confirmed(found, yes=yes, output=output, what="take back the suppression of")
        lifted = [each.to_dict() for each in ws.privacy.unsuppress(found, reason=reason)]
    if output is Output.json:
        print_object({"lifted": lifted, "subject": found.to_dict()}, output)
    else:
        print_rows(tuple(lifted[0]), [list(row.values()) for row in lifted], [False, False, True, False, False])


@app.command("why")
def why(
    field: Annotated[str, typer.Argument(metavar="SOURCE.PLACE", help="Such as crm.traits.email or web.context.ip.")],
    output: OutputOption = Output.table, workspace: WorkspaceOption = None,
) -> None:  # fmt: skip
    """What becomes of a field before it is stored, and who says so."""
    with opened(workspace) as ws:
        found = ws.privacy.why(field)
    print_object(found.to_dict(), output)


@app.command("suppressions")
def suppressions(
    history: Annotated[bool, typer.Option("--history", help="Also what has been taken back.")] = False,
    output: FrameOption = TableOutput.table,
    workspace: WorkspaceOption = None,
) -> None:
    """People of whom nothing is taken in or sent: how many identifiers, why and since when, never who."""
    with opened(workspace) as ws:
        print_frame(ws.privacy.suppressions(history=history), output)


@app.command("retention")
def retention(output: FrameOption = TableOutput.table, workspace: WorkspaceOption = None) -> None:
    """How long events are kept, and how many rows the next run takes out."""
    with opened(workspace) as ws:
        rows = ws.privacy.retention()
        print_frame(rows, output)
        if rows.is_empty() and output is TableOutput.table:
            say("no rule is set; see 'retention' under 'privacy' in cdp.yaml")


@app.command("audit")
def audit(
    verify: Annotated[bool, typer.Option("--verify", help="Say whether anybody has changed it; exit 1 if so.")] = False,
    actor: Annotated[str | None, typer.Option(help="Only what they did.", show_default=False)] = None,
    action: Annotated[
        str | None, typer.Option(help="Only this, such as sync.run, or a whole room, such as sync.", show_default=False)
    ] = None,
    outcome: Annotated[str | None, typer.Option(help="done, refused or failed.", show_default=False)] = None,
    about: Annotated[
        str | None, typer.Option(metavar="TYPE:VALUE", help="Only what was about a person.", show_default=False)
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(metavar="TIME", parser=moment, help="Not before this time, UTC.", show_default=False),
    ] = None,
    limit: LimitOption = 50,
    output: FrameOption = TableOutput.table,
    workspace: WorkspaceOption = None,
) -> int:
    """Who did what, newest first; people are in it by the HMAC of their identifiers alone."""
    with opened(workspace) as ws:
        if verify:
            return _verified(ws.audit.verify(), output)
        rows = ws.audit.entries(
            actor=actor, action=action, outcome=outcome, about=about, since=since, limit=limit
        ).drop("mac")
        print_frame(rows if output is not TableOutput.table else rows.select(*_SHOWN), output)
    return 0


_SHOWN = ("seq", "at", "actor", "role", "action", "outcome", "details")


def _verified(found: Any, output: TableOutput) -> int:
    import cdp_core as cdp

    if output is TableOutput.csv:
        raise cdp.UsageError("a verdict is no table", where="--output csv", choices=["table", "json"])
    if output is TableOutput.json:
        print_object(found.to_dict(), Output.json)
    else:
        print(f"audit log: {found.words}")
        if found.note:
            say(found.note)
    return 0 if found.ok else 1
