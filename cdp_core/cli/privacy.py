"""cdp privacy."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from cdp_core.cli.options import FrameOption, Output, OutputOption, TableOutput, WorkspaceOption, opened
from cdp_core.cli.output import print_frame, print_object, print_rows, say

app = typer.Typer(help="What people may ask of you, and what you may not send.", no_args_is_help=True)
request = typer.Typer(help="What a person has asked for.", no_args_is_help=True)
app.add_typer(request, name="request")

Person = Annotated[str, typer.Argument(metavar="TYPE:VALUE", help="Any identifier of the person, or a profile_id.")]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why, for whoever reads the list next year.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@request.command("suppress")
def suppress(
    person: Person, reason: Reason, yes: Yes = False, output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> None:  # fmt: skip
    """Let nothing about a person go to any destination; mirrors take out what they have sent."""
    with opened(workspace) as ws:
        found = ws.privacy.subject(person)
        _confirmed(found, yes=yes, output=output, what="suppress")
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
        _confirmed(found, yes=yes, output=output, what="take back the suppression of")
        lifted = [each.to_dict() for each in ws.privacy.unsuppress(found, reason=reason)]
    if output is Output.json:
        print_object({"lifted": lifted, "subject": found.to_dict()}, output)
    else:
        print_rows(tuple(lifted[0]), [list(row.values()) for row in lifted], [False, False, True, False, False])


@app.command("suppressions")
def suppressions(
    history: Annotated[bool, typer.Option("--history", help="Also what has been taken back.")] = False,
    output: FrameOption = TableOutput.table,
    workspace: WorkspaceOption = None,
) -> None:
    """People of whom nothing is sent: how many identifiers, why and since when, never who."""
    with opened(workspace) as ws:
        print_frame(ws.privacy.suppressions(history=history), output)


def _confirmed(found: Any, *, yes: bool, output: Output, what: str) -> None:
    """Shows who it is, and asks. Leaves when the answer is no, and raises UsageError when nobody can be asked."""
    import cdp_core as cdp

    if output is Output.table:
        _told(found)
    if yes:
        return
    if not sys.stdin.isatty():
        people = "one person" if found.profile_id else "an identifier that nobody has yet"
        doubts = f" ({'; '.join(found.doubts)})" if found.doubts else ""
        asked = f"this would {what} {people} with {len(found.identifiers)} identifiers{doubts}"
        raise cdp.UsageError(asked, hint="add --yes to do it")
    if not typer.confirm(f"Really {what} this person?", err=True):
        raise typer.Exit(1)


def _told(found: Any) -> None:
    rows: list[list[Any]] = [list(one) for one in found.identifiers]
    print_rows(("identifier", "value"), rows, [False, False])
    where = f", sent by {', '.join(found.sent_to)}" if found.sent_to else ""
    say(f"profile {found.profile_id or 'none yet'}: {found.events:,} events{where}")
    for doubt in found.doubts:
        say(f"doubtful: {doubt}")
