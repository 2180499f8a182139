"""cdp source."""

from __future__ import annotations

from typing import Annotated

import typer

from cdp_core.cli import source_replay
from cdp_core.cli.options import FrameOption, Output, OutputOption, TableOutput, WorkspaceOption, opened
from cdp_core.cli.output import print_frame, print_object, say

app = typer.Typer(help="Where data comes from.", no_args_is_help=True)
source_replay.add_to(app)


@app.command("list")
def list_sources(output: FrameOption = TableOutput.table, workspace: WorkspaceOption = None) -> None:
    """Sources with rows, freshness, held rows, and received events that wait for a run."""
    with opened(workspace) as ws:
        print_frame(ws.sources(), output)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A source of cdp.yaml.")],
    output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> None:
    """One source: its definition, where it stands, and what was loaded from it."""
    import cdp_core as cdp

    with opened(workspace) as ws:
        if name not in ws.config.sources:
            raise cdp.UsageError.unknown("source", name, ws.config.sources)
        loaded = ws.sources().rows(named=True)
        found = {
            "source": name,
            "defined": ws.config.where("sources", name),
            "definition": ws.config.written("sources", name),
            "loaded": next(row for row in loaded if row["source"] == name),
        }
    print_object(found, output)


@app.command("key")
def key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A source of type collector; a new name adds one.")],
    browser: Annotated[bool, typer.Option("--browser", help="For web pages: may not call alias or import.")] = False,
    revoke_others: Annotated[bool, typer.Option("--revoke-others", help="End the source's other keys.")] = False,
    output: OutputOption = Output.table,
    workspace: WorkspaceOption = None,
) -> None:
    """Create a write key. It is shown this once; older keys stay in force until they are revoked."""
    with opened(workspace) as ws:
        made = ws.live.create_key(name, browser=browser, revoke_others=revoke_others)
    if made["created_source"]:
        say(f"added source {name} to cdp.yaml")
    print_object(made if output is Output.json else {k: made[k] for k in ("source", "write_key", "kind")}, output)
    say("keep the key now: it is not shown again")


@app.command("keys")
def keys(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only this source's.")] = None,
    output: FrameOption = TableOutput.table,
    workspace: WorkspaceOption = None,
) -> None:
    """Write keys by their first letters, with when they were created and revoked."""
    with opened(workspace) as ws:
        print_frame(ws.live.keys(name), output)


@app.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A source.")],
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="First letters of the key, as 'cdp source keys' shows.")],
    workspace: WorkspaceOption = None,
) -> None:
    """End a write key; a running collector refuses it within two seconds."""
    with opened(workspace) as ws:
        ws.live.revoke_key(name, key_id)
    say(f"revoked {key_id}")
