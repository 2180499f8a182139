"""What the page of the audit log shows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import polars as pl

import cdp_core as cdp

ALL = "All"
OUTCOMES = {"done": "Done", "refused": "Refused", "failed": "Failed"}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is asked for. Days are UTC; `days` are the first and the last one."""

    actor: str | None = None
    action: str | None = None
    outcome: str | None = None
    days: tuple[date, date] | None = None
    about: str = ""


def entries(ws: cdp.Workspace, wanted: Wanted) -> pl.DataFrame:
    """Entries, newest first, with the columns of the table. Raises UsageError for what is no identifier."""
    since = until = None
    if wanted.days:
        since = datetime.combine(wanted.days[0], time())
        until = datetime.combine(wanted.days[1] + timedelta(days=1), time())
    about = wanted.about.strip() or None
    return ws.audit.entries(
        actor=wanted.actor, action=wanted.action, outcome=wanted.outcome, about=about, since=since, until=until
    )


def shown(rows: pl.DataFrame) -> pl.DataFrame:
    """Columns: at (UTC), actor, role, action, outcome, people (how many identifiers), details in words."""
    words = [in_words(text) for text in rows["details"].to_list()]
    return rows.select(
        "at",
        "actor",
        pl.col("role").str.replace_all("_", " "),
        "action",
        pl.col("outcome").replace(OUTCOMES),
        people=pl.col("subject_hmac").list.len(),
        details=pl.Series(words, dtype=pl.String),
    )


def in_words(details: str | None) -> str:
    """
    >>> in_words('{"name": "vip", "dry_run": true, "select": ["load", "identity"]}')
    'name: vip · dry run · select: load, identity'
    """
    try:
        told = json.loads(details or "{}")
    except ValueError:
        return details or ""
    if not isinstance(told, dict):
        return details or ""
    return " · ".join(_part(name.replace("_", " "), value) for name, value in told.items() if value not in ("", []))


def _part(name: str, value: object) -> str:
    if value is True:
        return name
    return f"{name}: {', '.join(map(str, value)) if isinstance(value, list) else value}"
