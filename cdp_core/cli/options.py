"""Options that mean the same in every command, and how a command opens its workspace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import cdp_core as cdp


class Output(StrEnum):
    table = "table"
    json = "json"


class TableOutput(StrEnum):
    table = "table"
    json = "json"
    csv = "csv"


WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace", "-w", metavar="DIR", help="Folder with cdp.yaml; default: this one.", show_default=False
    ),
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="What is printed on stdout.")]
FrameOption = Annotated[TableOutput, typer.Option("--output", "-o", help="What is printed on stdout.")]
SelectOption = Annotated[
    list[str] | None,
    typer.Option("--select", "-s", metavar="NAME", help="Only these; repeat it, or separate names by commas."),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write and send nothing.")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, help="Rows at most.")]

_chosen: Path | None = None


def choose_workspace(folder: Path | None) -> None:
    """What `cdp --workspace DIR COMMAND` says; the command's own option wins."""
    global _chosen
    _chosen = folder


def folder_of(option: Path | None) -> Path:
    return option or _chosen or Path()


@contextmanager
def opened(option: Path | None) -> Iterator[cdp.Workspace]:
    """The workspace, open for the length of one command."""
    import cdp_core as cdp

    workspace = cdp.open(folder_of(option))
    try:
        yield workspace
    finally:
        workspace.close()


def day(text: str) -> datetime:
    """
    >>> day("2026-03-01")
    datetime.datetime(2026, 3, 1, 0, 0)
    """
    try:
        return datetime.strptime(text.strip(), "%Y-%m-%d")
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no day; write it as 2026-03-01") from None


def moment(text: str) -> datetime:
    """A day or a time, in UTC unless it says otherwise.

    >>> moment("2026-03-01T12:00+02:00")
    datetime.datetime(2026, 3, 1, 10, 0)
    """
    try:
        said = datetime.fromisoformat(text.strip())
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time; write it as 2026-03-01 or 2026-03-01T12:00") from None
    return said.astimezone(UTC).replace(tzinfo=None) if said.tzinfo else said


def names_of(select: list[str] | None) -> list[str] | None:
    """
    >>> names_of(["load,identity", "profiles"])
    ['load', 'identity', 'profiles']
    """
    names = [name.strip() for part in select or [] for name in part.split(",")]
    return [name for name in names if name] or None
