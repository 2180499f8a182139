"""The slim table that all traits are computed from: one scan of the events, every JSON field read once."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from cdp_core.operators import as_operators, matches, span
from cdp_core.operators.compile import time_literal
from cdp_core.operators.values import nonblank
from cdp_core.profiles.spec import TIME, ComputedTrait, PickedTrait, TraitSpec

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine

IDENTIFY = "identify"


@dataclass
class Facts:
    """`table` has profile_id, seq, source, message_id, at, and the columns that the methods name.

    `seq` numbers a profile's events from the oldest: by time, arrival, the source's rank (of two equals the source
    that stands first in cdp.yaml is the later one), source and message id. It does not depend on the load order.
    """

    table: ir.Table
    stated: dict[str, str] = field(default_factory=dict)
    read: dict[str, str] = field(default_factory=dict)
    flags: dict[str, str] = field(default_factory=dict)

    def trait(self, trait: PickedTrait, name: str) -> ir.StringValue:
        """What an identify event states for the trait; null when it states nothing or a blank."""
        return nonblank(self.raw(trait, name))

    def raw(self, trait: PickedTrait, name: str) -> ir.StringValue:
        """The same as it was stated, a blank too."""
        return self.table[self.stated[trait.from_ or name]]

    def property(self, name: str) -> ir.StringValue:
        return self.table[self.read[name]]

    def flag(self, trait: ComputedTrait) -> ir.BooleanValue:
        """Whether the event counts for the trait: name, conditions and window hold."""
        return self.table[self.flags[_condition(trait)]]


def gather(
    engine: Engine,
    events: ir.Table,
    event_profiles: ir.Table,
    traits: Mapping[str, TraitSpec],
    *,
    now: datetime,
    source_order: Sequence[str],
) -> Facts:
    """Join events with their profiles and keep what the traits need."""
    computed = [t for t in traits.values() if isinstance(t, ComputedTrait)]
    keys = {t.from_ or name: None for name, t in traits.items() if isinstance(t, PickedTrait)}
    stated = {key: f"stated_{i}" for i, key in enumerate(keys)}
    read = {name: f"read_{i}" for i, name in enumerate(_properties(computed))}
    flags = {condition: f"flag_{i}" for i, condition in enumerate({_condition(t): None for t in computed})}
    slim = _slim(engine, events, event_profiles, computed, stated, read, source_order)
    by_condition = {_condition(t): t for t in computed}
    numbered = slim.mutate(
        **{flags[c]: _holds(slim, trait, read, now) for c, trait in by_condition.items()},
    )
    return Facts(engine.keep(numbered.drop("event", "order_at", "order_received", "order_rank")), stated, read, flags)


def _slim(
    engine: Engine,
    events: ir.Table,
    event_profiles: ir.Table,
    computed: Sequence[ComputedTrait],
    stated: Mapping[str, str],
    read: Mapping[str, str],
    source_order: Sequence[str],
) -> ir.Table:
    import ibis

    links = event_profiles.select("source", "message_id", "profile_id")
    joined = links.inner_join(events, ["source", "message_id"])
    at = joined.timestamp.coalesce(joined.received_at)
    oldest = time_literal(datetime(1, 1, 1))
    columns = {
        **{c: _when(joined.type == IDENTIFY, engine.json_text(joined.traits, k)) for k, c in stated.items()},
        **{
            c: _when(joined.event.isin(_readers(computed, k)), engine.json_text(joined.properties, k))
            for k, c in read.items()
        },
    }
    slim = joined.select(
        "profile_id",
        "source",
        "message_id",
        "event",
        at=at,
        order_at=at.coalesce(oldest),
        order_received=joined.received_at.coalesce(oldest),
        order_rank=source_rank(joined.source, source_order),
        order_run=joined.run_id.coalesce(""),
        **columns,
    )
    # Of two versions of a row with one time, the one loaded later counts: run ids sort by time.
    order = [slim.order_at, slim.order_received, slim.order_rank, slim.source, slim.order_run, slim.message_id]
    number = ibis.row_number().over(group_by=slim.profile_id, order_by=order)
    # Ibis takes it for 64 bits wide, Spark makes it 32; scores need the room.
    return slim.mutate(seq=number.cast("int32").cast("int64") + 1)


def source_rank(source: ir.StringValue, order: Sequence[str]) -> ir.IntegerValue:
    """The higher, the earlier the source stands in `order`; 0 for sources that do not stand there."""
    import ibis

    pairs = [(source == name, len(order) - i) for i, name in enumerate(order)]
    return ibis.cases(*pairs, else_=0).cast("int64") if pairs else ibis.literal(0, "int64")


def _holds(slim: ir.Table, trait: ComputedTrait, read: Mapping[str, str], now: datetime) -> ir.BooleanValue:
    parts = [(slim.event == trait.event).fill_null(False)]
    if trait.window:
        start = time_literal(now - span(trait.window))
        parts.append(((slim["at"] > start) & (slim["at"] <= time_literal(now))).fill_null(False))
    for name, written in trait.where.items():
        value = slim["at"] if name == TIME else slim[read[name]]
        parts.append(matches(value, as_operators(written), now=now, is_property=name != TIME))
    return functools.reduce(operator.and_, parts)


def _properties(computed: Sequence[ComputedTrait]) -> list[str]:
    names = {name: None for t in computed for name in (*t.where, t.property_name or TIME)}
    return [name for name in names if name != TIME]


def _readers(computed: Sequence[ComputedTrait], name: str) -> list[str]:
    return sorted({t.event for t in computed if name in t.where or t.property_name == name})


def _condition(trait: ComputedTrait) -> str:
    where = {name: as_operators(w).given() for name, w in trait.where.items()}
    return repr((trait.event, trait.window, where))


def _when(condition: ir.BooleanValue, value: ir.Value) -> ir.Value:
    import ibis

    return ibis.ifelse(condition, value, ibis.null(value.type()))
