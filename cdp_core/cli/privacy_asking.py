"""What requests about people ask of whoever types them: whom it is about, why, and whether it is meant."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from cdp_core.cli.options import Output
from cdp_core.cli.output import print_rows, say

Person = Annotated[str, typer.Argument(metavar="TYPE:VALUE", help="Any identifier of the person, or a profile_id.")]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why, for whoever reads the list next year.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def confirmed(found: Any, *, yes: bool, output: Output, what: str) -> None:
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
    if found.profile_id is None:
        say("nobody has this identifier: is it spelled as they gave it? It would be kept out from now on")
    else:
        say(f"profile {found.profile_id}: {found.events:,} events{where}")
    for doubt in found.doubts:
        say(f"doubtful: {doubt}")
