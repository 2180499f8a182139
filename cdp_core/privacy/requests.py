"""Requests of people as records: what was asked for, until when it is due, and what became of it. Nobody is named.

A request is the sum of the lines that were written about it (`folded`), oldest first, so that nothing about it is ever
overwritten. Whom it is about stands there as tombstones (see `suppression`), by which the same person is found again.
"""

from __future__ import annotations

import calendar
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Literal, get_args

from cdp_core.journal import read_lines

Kind = Literal["erase", "suppress", "unsuppress", "access", "rectify"]
KINDS: tuple[Kind, ...] = get_args(Kind)
State = Literal["requested", "accepted", "confirmed", "unsupported", "failed"]
OPEN_STATES = ("requested", "accepted", "failed")
"""Receipts that something is still to come of."""
RUNNING, WAITING, DONE, WITHDRAWN = "running", "waiting", "done", "withdrawn"
OUTCOMES: Mapping[str, str] = {
    "suppress": "Nothing about the person is sent or taken in any more. Keyed hashes (HMAC-SHA-256) of their "
    "identifiers are kept for that.",
    "unsuppress": "What is about the person may be sent and taken in again.",
    "access": "Everything that is held about the person was put together, to be handed out.",
    "rectify": "What is held about the person was corrected, or an earlier correction taken back.",
}
"""What was done where no erasure was asked for."""
EXTENSION = 2
"""Months by which a complex request may be extended (GDPR 12(3))."""


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What a destination said. `sync` is the sync that had sent the person; `rows` how many of its rows are theirs;
    `settles` how many hours a service takes to do what it accepted.
    """

    sync: str
    destination: str
    type: str
    state: State
    rows: int
    at: datetime
    note: str = ""
    attempts: int = 0
    settles: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """sync, destination, type, state, rows, at, note, attempts, settles."""
        return self.__dict__ | {"at": self.at.isoformat()}


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request. Times are UTC, `received` and `due` are days. `taken` counts rows by table; `steps` are those done;
    `status` is running, waiting (for a destination), done or withdrawn; `residual` names what was told to remain,
    `sources` where the person's rows came from; nothing of the person has been taken in since `barred_at`.
    """

    request_id: str
    kind: Kind
    subject: tuple[str, ...]
    reason: str
    actor: str
    opened_at: datetime
    received: date
    due: date
    status: str = RUNNING
    steps: tuple[str, ...] = ()
    taken: Mapping[str, int] = field(default_factory=dict)
    receipts: tuple[Receipt, ...] = ()
    residual: tuple[Mapping[str, Any], ...] = ()
    sources: tuple[str, ...] = ()
    error: str | None = None
    finished_at: datetime | None = None
    extended: str | None = None
    barred_at: datetime | None = None

    @property
    def open(self) -> bool:
        return self.status in (RUNNING, WAITING)

    @property
    def outcome(self) -> str | None:
        """What was done, in words; None for an erasure, which has steps and receipts."""
        return OUTCOMES.get(self.kind)

    def overdue(self, today: date) -> bool:
        return self.open and today > self.due

    def to_dict(self) -> dict[str, Any]:
        """All of it, times as ISO texts; `identifiers` says how many the person has."""
        return {
            "request_id": self.request_id,
            "kind": self.kind,
            "identifiers": len(self.subject),
            "reason": self.reason,
            "actor": self.actor,
            "status": self.status,
            "opened_at": self.opened_at.isoformat(),
            "received": self.received.isoformat(),
            "due": self.due.isoformat(),
            "finished_at": self.finished_at.isoformat() if self.finished_at else None,
            "extended": self.extended,
            "steps": list(self.steps),
            "taken": dict(self.taken),
            "receipts": [each.to_dict() for each in self.receipts],
            "residual": [dict(each) for each in self.residual],
            "error": self.error,
        }


