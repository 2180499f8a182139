"""Survivorship: of all that the sources state about a trait, one value is chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cdp_core.operators.values import typed, written
from cdp_core.profiles.facts import Facts, source_rank
from cdp_core.profiles.spec import PickedTrait

if TYPE_CHECKING:
    import ibis.expr.types as ir

STEP = 2**40
"""Scores are a number times STEP plus `seq`, so that equals are decided by the later event."""


def statements(
    facts: Facts, traits: Mapping[str, PickedTrait], source_order: Sequence[str]
) -> tuple[ir.Table | None, dict[str, ir.IntegerScalar]]:
    """Rows (profile_id, trait, value, seq, score, by_count) of everything stated, with the values in one writing;
    and per trait with a type the number of values that are not of that type, which are left out."""
    import ibis

    parts: list[ir.Table] = []
    unreadable: dict[str, ir.IntegerScalar] = {}
    for name, trait in traits.items():
        text = facts.trait(trait, name)
        value = typed(text, trait.type)
        if trait.type != "string":
            unreadable[name] = (text.notnull() & value.isnull()).sum().fill_null(0)
            value = written(value)
        rows = facts.table.select("profile_id", "seq", "source", value=value)
        rows = rows.filter(rows.value.notnull())
        if trait.sources:
            rows = rows.filter(rows.source.isin(trait.sources))
        parts.append(
            rows.select(
                "profile_id",
                trait=ibis.literal(name, "string"),
                value=rows.value,
                seq=rows.seq,
                score=_weight(rows, trait, source_order) * STEP + rows.seq,
                by_count=ibis.literal(trait.pick == "most_frequent"),
            )
        )
    return (ibis.union(*parts) if len(parts) > 1 else parts[0] if parts else None), unreadable


def _weight(rows: ir.Table, trait: PickedTrait, source_order: Sequence[str]) -> ir.IntegerValue:
    import ibis

    if trait.pick == "source_order":
        return source_rank(rows.source, trait.sources or source_order)
    if trait.pick == "longest":
        return rows.value.length().cast("int64")
    return ibis.literal(0, "int64")


def winners(stated: ir.Table) -> ir.Table:
    """One row per profile and trait: value, seq (of the event that won) and others (distinct losing values)."""
    values = stated.group_by("profile_id", "trait", "value").agg(
        times=stated.count(), last=stated.seq.max(), score=stated.score.max(), by_count=stated.by_count.max()
    )
    score = values.by_count.ifelse(values.times * STEP + values.last, values.score)
    values = values.select("profile_id", "trait", "value", "last", score=score)
    return values.group_by("profile_id", "trait").agg(
        value=values.value.argmax(values.score),
        # The score's remainder is the event that gave it: of equal values the one that decided.
        seq=values.score.max() % STEP,
        others=values.count() - 1,
    )
