"""cdp collect: the tracking API."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from cdp_core.cli.options import WorkspaceOption, opened
from cdp_core.cli.output import say
from cdp_core.errors import UsageError

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def add_to(app: typer.Typer) -> None:
    app.command("collect")(collect)


def collect(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets others in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8080,
    drain_every: Annotated[
        str,
        typer.Option(metavar="TIME", help="How often what came goes into the lake, such as 10s; off: only 'cdp run'."),
    ] = "10s",
    workspace: WorkspaceOption = None,
) -> None:
    """Receive events over Segment's HTTP API until Ctrl-C. 'cdp source key NAME' gives a write key."""
    seconds = _seconds(drain_every)
    with opened(workspace) as ws:

        def ready(address: str) -> None:
            print(address, flush=True)
            names = ", ".join(n for n, s in ws.config.sources.items() if s.type == "collector")
            say(f"receiving for {names}" if names else "no source yet; 'cdp source key NAME' adds one with a key")

        ws.live.collect(host=host, port=port, drain_every=seconds, ready=ready, say=say)
    say("stopped; what was acknowledged is on disk")


def _seconds(text: str) -> float | None:
    """
    >>> _seconds("10s"), _seconds("1.5m"), _seconds("off")
    (10.0, 90.0, None)
    """
    if text.strip().lower() in ("off", "never"):
        return None
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", text.lower())
    seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if seconds <= 0:
        raise UsageError(f"--drain-every {text!r} is no time", hint="such as 10s, 1m or off")
    return seconds
