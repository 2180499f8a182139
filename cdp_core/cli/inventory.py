"""cdp privacy inventory, classify, forget and flow."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cdp_core.cli.options import FrameOption, Output, OutputOption, TableOutput, WorkspaceOption, opened
from cdp_core.cli.output import print_frame, print_object, print_rows, say

if TYPE_CHECKING:
    import polars as pl

_SHOWN = ("field", "class", "suggested", "kind", "control", "values", "inbox", "destinations", "why")
Fields = Annotated[list[str], typer.Argument(metavar="FIELD...", help="SOURCE.PLACE, such as crm.traits.email.")]


def add_to(app: typer.Typer) -> None:
    """Put these commands into `cdp privacy`."""
    for name, command in (("inventory", inventory), ("classify", classify), ("forget", forget), ("flow", flow)):
        app.command(name)(command)


def inventory(
    source: Annotated[str | None, typer.Option("--source", metavar="NAME", help="Only this source or table.")] = None,
    inbox: Annotated[bool, typer.Option("--inbox", help="Only what waits for a decision.")] = False,
    class_: Annotated[
        str | None, typer.Option("--class", metavar="CLASS", help="Only red, yellow or green fields.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Read every row of a large lake, not a share of it.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Leave with code 1 when a field waits for a decision.")
    ] = False,
    output: FrameOption = TableOutput.table,
    workspace: WorkspaceOption = None,
) -> None:
    """Every field of every source and table: what it holds, what was decided, where it flows. Never a value."""
    with opened(workspace) as ws:
        found = ws.inventory.fields(source, inbox=inbox, class_=class_, full=full)
        summary = ws.inventory.summary(full=full)
    print_frame(found.select(_SHOWN) if output is TableOutput.table else found, output)
    if output is TableOutput.table:
        read = "all" if summary["looked_at"] == summary["rows"] else f"{summary['looked_at']:,} of {summary['rows']:,}"
        say(f"{summary['personal']:,} of {summary['fields']:,} fields are personal, {summary['inbox']:,} wait for a "
            f"decision; {read} rows were read")  # fmt: skip
    for note in summary["notes"]:
        say(note)
    if check and summary["inbox"]:
        raise typer.Exit(1)


def classify(
    arguments: Annotated[
        list[str], typer.Argument(metavar="FIELD... CLASS", help="One field or several, then red, yellow or green.")
    ],
    control: Annotated[
        str | None,
        typer.Option("--control", help="What becomes of it before it is stored; default: what its class says."),
    ] = None,
    output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> None:
    """Decide what a field is, and write it into cdp.yaml; green takes it out of the inbox."""
    import cdp_core as cdp

    *fields, class_ = arguments
    if not fields:
        raise cdp.UsageError("a class is missing", choices=["red", "yellow", "green"], hint=f"after {class_}")
    with opened(workspace) as ws:
        known = ws.inventory.fields()
        edit = ws.inventory.classify(fields, class_, control)
    _wrote(edit, fields, output)
    for name in fields:
        _unseen(name, known)


def forget(fields: Fields, output: OutputOption = Output.table, workspace: WorkspaceOption = None) -> None:
    """Take the decision about a field back, so that it waits for one again."""
    with opened(workspace) as ws:
        edit = ws.inventory.forget(fields)
    _wrote(edit, fields, output)


def flow(
    field: Annotated[str, typer.Argument(metavar="FIELD", help="SOURCE.PLACE, such as crm.traits.email.")],
    output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> None:
    """Which traits, audiences, syncs and destinations a field reaches: with its value, or as a condition only."""
    with opened(workspace) as ws:
        found = ws.inventory.flow(field)
    if output is Output.json:
        print_object(found.to_dict(), output)
        return
    rows = [(*edge.left.split(":", 1), *edge.right.split(":", 1), edge.carries, edge.by) for edge in found.edges]
    print_rows(("from", "name", "to", "name", "carries", "by"), rows, [False] * 6)
    say(f"{field} reaches {', '.join(found.names('destination')) or 'no destination'}")


def _unseen(name: str, known: pl.DataFrame) -> None:
    """A decision may come before its field; more often the field is misspelled."""
    source, _, place = name.partition(".")
    there = known["place"] if source == "*" else known["field"]
    wanted = place if source == "*" else name
    if wanted in there:
        return
    near = difflib.get_close_matches(wanted, there.to_list(), 1)
    meant = f", or is {'*.' * (source == '*')}{near[0]} meant?" if near else ""
    say(f"nothing has {name} yet; the decision waits for it{meant}")


def _wrote(edit: Any, fields: list[str], output: Output) -> None:
    if output is Output.json:
        print_object({"file": edit.file, "fields": fields}, output)
    else:
        say(f"wrote {', '.join(fields)} in {edit.file}")
