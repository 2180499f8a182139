"""The audit log: who did what, when, and about whom, in lines that cannot be changed without it being found.

Each line holds the hash of the line before it (SHA-256 over canonical JSON), so that nothing can be edited, put in,
taken out or moved; and a MAC of its own hash under the workspace's key, so that nobody without the key can write it
anew. An anchor beside the file, under the same key, says how long it is, so that nothing can be cut off its end. People
are in it as the HMAC of their identifiers alone.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from cdp_core.journal import append

PATH = Path("data/privacy/audit.jsonl")
HEAD = Path("data/privacy/audit.head")
GENESIS = "0" * 64
RECOVERED, REANCHORED = "audit.recovered", "audit.reanchored"
"""Entries that the log makes about itself: a line that a killed process left unfinished, an anchor that was gone."""
SYSTEM = "cdp"
FIELDS = ("seq", "at", "actor", "role", "action", "outcome", "subject_hmac", "details", "previous_hash", "hash", "mac")


@dataclass(frozen=True, kw_only=True)
class Event:
    """What is to be recorded. `subject_hmac` are HMACs of identifiers; `details` never hold a customer's value."""

    actor: str
    role: str
    action: str
    outcome: str
    subject_hmac: Sequence[str] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Head:
    """The end of the log: number and hash of its last entry, and how many bytes there are up to its end."""

    seq: int = 0
    hash: str = GENESIS
    size: int = 0


def record(root: Path, key: bytes, event: Event, *, at: datetime) -> dict[str, Any]:
    """Add an entry, and have it on the disk before this returns; the entry. `at` is UTC."""
    path, made = root / PATH, [Head()]
    rows: list[dict[str, Any]] = []

    def add(each: Event) -> None:
        rows.append(entry(each, made[0], key, at=at))
        made[0] = Head(seq=rows[-1]["seq"], hash=rows[-1]["hash"])

    def lines() -> str:
        made[0], notes = _continued(root, key)
        for note in notes:
            add(note)
        add(event)
        return "\n".join(to_line(row) for row in rows)

    def anchor() -> None:
        _write_head(root, key, Head(seq=made[0].seq, hash=made[0].hash, size=path.stat().st_size))

    append(path, lines, after=anchor)
    return rows[-1]


def entry(event: Event, before: Head, key: bytes, *, at: datetime) -> dict[str, Any]:
    """One line as an object, with the keys `FIELDS`; `details` is JSON text.

    >>> made = entry(Event(actor="ann", role="admin", action="run", outcome="done"), Head(), bytes(32),
    ...              at=datetime(2026, 1, 1))
    >>> made["seq"], made["previous_hash"] == GENESIS, made["hash"] == digest(made)
    (1, True, True)
    """
    row: dict[str, Any] = {
        "seq": before.seq + 1,
        "at": at.isoformat(timespec="microseconds"),
        "actor": event.actor,
        "role": event.role,
        "action": event.action,
        "outcome": event.outcome,
        "subject_hmac": list(event.subject_hmac),
        "details": json.dumps(dict(event.details), sort_keys=True, ensure_ascii=False),
        "previous_hash": before.hash,
    }
    row["hash"] = digest(row)
    row["mac"] = mac(key, "entry", row["hash"])
    return row


def digest(row: Mapping[str, Any]) -> str:
    """SHA-256 over canonical JSON (sorted keys, no spaces, UTF-8) of everything but the hash and its MAC."""
    said = {name: value for name, value in row.items() if name not in ("hash", "mac")}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def mac(key: bytes, *parts: object) -> str:
    return hmac.new(key, "\n".join(["audit", *map(str, parts)]).encode(), hashlib.sha256).hexdigest()


def to_line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False)


def from_line(raw: bytes) -> dict[str, Any] | None:
    """A line as an object; None for what is no entry."""
    try:
        row = json.loads(raw)
    except ValueError:
        return None
    if not isinstance(row, dict) or tuple(sorted(row)) != tuple(sorted(FIELDS)) or type(row["seq"]) is not int:
        return None
    return row


def follows(row: Mapping[str, Any], before: Head, key: bytes) -> str | None:
    """What is wrong with an entry behind the one before it; None when it follows."""
    if row["seq"] != before.seq + 1:
        return f"entry {before.seq + 1} is expected here, and this is entry {row['seq']}"
    if row["previous_hash"] != before.hash:
        return "it does not follow the entry before it"
    if digest(row) != row["hash"]:
        return "its content is not what was written"
    if not hmac.compare_digest(mac(key, "entry", row["hash"]), str(row["mac"])):
        return "it was not written with this workspace's key"
    return None


def read_head(root: Path, key: bytes) -> Head | None:
    """The anchor; None when it is missing, is none, or was not made with this key."""
    try:
        told = json.loads((root / HEAD).read_bytes())
        head = Head(seq=int(told["seq"]), hash=str(told["hash"]), size=int(told["size"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return head if hmac.compare_digest(_head_mac(key, head), str(told.get("mac"))) else None


def tail(root: Path, start: int) -> list[bytes]:
    """Lines from a byte on."""
    try:
        with (root / PATH).open("rb") as file:
            file.seek(start)
            return [line for line in file.read().split(b"\n") if line]
    except OSError:
        return []


def _continued(root: Path, key: bytes) -> tuple[Head, list[Event]]:
    """What the next entry follows, and what there is to note first.

    The anchor says it, and not the file: in a file that was tampered with, the break stays where it is. Only what a
    process wrote before it was killed lies behind the anchor.
    """
    head = read_head(root, key)
    size = (root / PATH).stat().st_size if (root / PATH).exists() else 0
    if head is None:
        return (_last(root), [_note(REANCHORED)]) if size else (Head(), [])
    torn = []
    for raw in tail(root, head.size) if size > head.size else ():
        row = from_line(raw)
        if row is not None and follows(row, head, key) is None:
            head = Head(seq=row["seq"], hash=row["hash"], size=head.size)
        else:
            torn.append(hashlib.sha256(raw).hexdigest())
    return head, [_note(RECOVERED, sha256=torn)] if torn else []


def _last(root: Path, block: int = 65_536) -> Head:
    """The last whole entry, without reading all of the file."""
    size = (root / PATH).stat().st_size
    for raw in reversed(tail(root, max(size - block, 0))):
        if (row := from_line(raw)) is not None:
            return Head(seq=row["seq"], hash=row["hash"], size=size)
    return Head(size=size)


def _note(action: str, **details: Any) -> Event:
    return Event(actor=SYSTEM, role="", action=action, outcome="done", details=details)


def _head_mac(key: bytes, head: Head) -> str:
    return mac(key, "head", head.seq, head.hash, head.size)


def _write_head(root: Path, key: bytes, head: Head) -> None:
    """Written aside and moved to its place: it is the old one or the new one, whatever happens."""
    path = root / HEAD
    text = json.dumps({"seq": head.seq, "hash": head.hash, "size": head.size, "mac": _head_mac(key, head)})
    aside = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
