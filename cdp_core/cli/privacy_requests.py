"""cdp privacy request: erasures, and requests as records."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cdp_core.cli.options import FrameOption, Output, OutputOption, TableOutput, WorkspaceOption, day, opened
from cdp_core.cli.output import print_frame, print_object, print_rows, say
from cdp_core.cli.privacy_asking import Person, Reason, Yes, confirmed
from cdp_core.cli.progress import progress

RequestId = Annotated[str, typer.Argument(metavar="REQUEST", help="As 'cdp privacy request list' shows it.")]
_SHOWN = ("request_id", "kind", "status", "received_at", "due_at", "finished_at", "reason")


def add_to(app: typer.Typer) -> None:
    app.command("erase")(erase)
    app.command("list")(requests)
    app.command("show")(show)
    app.command("resume")(resume)
    app.command("confirm")(confirm)
    app.command("extend")(extend)
    app.command("certificate")(certificate)


def erase(
    person: Person,
    reason: Reason,
    received: Annotated[
        datetime | None,
        typer.Option("--received", metavar="DAY", parser=day, help="Day on which it came in; default: today."),
    ] = None,
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for runs that go on.")] = 600,
    yes: Yes = False,
    output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> None:
    """Erase a person everywhere, under every identifier, and ask every destination they were sent to."""
    with opened(workspace) as ws:
        found = ws.privacy.subject(person)
        confirmed(found, yes=yes, output=output, what="erase")
        day = received.date() if received else None
        with progress() as told:
            made = ws.privacy.erase(found, reason=reason, received=day, wait=wait, progress=told)
    _print(made, output)


def requests(
    open_only: Annotated[bool, typer.Option("--open", help="Only those that are not done.")] = False,
    output: FrameOption = TableOutput.table,
    workspace: WorkspaceOption = None,
) -> None:
    """What people have asked for, and until when it is due. Nobody is named."""
    with opened(workspace) as ws:
        rows = ws.privacy.requests(open_only=open_only)
        print_frame(rows.select(_SHOWN) if output is TableOutput.table else rows, output)


def show(request_id: RequestId, output: OutputOption = Output.table, workspace: WorkspaceOption = None) -> None:
    """One request: what was taken out, what each destination said, what remains."""
    with opened(workspace) as ws:
        _print(ws.privacy.requests.get(request_id), output)


def resume(
    request_id: Annotated[str | None, typer.Argument(metavar="[REQUEST]", help="Default: all that are open.")] = None,
    output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> None:
    """Go on with erasures that were stopped, and ask again the destinations that owe an answer."""
    with opened(workspace) as ws, progress() as told:
        done = ws.privacy.requests.resume(request_id, progress=told)
    if output is Output.json:
        print_object({"requests": [each.to_dict() for each in done]}, output)
        return
    if not done:
        say("nothing is open")
    for each in done:
        _print(each, output)


def confirm(
    request_id: RequestId,
    sync: Annotated[str, typer.Argument(metavar="SYNC", help="Whose destination it is.")],
    reason: Reason,
    output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> None:
    """Say that a person was erased by hand where a sync goes."""
    with opened(workspace) as ws:
        _print(ws.privacy.requests.confirm(request_id, sync, reason=reason), output)


def extend(
    request_id: RequestId, reason: Reason, output: OutputOption = Output.table, workspace: WorkspaceOption = None
) -> None:
    """Two more months for a complex request, once; the person must hear of it within the first."""
    with opened(workspace) as ws:
        _print(ws.privacy.requests.extend(request_id, reason=reason), output)


def certificate(
    request_id: RequestId,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="A file to write: .json, or .html for people.")
    ] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """What was done about a request, signed and without personal data; JSON on stdout unless a file is named."""
    with opened(workspace) as ws:
        if out is None:
            print_object(ws.privacy.requests.certificate(request_id), Output.json)
        else:
            say(f"written to {ws.privacy.requests.write_certificate(request_id, out)}")


def _print(made: Any, output: Output) -> None:
    row = made.to_dict()
    if output is Output.json:
        print_object(row, output)
        return
    shown = ("request_id", "kind", "status", "identifiers", "received", "due", "finished_at", "error")
    print_object({name: row[name] for name in shown if row[name] is not None}, output)
    if row["taken"]:
        print_rows(("taken out of", "rows"), [list(pair) for pair in sorted(row["taken"].items())], [False, True])
    if row["receipts"]:
        rows = [[r["sync"], r["destination"], r["state"], r["rows"], r["note"]] for r in row["receipts"]]
        print_rows(("sync", "destination", "state", "rows", "note"), rows, [False, False, False, True, False])
    if row["residual"]:
        rows = [[r["place"], r["note"], r["rows"] or ""] for r in row["residual"]]
        print_rows(("remains in", "what", "rows"), rows, [False, False, True])
