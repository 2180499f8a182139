"""Requests in data/privacy/requests.jsonl, and the table that shows them.

The file counts, whatever the lake says, as for suppressions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core import tables
from cdp_core.errors import UsageError
from cdp_core.journal import append
from cdp_core.privacy import requests
from cdp_core.privacy.requests import Kind, Request

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.engine import Engine

PATH = Path("data/privacy/requests.jsonl")


def read_requests(root: Path) -> dict[str, Request]:
    """All requests by id, oldest first. Raises SpecError with the line that is wrong."""
    path = root / PATH
    return requests.folded(path.read_text(encoding="utf-8"), where=str(PATH)) if path.is_file() else {}


def read_request(root: Path, request_id: str) -> Request:
    """One of them. Raises UsageError for an id that none has."""
    found = read_requests(root)
    if request_id not in found:
        raise UsageError.unknown("request", request_id, list(found)[-10:])
    return found[request_id]


def open_request(
    root: Path, kind: Kind, subject: tuple[str, ...], *, reason: str, actor: str, received: date | None = None,
    before: Callable[[str], None] = lambda request_id: None,
) -> Request:  # fmt: skip
    """Write down that something was asked for. `received` is the day on which it came in, today unless told; `before`
    is done with the request's id before it is there, so that no request lacks what it needs.

    Raises UsageError when no reason is given, or the day is to come.
    """
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    if not reason.strip():
        raise UsageError("a reason is missing", hint="say why, for whoever reads the list next year")
    day = received or now.date()
    if day > now.date():
        raise UsageError(f"{day} is still to come", hint="name the day on which the request came in")
    made = Request(
        request_id=requests.new_id(now),
        kind=kind,
        subject=subject,
        reason=" ".join(reason.split()),
        actor=actor,
        opened_at=now,
        received=day,
        due=requests.due_day(day),
    )
    before(made.request_id)
    append(root / PATH, lambda: requests.opened(made))
    return made


def tell(root: Path, request_id: str, event: str, **told: Any) -> None:
    """Add a line about a request."""
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    append(root / PATH, lambda: requests.line(request_id, event, now, **told))


def tell_if(root: Path, request_id: str, wanted: Callable[[Request], Mapping[str, Any]], event: str) -> None:
    """Add the line that `wanted` makes of the request as it is now; what it raises writes nothing."""
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    append(root / PATH, lambda: requests.line(request_id, event, now, **wanted(read_request(root, request_id))))


def publish(engine: Engine, root: Path) -> None:
    """Bring the table `privacy_requests` up to the file."""
    with engine.transaction():
        engine.replace("privacy_requests", engine.frame(frame(read_requests(root))))


def frame(found: Mapping[str, Request]) -> pl.DataFrame:
    """The rows of the table `privacy_requests`."""
    import polars as pl

    rows = [
        {
            "request_id": each.request_id,
            "kind": each.kind,
            "subject": json.dumps(list(each.subject)),
            "status": each.status,
            "reason": each.reason,
            "actor": each.actor,
            "received_at": datetime.combine(each.received, datetime.min.time()),
            "opened_at": each.opened_at,
            "due_at": datetime.combine(each.due, datetime.min.time()),
            "finished_at": each.finished_at,
            "receipts": json.dumps([receipt.to_dict() for receipt in each.receipts]),
            "taken": json.dumps(dict(each.taken)),
        }
        for each in found.values()
    ]
    return pl.DataFrame(rows, schema=tables.PRIVACY_REQUESTS.polars_schema())
