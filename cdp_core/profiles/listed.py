"""Traits over the values of a property: most frequent, unique list, unique count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cdp_core.operators.values import nonblank, typed, written
from cdp_core.profiles.facts import Facts
from cdp_core.profiles.spec import TIME, ComputedTrait

if TYPE_CHECKING:
    import ibis.expr.types as ir

LISTED = ("most_frequent", "unique_list", "unique_count")
_DIGITS = 12


def value_counts(facts: Facts, traits: Mapping[str, ComputedTrait]) -> ir.Table | None:
    """Rows (profile_id, trait, value, times, last): how often each distinct value occurred, and in which event last."""
    import ibis

    parts: list[ir.Table] = []
    for name, trait in traits.items():
        rows = facts.table.filter(facts.flag(trait)).select(
            "profile_id", "seq", trait=ibis.literal(name, "string"), value=_value(facts, trait)
        )
        parts.append(rows.filter(rows.value.notnull()))
    if not parts:
        return None
    rows = ibis.union(*parts) if len(parts) > 1 else parts[0]
    return rows.group_by("profile_id", "trait", "value").agg(times=rows.count(), last=rows.seq.max())


def _value(facts: Facts, trait: ComputedTrait) -> ir.StringValue:
    if trait.property_name == TIME:
        return written(facts.table["at"])
    text = nonblank(facts.property(str(trait.property_name)))
    kind = trait.type or "string"
    return text if kind == "string" else written(typed(text, kind))


def most_frequent(counts: ir.Table, traits: Mapping[str, ComputedTrait]) -> ir.Table:
    """Rows (profile_id, trait, value, seq, others): the value that occurs most, ties to the first in the alphabet."""
    import ibis

    # One text that sorts first for the greatest count and then by the value, so that one aggregate finds both.
    rank = (10**_DIGITS - counts.times).cast("string").lpad(_DIGITS, "0") + counts.value
    ranked = counts.select("profile_id", "trait", "times", "last", rank=rank)
    best = ranked.group_by("profile_id", "trait").agg(
        rank=ranked["rank"].min(),
        seq=ranked["last"].argmin(ranked["rank"]),
        times=ranked.times.max(),
        others=ranked.count() - 1,
    )
    least = ibis.cases(*[(best.trait == name, t.at_least or 1) for name, t in traits.items()], else_=1)
    best = best.filter(best.times >= least)
    return best.select("profile_id", "trait", value=best["rank"].substr(_DIGITS), seq=best.seq, others=best.others)


def uniques(counts: ir.Table, traits: Mapping[str, ComputedTrait]) -> ir.Table:
    """Wide rows: profile_id, and per trait `value_NAME` (the sorted list, or how many) and `seq_NAME`."""
    columns: dict[str, ir.Value] = {}
    for name, trait in traits.items():
        mine = counts.trait == name
        if trait.how == "unique_list":
            columns[f"value_{name}"] = counts.value.collect(where=mine)
        else:
            columns[f"value_{name}"] = counts.count(where=mine)
        columns[f"seq_{name}"] = counts["last"].max(where=mine)
    wide = counts.group_by("profile_id").agg(**columns)
    lists = {f"value_{n}": _sorted(wide[f"value_{n}"]) for n, t in traits.items() if t.how == "unique_list"}
    return wide.mutate(**lists)


def _sorted(values: ir.ArrayValue) -> ir.ArrayValue:
    """Sorted by code point; an empty list is no list."""
    import ibis

    return ibis.ifelse(values.length() > 0, values.sort(), ibis.null(values.type()))
