"""Traits that are one aggregate per profile: counts, sums, first and last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from cdp_core.operators.values import exact, nonblank, typed
from cdp_core.profiles.facts import Facts
from cdp_core.profiles.spec import TIME, ComputedTrait
from cdp_core.tables import RECTIFICATION

if TYPE_CHECKING:
    import ibis.expr.types as ir


def aggregated(facts: Facts, traits: Mapping[str, ComputedTrait], now: datetime) -> ir.Table:
    """Wide rows: profile_id, first_seen, last_seen, events, and per trait `value_NAME`, `seq_NAME` (the event that
    contributed last; for `first` the event itself) and `others_NAME`."""
    rows = facts.table
    # A correction is made here: the person was not there.
    seen = rows.source != RECTIFICATION
    columns: dict[str, ir.Value] = {
        "first_seen": rows["at"].min(where=seen),
        "last_seen": rows["at"].max(where=seen),
        "events": rows.count(where=seen),
    }
    for name, trait in traits.items():
        value, counted = _input(facts, trait)
        columns[f"value_{name}"] = _AGGREGATES[trait.how](rows, value, counted, now)
        columns[f"seq_{name}"] = rows.seq.min(where=counted) if trait.how == "first" else rows.seq.max(where=counted)
        if trait.how in ("first", "last", "min", "max"):
            columns[f"others_{name}"] = value.nunique(where=counted) - 1
    return rows.group_by("profile_id").agg(**columns)


def _input(facts: Facts, trait: ComputedTrait) -> tuple[ir.Value, ir.BooleanValue]:
    """What is aggregated, and in which rows there is something to aggregate."""
    flag = facts.flag(trait)
    if trait.property_name is None:
        return facts.table["at"], flag
    if trait.property_name == TIME:
        value: ir.Value = facts.table["at"]
    else:
        text = nonblank(facts.property(trait.property_name))
        value = exact(text) if trait.how in ("sum", "average") else typed(text, trait.kind)
    return value, flag & value.notnull()


def _count(rows: ir.Table, value: ir.Value, counted: ir.BooleanValue, now: datetime) -> ir.Value:
    return rows.count(where=counted)


def _sum(rows: ir.Table, value: ir.Value, counted: ir.BooleanValue, now: datetime) -> ir.Value:
    return value.sum(where=counted).cast("float64")


def _average(rows: ir.Table, value: ir.Value, counted: ir.BooleanValue, now: datetime) -> ir.Value:
    return value.sum(where=counted).cast("float64") / rows.count(where=counted).nullif(0).cast("float64")


def _days_since(rows: ir.Table, value: ir.Value, counted: ir.BooleanValue, now: datetime) -> ir.Value:
    """Whole days of 24 hours up to now; 0 for what lies ahead of now."""
    import ibis

    last = value.max(where=counted).truncate("s").epoch_seconds().cast("int64")
    seconds = ibis.literal(int((now - datetime(1970, 1, 1)).total_seconds()), "int64") - last
    return (seconds < 0).ifelse(0, seconds // 86400).cast("int64")


_AGGREGATES: dict[str, Callable[[ir.Table, ir.Value, ir.BooleanValue, datetime], ir.Value]] = {
    "count": _count,
    "sum": _sum,
    "average": _average,
    "min": lambda rows, value, counted, now: value.min(where=counted),
    "max": lambda rows, value, counted, now: value.max(where=counted),
    "first": lambda rows, value, counted, now: value.argmin(rows.seq, where=counted),
    "last": lambda rows, value, counted, now: value.argmax(rows.seq, where=counted),
    "days_since": _days_since,
}
