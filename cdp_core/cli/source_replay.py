"""cdp source replay."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cdp_core.cli.options import DryRunOption, Output, OutputOption, WorkspaceOption, opened
from cdp_core.cli.output import print_object, print_rows, say
from cdp_core.cli.progress import progress

if TYPE_CHECKING:
    import cdp_core as cdp


def add_to(app: typer.Typer) -> None:
    app.command("replay")(replay)


def replay(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only this source's events.")] = None,
    since: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Events from here on: a date or time, UTC.")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Up to here, not included.")] = None,
    event: Annotated[
        list[str] | None, typer.Option("--event", metavar="EVENT", help="Only events of this name; repeat it.")
    ] = None,
    where: Annotated[
        str | None,
        typer.Option("--where", metavar="SQL", help="A condition over columns of events, such as \"type = 'page'\"."),
    ] = None,
    undo: Annotated[str | None, typer.Option("--undo", metavar="RUN", help="Take a replay back.")] = None,
    dry_run: DryRunOption = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    sync: Annotated[bool, typer.Option("--sync", help="Run the syncs too.")] = False,
    output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> int:
    """Send stored events through today's corrections, tracking plan and suites, and bring everything behind up to date.

    What comes out differently takes the place of what is stored; what the rules would not let in today is held.
    """
    chosen: dict[str, Any] = {"source": name, "since": since, "until": until, "events": event or (), "where": where}
    with opened(workspace) as ws:
        if undo is not None:
            return _undone(ws, undo, output, sync=sync)
        now = yes and not dry_run
        with progress() as tell:
            found = ws.stored.replay(**chosen, dry_run=not now, progress=tell)
        if output is Output.table:
            _told(found)
        if _due(found) and not dry_run and not now and _agreed(found):
            now = True
            with progress() as tell:
                found = ws.stored.replay(**chosen, progress=tell)
        if output is Output.json:
            print_object(found.to_dict(), output)
        return _follow(ws, sync=sync) if now and _due(found) else 0


def _due(found: Any) -> bool:
    return found.changed + found.held > 0


def _agreed(found: Any) -> bool:
    if not sys.stdin.isatty():
        import cdp_core as cdp

        what = f"this would change {found.changed:,} events and hold {found.held:,}"
        raise cdp.UsageError(what, hint="add --yes to do it, or --dry-run to look only")
    return typer.confirm("Do it?", err=True)


def _told(found: Any) -> None:
    names = ("selected", "unchanged", "changed", "held")
    print_rows(names, [[getattr(found, name) for name in names]], [True] * len(names))
    if found.found:
        print()
        columns = ("source", "type", "event", "selected", "changed", "held")
        rows = [[row[c] for c in columns] for row in found.found]
        print_rows(columns, rows, [False] * 3 + [True] * 3)
    if found.rules:
        print()
        print_rows(("held by", "events"), list(found.rules.items()), [False, True])


def _undone(ws: cdp.Workspace, run_id: str, output: Output, *, sync: bool) -> int:
    done = ws.stored.undo(run_id)
    print_object(done.to_dict(), output)
    return _follow(ws, sync=sync) if done.restored else 0


def _follow(ws: cdp.Workspace, *, sync: bool) -> int:
    with progress() as tell:
        done = ws.stored.follow(sync=sync, progress=tell)
    if done.error:
        say(f"error: {done.error}")
    say(f"profiles and audiences brought up to date: run {done.run_id} {done.status} in {done.seconds:.1f} s")
    return done.exit_code
