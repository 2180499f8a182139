"""What people have asked for: which requests there are, how far each is, and when it is due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import cdp_core as cdp
from cdp_core.dashboard import formatting as f

if TYPE_CHECKING:
    import polars as pl

STEPS = {
    "barred": "Barred from coming in again",
    "drained": "Received events loaded",
    "rows": "Taken out of every table",
    "lake": "Older snapshots and files written anew",
    "files": "Decisions about them removed",
    "inbox": "Inbox emptied",
    "destinations": "Destinations asked",
    "proof": "What is left looked through",
}
STATES = {
    "requested": ("Asked", "gray", "schedule"),
    "accepted": ("Accepted", "blue", "hourglass_top"),
    "confirmed": ("Confirmed", "green", "check_circle"),
    "unsupported": ("By hand", "orange", "back_hand"),
    "failed": ("Failed", "red", "error"),
}
SOON = 7
"""Days before the due day from which a request is pointed out."""


@dataclass(frozen=True)
class Due:
    """How a due day reads, and how urgent it is: late, soon, fine or done."""

    text: str
    level: str


@dataclass(frozen=True)
class Person:
    """How much there is of somebody, and what makes it doubtful that they are one."""

    events: int
    identifiers: int
    syncs: int
    doubts: tuple[str, ...]


def person(ws: cdp.Workspace, profile_id: str) -> Person:
    found = ws.privacy.subject(profile_id)
    return Person(found.events, len(found.identifiers), len(found.sent_to), tuple(found.doubts))


def rows(ws: cdp.Workspace) -> pl.DataFrame:
    """Columns: request_id, kind, status, received, due, left (days until then, while it is open), finished, reason."""
    import polars as pl

    frame = ws.privacy.requests()
    is_open = pl.col("status").is_in(["running", "waiting"])
    left = (pl.col("due_at").dt.date() - pl.lit(today())).dt.total_days()
    return frame.select(
        "request_id", "kind", "status", received=pl.col("received_at").dt.date(), due=pl.col("due_at").dt.date(),
        left=pl.when(is_open).then(left), finished=pl.col("finished_at"), reason=pl.col("reason"),
    )  # fmt: skip


def shown(frame: pl.DataFrame) -> pl.DataFrame:
    """The same as people read it."""
    import polars as pl

    return frame.with_columns(pl.col("kind", "status").str.to_titlecase())


def counts(frame: pl.DataFrame) -> dict[str, int]:
    """open, late (past their day), soon (within a week), done."""
    import polars as pl

    left = pl.col("left")
    return {
        "open": frame.filter(left.is_not_null()).height,
        "late": frame.filter(left < 0).height,
        "soon": frame.filter(left.is_between(0, SOON)).height,
        "done": frame.filter(pl.col("status") == "done").height,
    }


def due_of(request: Any) -> Due:
    """
    >>> from types import SimpleNamespace
    >>> due_of(SimpleNamespace(open=False, due=date(2026, 3, 1))).text
    'due by 1 Mar 2026'
    """
    day = f"{request.due.day} {request.due:%b %Y}"
    if not request.open:
        return Due(f"due by {day}", "done")
    left = (request.due - today()).days
    if left < 0:
        return Due(f"{f.plural(-left, 'day')} late, was due on {day}", "late")
    return Due(f"due on {day}, in {f.plural(left, 'day')}", "soon" if left <= SOON else "fine")


def steps_of(request: Any) -> list[tuple[str, bool]]:
    """What an erasure does, in order, and whether it is done."""
    asked = "proof" in request.steps and not any(each.state in ("requested", "failed") for each in request.receipts)
    done = {*request.steps, *(["destinations"] if asked else [])}
    return [(text, name in done) for name, text in STEPS.items()]


def today() -> date:
    return datetime.now(UTC).date()
