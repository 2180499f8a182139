"""cdp privacy consent."""

from __future__ import annotations

from typing import Annotated

import typer

from cdp_core.cli.options import (
    FrameOption,
    LimitOption,
    Output,
    OutputOption,
    TableOutput,
    WorkspaceOption,
    opened,
)
from cdp_core.cli.output import print_frame, print_object, say
from cdp_core.cli.privacy_asking import Person, Reason

app = typer.Typer(help="What people have consented to.")


@app.callback(invoke_without_command=True)
def overview(context: typer.Context, output: OutputOption = Output.table, workspace: WorkspaceOption = None) -> None:
    """How many profiles have granted, denied, or not said anything, per category, and what is held back by it."""
    if context.invoked_subcommand:
        return
    with opened(workspace) as ws:
        found = ws.consent.overview()
    if output is Output.json:
        print_object(found.to_dict(), output)
        return
    print_frame(found.categories)
    if found.uses.height:
        print()
        print_frame(found.uses)


@app.command("set")
def set_consent(
    person: Person,
    category: Annotated[str, typer.Argument(metavar="CATEGORY", help="The category, such as newsletter.")],
    state: Annotated[str, typer.Argument(metavar="STATE", help="granted or denied, as the person has said.")],
    reason: Reason,
    output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> None:
    """Note what a person has said: it supersedes everything their devices and records said before."""
    with opened(workspace) as ws:
        known = ws.consent.categories()
        made = ws.consent.set(person, category, state, reason=reason)
    print_object(made.to_dict(), output)
    if made.category not in known:
        say(f"{made.category!r} is new: no destination asks for it and nobody has spoken of it; known are "
            f"{', '.join(known) or 'none yet'}")  # fmt: skip
    if output is Output.table:
        say(f"take it back with 'cdp privacy consent revoke {made.decision_id} --reason ...'")


@app.command("revoke")
def revoke(
    decision_id: Annotated[str, typer.Argument(metavar="DECISION", help="Its id, from 'show --history'.")],
    reason: Reason,
    output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> None:
    """Take a decision of 'set' back, as if it had never been made."""
    with opened(workspace) as ws:
        made = ws.consent.revoke(decision_id, reason=reason)
    print_object(made.to_dict(), output)


@app.command("show")
def show(
    person: Person,
    history: Annotated[bool, typer.Option("--history", help="Who said what and when.")] = False,
    output: FrameOption = TableOutput.table,
    workspace: WorkspaceOption = None,
) -> None:
    """What one person has consented to."""
    with opened(workspace) as ws:
        print_frame(ws.consent.history(person) if history else ws.consent.states(person), output)


@app.command("conflicts")
def conflicts(
    limit: LimitOption = 200, output: FrameOption = TableOutput.table, workspace: WorkspaceOption = None
) -> None:
    """Profiles whose devices and records disagree, which grants nothing; 'set' resolves one."""
    with opened(workspace) as ws:
        print_frame(ws.consent.conflicts(limit), output)
