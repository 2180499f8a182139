"""cdp run."""

from __future__ import annotations

from typing import Annotated

import typer

from cdp_core.cli.options import (
    DryRunOption,
    Output,
    OutputOption,
    SelectOption,
    WorkspaceOption,
    names_of,
    opened,
)
from cdp_core.cli.output import print_object, print_rows, say
from cdp_core.cli.progress import progress


def add_to(app: typer.Typer) -> None:
    app.command("run")(run)


def run(
    select: SelectOption = None,
    full_refresh: Annotated[bool, typer.Option("--full-refresh", help="Compute everything anew.")] = False,
    dry_run: DryRunOption = False,
    sync: Annotated[bool, typer.Option("--sync", help="Run the syncs too.")] = False,
    allow_jump: Annotated[
        bool, typer.Option("--allow-jump", help="Publish even when identity jumps further than its brake allows.")
    ] = False,
    allow_anomalies: Annotated[
        bool, typer.Option("--allow-anomalies", help="Publish days that the gate on anomalies would stop.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for a run that is going on.")] = False,
    output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> int:
    """Load, check, resolve identities, build profiles and audiences."""
    with opened(workspace) as ws, progress() as tell:
        done = ws.run(
            select=names_of(select),
            full_refresh=full_refresh,
            dry_run=dry_run,
            sync=sync,
            allow_jump=allow_jump,
            allow_anomalies=allow_anomalies,
            wait=None if wait else 0,
            progress=tell,
        )
    result = done.to_dict()
    if output == Output.json:
        print_object(result, output)
    else:
        columns = ("name", "seconds", "rows_in", "rows_out", "quarantined", "note")
        numeric = [False, True, True, True, True, False]
        print_rows(("stage", *columns[1:]), [[s.get(c) for c in columns] for s in result["stages"]], numeric)
        print()
        print_rows(("table", "rows"), list(result["tables"].items()), [False, True])
    if done.error:
        say(f"error: {done.error}")
    say(f"run {done.run_id} {done.status} in {done.seconds:.1f} s")
    return done.exit_code
