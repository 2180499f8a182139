"""Live: what clients have sent lately, with what the door said of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import cdp_core as cdp
from cdp_core.privacy import masking

if TYPE_CHECKING:
    import polars as pl

LIMIT = 300


@dataclass(frozen=True)
class Lately:
    """`events` as `ws.live.recent` gives them and `who`; counts of the last minute; `waiting` for the lake."""

    events: pl.DataFrame
    minute: int
    held: int
    waiting: int


def sources(ws: cdp.Workspace) -> list[str]:
    """Sources that are sent to the collector."""
    return [name for name, spec in ws.config.sources.items() if spec.type == "collector"]


def lately(ws: cdp.Workspace, *, reveal: bool) -> Lately:
    import polars as pl

    frame = ws.live.recent(LIMIT).with_columns(who=pl.coalesce("user_id", "anonymous_id"))
    since = datetime.now(UTC).replace(tzinfo=None) - timedelta(minutes=1)
    last = frame.filter(pl.col("received_at") >= since)
    if not reveal:
        frame = masking.mask_column(frame, "who", "user_id")
        frame = masking.mask_json_column(frame, "payload")
    held = last.filter(pl.col("status") == "held").height
    return Lately(frame, last.height, held, sum(ws.live.waiting().values()))


def chosen(events: pl.DataFrame, source: str | None, status: str | None, text: str) -> pl.DataFrame:
    """Events of a source and status in which a text stands: in the event's name, its type or who it is about."""
    import polars as pl

    if source:
        events = events.filter(pl.col("source") == source)
    if status:
        events = events.filter(pl.col("status") == status)
    if words := text.strip().lower():
        names = pl.concat_str("type", "event", "who", separator=" ", ignore_nulls=True).str.to_lowercase()
        events = events.filter(names.str.contains(words, literal=True))
    return events
