"""Which rows are held: rows that could not be read and rows that fail an expectation, each once, with every reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cdp_core.tables import EVENTS, QUARANTINE

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.engine.staging import Staging

KEY = ["source", "message_id"]
REASON = ["rule", "field", "description"]
FAILURES = [*KEY, *REASON, "severity"]


def empty_failures() -> pl.DataFrame:
    """The staged table `failures` without rows: failing rows of every severity, one row per rule that they fail."""
    import polars as pl

    return pl.DataFrame(schema=dict.fromkeys(FAILURES, pl.String))


def quarantined(staging: Staging, source_tables: Mapping[str, str], *, run_id: str) -> ir.Table:
    """Write the staged table `held` with the columns of tables.QUARANTINE and give it.

    It holds rejects (staged `rejects`) and rows in staged `failures` of severity quarantine, one row per source and
    message_id. reasons: JSON list of {rule, field, description}. payload: the original line where the source has one
    (`_payload`), else the row's columns as a JSON object, exactly as read. `source_tables` maps a source to the staged
    table of its rows.
    """
    import ibis

    reasons = _reasons(staging)
    contents = _contents(staging, source_tables)
    held = reasons.left_join(contents, KEY).select(*KEY, "received_at", "payload", "reasons")
    held = held.mutate(status=ibis.literal("held"), run_id=ibis.literal(run_id))
    schema = QUARANTINE.ibis_schema()
    return staging.replace("held", held.select(**{c: held[c].cast(kind) for c, kind in schema.items()}))


def _reasons(staging: Staging) -> ir.Table:
    """One row per held row: source, message_id, reasons."""
    import ibis

    failures = staging.table("failures")
    every = failures.filter((failures.severity == "quarantine") & failures.message_id.notnull()).select(*KEY, *REASON)
    if staging.has("rejects"):
        every = every.union(staging.table("rejects").select(*KEY, *REASON))
    every = every.distinct()
    one = ibis.struct({name: every[name] for name in REASON})
    grouped = every.group_by(KEY).agg(reasons=one.collect(order_by=[every.rule, every.description]))
    return grouped.mutate(reasons=grouped.reasons.cast("json").cast("string"))


def _contents(staging: Staging, source_tables: Mapping[str, str]) -> ir.Table:
    """source, message_id, received_at and payload of every row that may be held, once each."""
    import ibis

    failures = staging.table("failures")
    failing = failures.filter(failures.severity == "quarantine").select(KEY).distinct()
    parts = []
    if staging.has("rejects"):
        parts.append(_part(staging.table("rejects"), 0))
    for source, name in source_tables.items():
        rows = staging.table(name)
        mine = failing.filter(failing.source == source).select("message_id")
        rows = rows.semi_join(mine, "message_id").mutate(source=ibis.literal(source), payload=_original(rows))
        parts.append(_part(rows.mutate(received_at=ibis.null("timestamp(6)")), 1))
    if staging.has("events"):
        events = staging.table("events").semi_join(failing, KEY)
        parts.append(_part(events.mutate(payload=_as_json(events, list(EVENTS.columns))), 2))
    if not parts:
        parts.append(_part(failing.mutate(payload=ibis.null("string"), received_at=ibis.null("timestamp(6)")), 3))
    every = ibis.union(*parts) if len(parts) > 1 else parts[0]
    return every.group_by(KEY).agg(
        payload=every.payload.first(order_by=[every.place, every.payload]), received_at=every.received_at.max()
    )


def _part(rows: ir.Table, place: int) -> ir.Table:
    import ibis

    received = rows.received_at.cast("timestamp(6)")
    return rows.select(
        *KEY, payload=rows.payload.cast("string"), received_at=received, place=ibis.literal(place, "int8")
    )


def _original(rows: ir.Table) -> ir.Value:
    if "_payload" in rows.columns:
        return rows["_payload"]
    return _as_json(rows, [c for c in rows.columns if c != "message_id" and not c.startswith("_")])


def _as_json(rows: ir.Table, columns: list[str]) -> ir.Value:
    import ibis

    return ibis.struct({c: rows[c] for c in columns if c in rows.columns}).cast("json").cast("string")
