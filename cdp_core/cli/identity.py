"""cdp identity."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cdp_core.cli.options import FrameOption, LimitOption, Output, OutputOption, TableOutput, WorkspaceOption, opened
from cdp_core.cli.output import print_frame, print_object, print_rows, say

app = typer.Typer(help="Which identifiers make one person: why, and what to do about it.", no_args_is_help=True)
overrides = typer.Typer(help="Decisions about who is who.", no_args_is_help=True)
app.add_typer(overrides, name="overrides")

Left = Annotated[str, typer.Argument(metavar="A", help="An identifier, type:value.")]
Right = Annotated[str, typer.Argument(metavar="B", help="Another one.")]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why, for whoever reads the list next year.")]
Entry = Annotated[str, typer.Argument(metavar="ID", help="review_id of the queue.")]


@app.command("evaluate")
def evaluate(
    truth: Annotated[Path, typer.Option("--truth", metavar="FILE", help="CSV with source, record, person.")],
    output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> None:
    """Precision and recall of identity resolution against the truth."""
    with opened(workspace) as ws:
        print_object(ws.evaluate_identity(truth).to_dict(), output)


@app.command("explain")
def explain(left: Left, right: Right, output: OutputOption = Output.table, workspace: WorkspaceOption = None) -> None:
    """Why two identifiers are one person, or what keeps them apart."""
    with opened(workspace) as ws:
        found = ws.identity.explain(left, right).to_dict()
    if output == Output.json:
        print_object(found, output)
        return
    say("one person" if found["connected"] else "not one person")
    steps = [[s["left"], s["right"], s["rule"], s["source"], s["events"], s["first_seen"]] for s in found["path"]]
    print_rows(("from", "to", "rule", "source", "events", "first seen"), steps, [False] * 4 + [True, False])
    if found["held_back"]:
        print()
        columns = ("identifier", "action", "rule", "detail")
        print_rows(columns, [[h[c] for c in columns] for h in found["held_back"]])
    elif not found["path"]:
        say("no evidence ties them")


@app.command("never-link")
def never_link(
    left: Left, right: Right, reason: Reason, output: OutputOption = Output.table, workspace: WorkspaceOption = None
) -> None:
    """Keep two identifiers in different profiles, from the next run on."""
    with opened(workspace) as ws:
        _decided(ws.identity.never_link(left, right, reason=reason), output)


@app.command("always-link")
def always_link(
    left: Left, right: Right, reason: Reason, output: OutputOption = Output.table, workspace: WorkspaceOption = None
) -> None:
    """Keep two identifiers in one profile, from the next run on."""
    with opened(workspace) as ws:
        _decided(ws.identity.always_link(left, right, reason=reason), output)


@app.command("split")
def split(
    profile: Annotated[str, typer.Argument(metavar="PROFILE", help="profile_id, or an identifier of the profile.")],
    at: Annotated[tuple[str, str], typer.Option("--at", metavar="A B", help="The two ends of the link to cut.")],
    reason: Reason,
    output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> None:
    """Cut a profile at one link, from the next run on."""
    with opened(workspace) as ws:
        _decided(ws.identity.split(profile, at=at, reason=reason), output)


@overrides.command("list")
def list_overrides(
    history: Annotated[bool, typer.Option("--history", help="Also what has been revoked or replaced.")] = False,
    output: FrameOption = TableOutput.table,
    workspace: WorkspaceOption = None,
) -> None:
    """Decisions in force, oldest first."""
    import polars as pl

    columns = ("override_id", "action", "left", "right", "reason", "at")
    with opened(workspace) as ws:
        rows = [o.to_dict() for o in ws.identity.overrides(history=history)]
    print_frame(pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String)), output)


@overrides.command("revoke")
def revoke(
    left: Left,
    right: Right,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why.")] = "revoked",
    output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> None:
    """Take back what was decided about two identifiers."""
    with opened(workspace) as ws:
        _decided(ws.identity.revoke(left, right, reason=reason), output)


@app.command("preview")
def preview(
    rules: Annotated[Path, typer.Option("--rules", metavar="FILE", help="YAML with an identity: block.")],
    output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> None:
    """What other rules would do to profiles and audiences; nothing is written."""
    with opened(workspace) as ws:
        _changes(ws.identity.preview(rules).to_dict(), output)


@app.command("diff")
def diff(
    before: Annotated[str, typer.Argument(metavar="RUN1", help="run_id of the earlier run.")],
    after: Annotated[str, typer.Argument(metavar="RUN2", help="run_id of the later one.")],
    output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> None:
    """What changed between two runs."""
    with opened(workspace) as ws:
        _changes(ws.identity.diff(before, after).to_dict(), output)


@app.command("review")
def review(
    demoted: Annotated[bool, typer.Option("--demoted", help="Also what limits have demoted.")] = False,
    limit: LimitOption = 100,
    output: FrameOption = TableOutput.table,
    workspace: WorkspaceOption = None,
) -> None:
    """Merges that wait for a decision."""
    with opened(workspace) as ws:
        found = ws.identity.review(demoted=demoted)
    print_frame((found.drop("evidence") if output == TableOutput.table else found).head(limit), output)


@app.command("suspects")
def suspects(
    largest: Annotated[
        int, typer.Option("--largest", min=1, help="How many of the largest profiles to look at.")
    ] = 200,
    output: FrameOption = TableOutput.table,
    workspace: WorkspaceOption = None,
) -> None:
    """Profiles that may be several people, and the link to cut."""
    with opened(workspace) as ws:
        print_frame(ws.identity.suspects(largest=largest), output)


@app.command("accept")
def accept(
    review_id: Entry, reason: Reason, output: OutputOption = Output.table, workspace: WorkspaceOption = None
) -> None:
    """Make the merge of a queue's entry, from the next run on."""
    with opened(workspace) as ws:
        _decided(ws.identity.accept(review_id, reason=reason), output)


@app.command("reject")
def reject(
    review_id: Entry, reason: Reason, output: OutputOption = Output.table, workspace: WorkspaceOption = None
) -> None:
    """Never make the merge of a queue's entry."""
    with opened(workspace) as ws:
        _decided(ws.identity.reject(review_id, reason=reason), output)


def _decided(made: Any, output: Output) -> None:
    print_object(made.to_dict(), output)
    say("noted; 'cdp run' applies it")


def _changes(found: dict[str, Any], output: Output) -> None:
    if output == Output.json:
        print_object(found, output)
        return
    counts = [(name, value) for name, value in found["profiles"].items() if name != "examples"]
    print_rows(("profiles", "number"), counts, [False, True])
    for word, verb in (("split", "into"), ("merged", "from")):
        for example in found["profiles"]["examples"][word][:5]:
            parts = " + ".join(", ".join(part["identifiers"][:3]) for part in example[verb])
            say(f"{word}: {example['profile_id']} {verb} {parts}")
    print()
    columns = ("audience", "before", "after", "entered", "exited")
    print_rows(columns, [[row[c] for c in columns] for row in found["audiences"]], [False] + [True] * 4)
