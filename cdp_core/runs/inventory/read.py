"""Every value of the lake that a customer may have brought, as rows of source, place and text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cdp_core.runs.inventory.drawn import drawn
from cdp_core.runs.inventory.walk import COLUMNS, walk
from cdp_core.tables import PROFILES

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine

JSON = ("properties", "traits", "context", "extra")
OWN = ("user_id", "anonymous_id", "group_id", "previous_id", "record_id")
QUARANTINE = "quarantine"
"""Before the places of rows that are held back."""
TABLES = ("profiles", "user_identifiers", "sync_ledger")
"""Tables whose fields are called by the table in the place of a source."""


@dataclass(frozen=True, kw_only=True)
class Read:
    """Tables of `COLUMNS` and text; rows there are, and rows that were looked at."""

    values: list[ir.Table]
    rows: int
    looked_at: int


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Reads the tables of `engine`, at most `budget` rows of each, and takes them apart on `here`; see `near`."""

    engine: Engine
    here: Engine
    bring: Callable[[ir.Table], ir.Table]
    budget: int

    def all(self) -> list[Read]:
        """Events, quarantine, golden values, normalised identifiers, and what destinations have been sent."""
        return [self.events(), self.quarantine(), self.profiles(), self.identifiers(), self.ledger()]

    def events(self) -> Read:
        """Columns that clients fill, and everything inside properties, traits, context and extra."""
        import ibis

        events = self.engine.table("events")
        said = events.type + ibis.ifelse(events.event.isnull(), ibis.literal(""), ibis.literal(" ") + events.event)
        at = events.received_at.coalesce(events.timestamp)
        slim = events.select("source", "message_id", *OWN, *JSON, said=said.fill_null(""), at=at)
        kept, rows, looked_at = self._drawn(slim, "source", "message_id")
        plain = [_values(kept, column, kept[column]) for column in OWN]
        level = _union([_level(kept, column, kept[column]) for column in JSON])
        return Read(values=[*plain, *walk(self.here, level)] if rows else [], rows=rows, looked_at=looked_at)

    def quarantine(self) -> Read:
        """What is held back, as the source gave it and as somebody has corrected it."""
        import ibis

        held = self.engine.table("quarantine")
        slim = held.select("source", "message_id", "payload", "fixed", said=ibis.literal(""), at=held.received_at)
        kept, rows, looked_at = self._drawn(slim, "source", "message_id")
        level = _union([_level(kept, QUARANTINE, kept.payload), _level(kept, QUARANTINE, kept.fixed)])
        return Read(values=walk(self.here, level) if rows else [], rows=rows, looked_at=looked_at)

    def profiles(self) -> Read:
        """Every trait."""
        import ibis

        table = self.engine.table("profiles")
        traits = [column for column in table.columns if column not in PROFILES.columns]
        slim = table.select(
            "profile_id", *traits, source=ibis.literal("profiles"), said=ibis.literal(""), at=table.first_seen
        )
        kept, rows, looked_at = self._drawn(slim, "source", "profile_id")
        return Read(values=[_values(kept, t, _texts(kept[t])) for t in traits], rows=rows, looked_at=looked_at)

    def identifiers(self) -> Read:
        """Every type of identifier."""
        import ibis

        table = self.engine.table("user_identifiers")
        named = {"source": ibis.literal("user_identifiers"), "said": table.type, "at": table.first_seen}
        kept, rows, looked_at = self._drawn(table.select("type", "value", **named), "type", "value")
        values = kept.select("source", "at", "weight", said=ibis.literal(""), place=kept.type, text=kept.value)
        return Read(values=[values.select(*COLUMNS, "text")], rows=rows, looked_at=looked_at)

    def ledger(self) -> Read:
        """What syncs have sent, field by field."""
        import ibis

        table = self.engine.table("sync_ledger")
        named = {"source": ibis.literal("sync_ledger"), "said": table["sync"], "at": table.sent_at}
        kept, rows, looked_at = self._drawn(table.select("sync", "key", "payload", **named), "sync", "key")
        level = kept.select("source", "at", "weight", said=ibis.literal(""), place=kept["sync"], v=kept.payload)
        level = level.filter(level.v.notnull()).select(*COLUMNS, "v")
        return Read(values=walk(self.here, level) if rows else [], rows=rows, looked_at=looked_at)

    def _drawn(self, slim: ir.Table, *key: str) -> tuple[ir.Table, int, int]:
        kept, rows, looked_at = drawn(self.engine, slim, ("source", "said"), (key[0], key[1]), self.budget)
        return self.bring(kept), rows, looked_at


def _texts(column: Any) -> ir.StringValue:
    kind = column.type()
    if kind.is_array():
        return column.unnest().cast("string")
    return column if kind.is_string() else column.cast("string")


def _values(rows: ir.Table, place: str, text: ir.Value) -> ir.Table:
    import ibis

    found = rows.select("source", "said", "at", "weight", place=ibis.literal(place), text=text)
    return found.filter(found.text.notnull()).select(*COLUMNS, "text")


def _level(rows: ir.Table, place: str, json: ir.Value) -> ir.Table:
    import ibis

    found = rows.select("source", "said", "at", "weight", place=ibis.literal(place), v=json)
    return found.filter(found.v.notnull()).select(*COLUMNS, "v")


def _union(tables: list[ir.Table]) -> ir.Table:
    import ibis

    return ibis.union(tables[0], *tables[1:])
