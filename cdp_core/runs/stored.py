"""Which stored events a replay is about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cdp_core.errors import UsageError
from cdp_core.tables import EVENTS

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.config import Config
    from cdp_core.engine import Engine

WHERE = "the condition"


@dataclass(frozen=True, kw_only=True)
class StoredSelection:
    """Stored events of a `source`, from `since` up to but not including `until` (UTC, by the time of the event), called
    one of `events`, for which the SQL condition `where` over the columns of the table events is true. Empty means all.
    """

    source: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    events: tuple[str, ...] = ()
    where: str | None = None


def moment(text: str | datetime | None, name: str) -> datetime | None:
    """A date or time (ISO 8601; without an offset it is UTC) as a naive UTC timestamp. Raises UsageError.

    >>> moment("2026-03-01", "from"), moment("2026-03-01T02:00+02:00", "from")
    (datetime.datetime(2026, 3, 1, 0, 0), datetime.datetime(2026, 3, 1, 0, 0))
    """
    if text is None:
        return None
    try:
        found = text if isinstance(text, datetime) else datetime.fromisoformat(text.strip())
    except ValueError:
        hint = "write it as 2026-03-01 or 2026-03-01T12:30:00Z (UTC)"
        raise UsageError(f"{name} is neither a date nor a time", hint=hint) from None
    return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found


def selected(engine: Engine, config: Config, chosen: StoredSelection) -> ir.Table:
    """The rows of the table events that are meant; of sources that cdp.yaml still has.

    Raises UsageError (an unknown source, an empty stretch of time) and SpecError (a condition that is none).
    """
    if chosen.source is not None and chosen.source not in config.sources:
        raise UsageError.unknown("source", chosen.source, config.sources)
    if chosen.since and chosen.until and chosen.since >= chosen.until:
        raise UsageError("the stretch of time is empty", hint="`from` must be before `to`, which is not included")
    rows = _where(engine, chosen.where)
    rows = rows.filter(rows.source.isin([chosen.source] if chosen.source else list(config.sources)))
    if chosen.since is not None:
        rows = rows.filter(rows.timestamp >= chosen.since)
    if chosen.until is not None:
        rows = rows.filter(rows.timestamp < chosen.until)
    return rows.filter(rows.event.isin(list(chosen.events))) if chosen.events else rows


def _where(engine: Engine, text: str | None) -> ir.Table:
    if text is None:
        return engine.table("events")
    from cdp_core.engine.condition import condition

    columns = ", ".join(f'"{name}"' for name in EVENTS.columns)
    return engine.sql(f"SELECT {columns} FROM events WHERE {condition(text, EVENTS.columns)}")