def due_day(received: date, months: int = 1) -> date:
    """The same day of a later month, or the last one of a month that is shorter.

    GDPR 12(3) gives one month of the receipt, and two more to a complex request; Regulation 1182/71, Article 3, says
    that months end with the same date, or with the month's last day. Weekends, which would make it later, do not count.

    >>> due_day(date(2027, 1, 31)), due_day(date(2028, 1, 31)), due_day(date(2026, 12, 15), 3)
    (datetime.date(2027, 2, 28), datetime.date(2028, 2, 29), datetime.date(2027, 3, 15))
    """
    month = received.month - 1 + months
    year, month = received.year + month // 12, month % 12 + 1
    return date(year, month, min(received.day, calendar.monthrange(year, month)[1]))


def new_id(at: datetime) -> str:
    """A name for a request that is opened at a time (UTC); names sort as the times do.

    >>> new_id(datetime(2026, 3, 1, 12, 30))[:-5]
    'q20260301T123000'
    """
    return f"q{at:%Y%m%dT%H%M%S}_{secrets.token_hex(2)}"


def opened(request: Request) -> str:
    """The first line about a request."""
    told = {
        "kind": request.kind, "subject": list(request.subject), "reason": request.reason, "actor": request.actor,
        "received": request.received.isoformat(), "due": request.due.isoformat(),
    }  # fmt: skip
    return line(request.request_id, "opened", request.opened_at, **told)


def line(request_id: str, event: str, at: datetime, **told: Any) -> str:
    """One line: event is opened, counted, step, receipt, residual, failed, extended, waiting, done or withdrawn."""
    return json.dumps({"request_id": request_id, "event": event, "at": at.isoformat(), **told}, ensure_ascii=False)


def folded(text: str, *, where: str) -> dict[str, Request]:
    """Request id → request, in the order of their opening. Raises SpecError with the line that is wrong."""
    found: dict[str, Request] = {}

    def fold(row: dict[str, Any]) -> None:
        name = row["request_id"]
        found[name] = _begun(row) if row["event"] == "opened" else _told(found[name], row)

    hint = "each line is an object with request_id, event and at; the first of a request is opened"
    read_lines(text, fold, where=where, what="no line about a request", hint=hint)
    return found


def _begun(row: Mapping[str, Any]) -> Request:
    return Request(
        request_id=row["request_id"],
        kind=row["kind"],
        subject=tuple(row["subject"]),
        reason=row["reason"],
        actor=row["actor"],
        opened_at=datetime.fromisoformat(row["at"]),
        received=date.fromisoformat(row["received"]),
        due=date.fromisoformat(row["due"]),
    )


def _told(request: Request, row: Mapping[str, Any]) -> Request:
    event, at = row["event"], datetime.fromisoformat(row["at"])
    if event == "step":
        taken = {**request.taken, **row.get("taken", {})}
        barred = at if row["step"] == "barred" else request.barred_at
        steps = tuple(dict.fromkeys((*request.steps, row["step"])))
        return replace(request, steps=steps, taken=taken, error=None, barred_at=barred)
    if event == "counted":
        sources = tuple(sorted({*request.sources, *row.get("sources", ())}))
        return replace(request, taken={**request.taken, **row["taken"]}, sources=sources)
    if event == "receipt":
        receipt = Receipt(**{**row["receipt"], "at": datetime.fromisoformat(row["receipt"]["at"])})
        others = tuple(each for each in request.receipts if each.sync != receipt.sync)
        return replace(request, receipts=tuple(sorted((*others, receipt), key=lambda r: r.sync)))
    if event == "residual":
        return replace(request, residual=tuple(row["residual"]))
    if event == "failed":
        return replace(request, error=row["error"])
    if event == "extended":
        return replace(request, due=date.fromisoformat(row["due"]), extended=row["reason"])
    if event == WAITING:
        return replace(request, status=WAITING, error=None)
    if event in (DONE, WITHDRAWN):
        return replace(request, status=event, finished_at=at, error=None)
    raise ValueError(event)


def open_receipts(receipts: Iterable[Receipt]) -> list[Receipt]:
    """Those that something is still to come of."""
    return [each for each in receipts if each.state in OPEN_STATES]
