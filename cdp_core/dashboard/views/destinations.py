"""Destinations: syncs, what a run would send, what was sent, and the file that came out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard import masking

if TYPE_CHECKING:
    import polars as pl

OPERATIONS = ("add", "change", "remove", "invalid", "withheld")
STATUSES = ("delivered", "pending", "failed", "withheld", "dead")


@dataclass(frozen=True)
class Plan:
    """What a run of a sync would do; `samples` has the columns what, key, one per field, and reason."""

    plan_id: str
    counts: dict[str, int]
    samples: pl.DataFrame
    note: str | None
    brake: str | None

    @property
    def due(self) -> int:
        return self.counts["add"] + self.counts["change"] + self.counts["remove"]


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


def plan(ws: cdp.Workspace, name: str, reveal: bool) -> Plan:
    """The diff against what was delivered before. Nothing is sent. Raises CDPError."""
    found = ws.sync(name).plan()
    counts = {what: getattr(found, what) for what in ("add", "change", "remove", "unchanged", "invalid", "withheld")}
    return Plan(found.plan_id, counts, _samples(found.samples, reveal), found.note, found.brake)


def _samples(samples: dict[str, list[dict[str, Any]]], reveal: bool) -> pl.DataFrame:
    """One row per sampled row: fields as text, a changed one as old → new."""
    import polars as pl

    rows = [_row(what, row, reveal) for what in OPERATIONS for row in samples.get(what, [])]
    if not rows:
        return pl.DataFrame(schema={"what": pl.List(pl.String)})
    names = list(dict.fromkeys(name for row in rows for name in row))
    ordered = ["what", *(n for n in names if n not in ("what", "reason")), *(["reason"] if "reason" in names else [])]
    return pl.DataFrame(rows, schema={n: pl.List(pl.String) if n == "what" else pl.String for n in ordered})


def _row(what: str, row: dict[str, Any], reveal: bool) -> dict[str, Any]:
    before = row.get("before") or {}
    shown: dict[str, Any] = {"what": [what]}
    for name, value in row.items():
        if name == "before":
            continue
        text = _text(name, value, reveal)
        shown[name] = f"{_text(name, before[name], reveal) or '–'} → {text or '–'}" if name in before else text
    return shown


def _text(name: str, value: Any, reveal: bool) -> str | None:
    if value is None:
        return None
    if isinstance(value, float | int) and not isinstance(value, bool):
        return f.number(value)
    if name in ("reason", "profile_id"):
        return str(value)
    return str(value) if reveal else masking.mask(value, name)


def ledger(ws: cdp.Workspace, name: str, status: str | None, page: int, size: int, reveal: bool) -> pl.DataFrame:
    """One page of the ledger: key, profile_id, status, operation, attempts, sent_at (UTC), error, payload."""
    table = ws.table("sync_ledger")
    own = table.filter(table.sync == name)
    if status:
        own = own.filter(own.status == status)
    columns = ("key", "profile_id", "status", "operation", "attempts", "sent_at", "error", "payload")
    rows = own.select(*columns).order_by([own.sent_at.desc(), own.key]).limit(size, offset=(page - 1) * size)
    frame = ws.polars(rows)
    if reveal:
        return frame
    frame = masking.mask_json_column(frame, "payload")
    source: Any = ws.config.syncs[name].mapping[ws.config.syncs[name].key]
    read = [source.column] if source.column else source.columns
    personal = next((column for column in read if masking.kind_of(column)), None)
    return masking.mask_column(frame, "key", personal) if personal else frame


def reasons(ws: cdp.Workspace, name: str) -> pl.DataFrame:
    """Failed rows by reason. Columns: reason, rows."""
    table = ws.table("sync_ledger")
    failed = table.filter((table.sync == name) & table.status.isin(["failed", "dead"]) & table.error.notnull())
    counted = failed.group_by(reason=failed.error).agg(rows=failed.count())
    return ws.polars(counted.order_by(counted.rows.desc()).limit(20))
