"""cdp quality suite."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cdp_core.cli.options import FrameOption, Output, OutputOption, TableOutput, WorkspaceOption, opened
from cdp_core.cli.output import print_frame, print_object, say
from cdp_core.errors import SpecError, UsageError

app = typer.Typer(help="Suites: what good rows of a source or a table are.", no_args_is_help=True)
NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="A file of expectations/, such as tables/events or shop_orders.")
]


@app.command("list")
def list_suites(output: FrameOption = TableOutput.table, workspace: WorkspaceOption = None) -> None:
    """Every suite, with how many expectations stop, hold and warn."""
    with opened(workspace) as ws:
        print_frame(ws.suites.list(), output)


@app.command("show")
def show(name: NameArgument, output: OutputOption = Output.table, workspace: WorkspaceOption = None) -> None:
    """One suite, its expectations in plain words."""
    with opened(workspace) as ws:
        print_object(ws.suites.show(name), output)


@app.command("preview")
def preview(
    name: NameArgument,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="A suite to try in the place of this one.")
    ] = None,
    last: Annotated[int, typer.Option("--last", min=1, help="How many events or rows are looked at.")] = 50_000,
    output: FrameOption = TableOutput.table,
    workspace: WorkspaceOption = None,
) -> None:
    """What a suite would hold, stop and count: of the newest events, a source read again, or a derived table. Nothing
    is written."""
    with opened(workspace) as ws:
        text = None if file is None else _read(file)
        try:
            found = ws.suites.preview(name, text=text, last=last)
        except SpecError as error:
            raise error if file is None else _in(file, error) from None
    if output is TableOutput.json:
        print_object(found.to_dict(), Output.json)
        return
    say(found.words)
    print_frame(found.found, output)


def _in(file: Path, error: SpecError) -> SpecError:
    """The same error with the line of the file that was tried."""
    line = (error.where or "").partition(".json:")[2]
    return SpecError(error.what, where=f"{file}:{line}" if line else str(file), choices=error.choices, hint=error.hint)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError("the file is not UTF-8 text", where=str(file)) from None
    except OSError as error:
        raise UsageError(f"the file cannot be read: {(error.strerror or '').lower()}", where=str(file)) from None
