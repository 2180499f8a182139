"""cdp privacy request access, rectify."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cdp_core.cli.options import Output, OutputOption, WorkspaceOption, opened
from cdp_core.cli.output import print_object, say
from cdp_core.cli.privacy_asking import Person, Reason, Yes, confirmed
from cdp_core.cli.progress import progress

if TYPE_CHECKING:
    import cdp_core as cdp


def add_to(app: typer.Typer) -> None:
    app.command("access")(access)
    app.command("rectify")(rectify)


def access(
    person: Person,
    reason: Reason,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="PATH", help="A new folder, or a file that ends in .zip.", show_default=False),
    ] = None,
    yes: Yes = False,
    output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> None:
    """Write everything that is held about a person: JSON and CSV for machines, a page for people (GDPR 15, 20)."""
    with opened(workspace) as ws:
        found = ws.privacy.subject(person)
        confirmed(found, yes=yes, output=output, what="write down everything about")
        made = ws.privacy.access(found, reason=reason).write(out)
    print_object(made.to_dict(), output)
    if output is Output.table:
        say("it is readable by you alone: hand it to the person over a safe way, then delete it")


def rectify(
    person: Person,
    reason: Reason,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="TRAIT=VALUE", help="The right value; repeat it.")
    ] = None,
    unset: Annotated[list[str] | None, typer.Option("--unset", metavar="TRAIT", help="There shall be none.")] = None,
    undo: Annotated[
        list[str] | None, typer.Option("--undo", metavar="TRAIT", help="Take the correction of a trait back.")
    ] = None,
    yes: Yes = False,
    sync: Annotated[bool, typer.Option("--sync", help="Run the syncs too.")] = False,
    output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> int:
    """Correct what a profile says, whatever its sources state (GDPR 16), and bring what is behind it up to date."""
    import cdp_core as cdp

    values = dict(_pair(one) for one in set_ or ())
    if undo and (values or unset):
        raise cdp.UsageError("--undo stands alone", hint="correct other traits in a second command")
    with opened(workspace) as ws:
        found = ws.privacy.subject(person)
        confirmed(found, yes=yes, output=output, what="take back corrections of" if undo else "correct")
        if undo:
            done = ws.privacy.unrectify(found, undo, reason=reason)
        else:
            done = ws.privacy.rectify(found, values, unset=unset or (), reason=reason)
        print_object(done.to_dict(), output)
        return _follow(ws, sync=sync)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        import cdp_core as cdp

        raise cdp.UsageError("--set wants trait=value", hint="such as --set 'city=Ulm'")
    return name.strip(), value


def _follow(ws: cdp.Workspace, *, sync: bool) -> int:
    with progress() as tell:
        done = ws.stored.follow(sync=sync, progress=tell)
    if done.error:
        say(f"error: {done.error}")
    say(f"profile and audiences brought up to date: run {done.run_id} {done.status} in {done.seconds:.1f} s")
    return done.exit_code
