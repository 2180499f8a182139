"""How long events are kept: what is past the rules of cdp.yaml leaves with the next run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cdp_core.runs.dedupe import KEY

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.config import Config
    from cdp_core.engine import Engine
    from cdp_core.privacy.spec import RetentionSpec
    from cdp_core.runs.record import Run


def past(engine: Engine, rules: Sequence[RetentionSpec], now: datetime) -> pl.DataFrame:
    """Per rule: source, event, keep, until (UTC: what happened before goes), events and held (rows that are past)."""
    import polars as pl

    rows = [
        {
            "source": rule.source, "event": rule.event, "keep": rule.keep, "until": now - rule.age,
            "events": _size(engine, _events(engine, [rule], now)), "held": _size(engine, _held(engine, [rule], now)),
        }
        for rule in rules
    ]  # fmt: skip
    kinds: dict[str, Any] = dict.fromkeys(("source", "event", "keep"), pl.String)
    return pl.DataFrame(rows, schema={**kinds, "until": pl.Datetime("us"), "events": pl.Int64, "held": pl.Int64})


def apply_retention(engine: Engine, config: Config, run: Run, now: datetime) -> int:
    """Take events and held rows out that are past their rule, as one; how many. Who is who follows from what is left.

    An event is as old as its timestamp says, a held row as long as it has been there.
    """
    rules = config.privacy.retention
    if not rules:
        return 0
    events, held = engine.keep(_events(engine, rules, now)), engine.keep(_held(engine, rules, now))
    total = _size(engine, events) + _size(engine, held)
    if total:
        with engine.transaction():
            for name, gone in (("events", events), ("quarantine", held)):
                engine.amend(name, gone, engine.table(name).limit(0), tuple(KEY))
            engine.append("source_loads", engine.frame(_balance(engine, events, held, run)))
    return total


def _events(engine: Engine, rules: Sequence[RetentionSpec], now: datetime) -> ir.Table:
    events = engine.table("events")
    at = events.timestamp.coalesce(events.received_at)
    return _any(events, [_of(events, rule) & (at < now - rule.age) for rule in rules])


def _held(engine: Engine, rules: Sequence[RetentionSpec], now: datetime) -> ir.Table:
    """Rules for one event say nothing of held rows: what they are could not be read."""
    held = engine.table("quarantine")
    whole = [rule for rule in rules if rule.event is None]
    return _any(held, [(held.source == rule.source) & (held.received_at < now - rule.age) for rule in whole])


def _of(events: ir.Table, rule: RetentionSpec) -> ir.BooleanValue:
    of_source = events.source == rule.source
    return of_source if rule.event is None else of_source & (events.event == rule.event).fill_null(False)


def _any(table: ir.Table, conditions: Sequence[ir.BooleanValue]) -> ir.Table:
    if not conditions:
        return table.limit(0).select(*KEY)
    found = conditions[0]
    for one in conditions[1:]:
        found |= one
    return table.filter(found.fill_null(False)).select(*KEY)


def _size(engine: Engine, rows: ir.Table) -> int:
    return int(engine.polars(rows.count().name("n").as_table()).item())


def _balance(engine: Engine, events: ir.Table, held: ir.Table, run: Run) -> pl.DataFrame:
    """Rows of SOURCE_LOADS: nothing is read, and what was an event or held is kept no longer."""
    import polars as pl

    waiting = engine.table("quarantine").filter(lambda t: t.status == "held").semi_join(held, KEY)
    counted = [
        engine.polars(rows.group_by("source").agg(**{name: lambda t: t.count()}))
        for name, rows in (("events", events), ("quarantined", waiting))
    ]
    rows = counted[0].join(counted[1], on="source", how="full", coalesce=True).fill_null(0)
    return rows.select(
        "source", events=-pl.col("events"), quarantined=-pl.col("quarantined"), run_id=pl.lit(run.run_id),
        rows_read=pl.lit(0, pl.Int64), duplicates=pl.lit(0, pl.Int64),
        suppressed=pl.col("events") + pl.col("quarantined"), seconds=pl.lit(0.0), loaded_at=pl.lit(run.started_at),
    )  # fmt: skip
