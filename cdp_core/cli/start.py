"""cdp init, cdp demo: new workspaces."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from cdp_core.cli.options import Output, OutputOption
from cdp_core.cli.output import print_object, say
from cdp_core.cli.progress import progress


def add_to(app: typer.Typer) -> None:
    app.command("init")(init)
    app.command("demo")(demo)


def init(folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")]) -> None:
    """Write a small workspace that runs at once."""
    import cdp_core as cdp

    made = cdp.init(folder)
    print(made)
    say(f"next: cdp --workspace {shlex.quote(str(folder))} run")


def demo(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the workspace is written.")] = Path("demo"),
    people: Annotated[int | None, typer.Option(min=1, help="Customers; default: those of the real orders.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same world.")] = 7,
    output: OutputOption = Output.table,
) -> None:
    """Write the demo world, at any size, not yet run."""
    import cdp_core as cdp

    with progress() as tell:
        summary = cdp.demo(out, people=people, seed=seed, progress=lambda text: tell("demo", None, text))
    print_object(
        {
            "out": summary.out,
            "people": summary.people,
            "events": summary.events,
            "seconds": summary.seconds,
            "rows": summary.rows,
        },
        output,
    )
    say(f"next: cdp --workspace {shlex.quote(str(out))} run")
