"""Destinations: syncs as they are defined, what the ledger counts, and the file that came out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cdp_core as cdp

if TYPE_CHECKING:
    import polars as pl

STATUSES = ("delivered", "pending", "failed", "withheld", "dead")


@dataclass(frozen=True)
class Sync:
    """One sync as defined, with what the ledger counts. `file` is what a file destination wrote, if it is there;
    `steps` say in words what the destination changes in events.
    """

    name: str
    description: str
    model: str
    destination: str
    type: str
    mode: str
    key: str
    schedule: str | None
    fields: dict[str, str]
    steps: list[str]
    counts: dict[str, int]
    last_sent_at: Any
    file: Path | None


def listing(ws: cdp.Workspace) -> pl.DataFrame:
    return ws.syncs()


def one(ws: cdp.Workspace, name: str) -> Sync:
    spec = ws.config.syncs[name]
    ledger = ws.table("sync_ledger")
    own = ledger.filter(ledger.sync == name)
    counted = ws.polars(own.group_by("status").agg(n=own.count(), last=own.sent_at.max()))
    counts = dict(zip(counted["status"].to_list(), counted["n"].to_list(), strict=True))
    row = next(row for row in ws.syncs().to_dicts() if row["sync"] == name)
    return Sync(
        name=name,
        description=spec.description or "",
        model=row["model"],
        destination=spec.destination,
        type=row["type"],
        mode=spec.mode,
        key=spec.key,
        schedule=row["schedule"],
        fields={field: _origin(source) for field, source in spec.mapping.items()},
        steps=[_said(step) for step in ws.config.destinations[spec.destination].transform] if spec.of_events else [],
        counts={status: counts.get(status, 0) for status in STATUSES},
        last_sent_at=counted["last"].max(),
        file=_file(ws, name),
    )


def _origin(source: Any) -> str:
    if not hasattr(source, "value"):
        return str(source.in_words)
    if source.column is None:
        return f"always {source.value!r}"
    return f"{source.column} (as {source.type})" if source.type else str(source.column)


def _said(step: Any) -> str:
    """A step in words, with the events it is limited to."""
    words = {
        "rename_event": f"Rename event {step.event} to {step.rename_event}",
        "rename": f"Rename {step.place_text} to {step.to}",
        "move": f"Move {step.place_text} to {step.to}",
        "drop": f"Take out {step.place_text}",
        "hash": f"Hash {step.place_text}",
    }
    limits = [str(limit) for limit in (step.type, step.event if step.kind != "rename_event" else None) if limit]
    return words[step.kind] + (f", only of {' '.join(limits)}" if limits else "")


def _file(ws: cdp.Workspace, name: str) -> Path | None:
    """The file a `file` destination keeps for this sync, when it lies in the workspace."""
    sync = ws.config.syncs[name]
    destination = ws.config.destinations[sync.destination]
    if destination.type != "file":
        return None
    path = (ws.root / str(destination.options.get("path", ""))) / str(sync.options.get("file", ""))
    return path if path.is_file() and path.resolve().is_relative_to(ws.root.resolve()) else None
