"""cdp quality plan."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from cdp_core.cli.options import FrameOption, Output, OutputOption, TableOutput, WorkspaceOption, opened
from cdp_core.cli.output import print_frame, print_object, say

app = typer.Typer(help="Tracking plans: which events a source sends, and what is in them.", no_args_is_help=True)
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A file of expectations/tracking_plan/.")]
NewNameOption = Annotated[str | None, typer.Option("--name", metavar="NAME", help="What the plan is called.")]


class Format(StrEnum):
    segment = "segment"
    segment_csv = "segment-csv"
    rudderstack = "rudderstack"


@app.command("list")
def list_plans(output: FrameOption = TableOutput.table, workspace: WorkspaceOption = None) -> None:
    """Every plan, with the sources that keep to it."""
    with opened(workspace) as ws:
        print_frame(ws.plans.list(), output)


@app.command("show")
def show(name: NameArgument, output: OutputOption = Output.table, workspace: WorkspaceOption = None) -> None:
    """One plan."""
    with opened(workspace) as ws:
        print_object(ws.plans.show(name), output)


@app.command("check")
def check(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Default: every plan.")] = None,
    output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> None:
    """Say everything that is wrong with plans, with file and line."""
    with opened(workspace) as ws:
        problems = ws.plans.check(name)
    if output is Output.json:
        print_object(problems, output)
    for problem in problems:
        say(f"error: {problem}")
    if problems:
        raise typer.Exit(2)
    if output is Output.table:
        print("no problems")


@app.command("preview")
def preview(
    name: NameArgument,
    source: Annotated[str, typer.Option("--source", metavar="NAME", help="A source of cdp.yaml.")],
    last: Annotated[int, typer.Option("--last", min=1, help="How many of its newest events are looked at.")] = 50_000,
    output: FrameOption = TableOutput.table,
    workspace: WorkspaceOption = None,
) -> None:
    """What a plan would do to the newest events in the lake, by event and rule. Nothing is written."""
    with opened(workspace) as ws:
        found = ws.plans.preview(name, source, last=last)
    if output is TableOutput.json:
        print_object(found.to_dict(), Output.json)
        return
    say(found.words)
    print_frame(found.found, output)


@app.command("infer")
def infer(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A source of cdp.yaml.")],
    name: NewNameOption = None,
    write: Annotated[bool, typer.Option("--write", help="Write the file; else the plan is printed.")] = False,
    last: Annotated[int, typer.Option("--last", min=1, help="How many of its newest events are looked at.")] = 200_000,
    output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> None:
    """A plan to begin with, from what a source has sent."""
    with opened(workspace) as ws:
        made = ws.plans.infer(source, name=name, write=write, last=last)
        _tell(made, ws.root, output)


@app.command("import")
def import_plan(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON or CSV of Segment's, JSON of RudderStack's.")],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What the plan is called.")],
    output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> None:
    """Make a plan of another system's file."""
    with opened(workspace) as ws:
        made = ws.plans.import_file(file, name)
        _tell(made, ws.root, output)


@app.command("export")
def export(
    name: NameArgument,
    format: Annotated[Format, typer.Option("--format", help="Whose.")] = Format.segment,
    output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> None:
    """Print a plan in another system's format; what that cannot say is told on stderr."""
    with opened(workspace) as ws:
        made = ws.plans.export(name, format.value)
        _tell(made, ws.root, output)


def _tell(made: Any, root: Path, output: Output) -> None:
    """A plan's text, or where it was written; what was left out on stderr."""
    path = made.path.relative_to(root).as_posix() if made.path is not None else None
    if output is Output.json:
        print_object({"name": made.name, "path": path, "text": made.text, "left_out": made.left_out}, output)
        return
    print(path if path is not None else made.text, end="\n" if path is not None else "")
    for what in made.left_out:
        say(f"left out: {what}")
