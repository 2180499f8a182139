"""Rows of a sync: the ledger, and what was refused by reason, with where the cure lies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import cdp_core as cdp
from cdp_core.dashboard.views import sync_mask
from cdp_core.dashboard.views.sync_plan import reason_in_words

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

OUTCOMES = {
    "delivered": "Delivered",
    "pending": "Still to send",
    "failed": "Refused",
    "withheld": "Withheld",
    "dead": "Given up",
}
DISMISSED = "dismissed: "
_SETUP = re.compile(
    r"\b(column|field|mapping|schema|type|required|unknown (property|attribute)|unauthori[sz]ed|forbidden|permission"
    r"|40[1345]|not found|does not exist|unsupported)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Reason:
    """Rows of one reason. `dismissed`: left alone until they change. `in_setup`: the mapping is where to look first."""

    text: str
    rows: int
    last_sent_at: datetime | None
    dismissed: bool
    in_setup: bool


def ledger(
    ws: cdp.Workspace, name: str, status: str | None, find: str, page: int, size: int, reveal: bool
) -> tuple[int, pl.DataFrame]:
    """How many ledger rows there are, and one page of them, newest first. `find` is the beginning of a key or a
    profile id. Columns: key, profile_id, status, operation, attempts, sent_at (UTC), error, payload.
    """
    own = _own(ws, name)
    if status:
        own = own.filter(own.status == status)
    if find:
        own = own.filter(own.key.startswith(find) | (own.profile_id == find))
    return _page(ws, name, own, page, size, reveal)


def reasons(ws: cdp.Workspace, name: str, limit: int = 50) -> list[Reason]:
    """Why rows were refused or dismissed, the most frequent first."""
    rows = _refused(ws, name)
    counted = rows.group_by("status", reason=rows.error.fill_null("")).agg(n=rows.count(), at=rows.sent_at.max())
    frame = ws.polars(counted.order_by([counted.status.desc(), counted.n.desc(), counted.reason]).limit(limit))
    return [
        Reason(
            text=row["reason"],
            rows=row["n"],
            last_sent_at=row["at"],
            dismissed=row["status"] == "dead",
            in_setup=bool(_SETUP.search(row["reason"])),
        )
        for row in frame.to_dicts()
    ]


def refused(
    ws: cdp.Workspace, name: str, reason: str, dismissed: bool, page: int, size: int, reveal: bool
) -> tuple[int, pl.DataFrame, list[str]]:
    """How many rows were refused for a reason, one page of them as `ledger`, and the keys of that page, as they are."""
    rows = _refused(ws, name)
    rows = rows.filter((rows.error.fill_null("") == reason) & (rows.status == ("dead" if dismissed else "failed")))
    total, frame = _page(ws, name, rows, page, size, True)
    return total, masked(ws, name, frame, reveal), frame["key"].to_list()


def keys_of(ws: cdp.Workspace, name: str, reason: str, dismissed: bool, limit: int) -> list[str]:
    """Keys of the rows of a reason, at most so many."""
    rows = _refused(ws, name)
    rows = rows.filter((rows.error.fill_null("") == reason) & (rows.status == ("dead" if dismissed else "failed")))
    return ws.polars(rows.order_by("key").select("key").limit(limit))["key"].to_list()


def why(status: str, error: str) -> str:
    """
    >>> why("withheld", "consent: ads (denied)"), why("dead", "dismissed: no such list"), why("failed", "too long")
    ('No consent: ads (denied)', 'No such list', 'Too long')
    """
    return reason_in_words(status, error.removeprefix(DISMISSED))


def masked(ws: cdp.Workspace, name: str, frame: pl.DataFrame, reveal: bool) -> pl.DataFrame:
    """Rows of the ledger or the log with what is personal masked unless revealed."""
    return frame if reveal else sync_mask.masked(ws, name, frame)


def _own(ws: cdp.Workspace, name: str) -> ir.Table:
    table = ws.table("sync_ledger")
    return table.filter(table.sync == name)


def _refused(ws: cdp.Workspace, name: str) -> ir.Table:
    own = _own(ws, name)
    dismissed = (own.status == "dead") & own.error.startswith(DISMISSED).fill_null(False)
    return own.filter((own.status == "failed") | dismissed)


def _page(ws: cdp.Workspace, name: str, rows: ir.Table, page: int, size: int, reveal: bool) -> tuple[int, pl.DataFrame]:
    total = int(ws.polars(rows.aggregate(n=rows.count())).item())
    columns = ("key", "profile_id", "status", "operation", "attempts", "sent_at", "error", "payload")
    newest = rows.order_by([rows.sent_at.desc(), rows.key]).select(*columns)
    frame = ws.polars(newest.limit(size, offset=(page - 1) * size))
    return total, masked(ws, name, frame, reveal)
