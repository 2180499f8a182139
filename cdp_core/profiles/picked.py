"""Survivorship: of all that the sources state about a trait, one value is chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cdp_core.operators.values import typed, written
from cdp_core.profiles.facts import Facts, source_rank
from cdp_core.profiles.spec import PickedTrait
from cdp_core.tables import RECTIFICATION

if TYPE_CHECKING:
    import ibis.expr.types as ir

STEP = 2**40
"""Scores are a number times STEP plus `seq`, so that equals are decided by the later event."""
_CORRECTED = 2**62
"""More than any score, and a whole number of STEPs: what a person has had corrected stands above all sources."""
_NONE = ""
"""What a correction states where there shall be no value; no source can, since blanks are not statements."""


def statements(
    facts: Facts, traits: Mapping[str, PickedTrait], source_order: Sequence[str]
) -> tuple[ir.Table | None, dict[str, ir.IntegerScalar]]:
    """Rows (profile_id, trait, value, seq, score, by_count) of everything stated, with the values in one writing;
    and per trait with a type the number of values that are not of that type, which are left out. A correction counts
    whatever the trait's sources and rule are."""
    import ibis

    parts: list[ir.Table] = []
    unreadable: dict[str, ir.IntegerScalar] = {}
    for name, trait in traits.items():
        text = facts.trait(trait, name)
        value = typed(text, trait.type)
        if trait.type != "string":
            unreadable[name] = (text.notnull() & value.isnull()).sum().fill_null(0)
            value = written(value)
        corrected = facts.table.source == RECTIFICATION
        emptied = corrected & (facts.raw(trait, name) == _NONE)
        value = emptied.ifelse(ibis.literal(_NONE, "string"), value)
        rows = facts.table.select("profile_id", "seq", "source", value=value, corrected=corrected)
        rows = rows.filter(rows.value.notnull())
        if trait.sources:
            rows = rows.filter(rows.source.isin(trait.sources) | rows.corrected)
        parts.append(
            rows.select(
                "profile_id",
                trait=ibis.literal(name, "string"),
                value=rows.value,
                seq=rows.seq,
                score=rows.corrected.ifelse(_CORRECTED, _weight(rows, trait, source_order) * STEP) + rows.seq,
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
    """One row per profile and trait that has a value: value, seq (of the event that won) and others (distinct losing
    values).
    """
    values = stated.group_by("profile_id", "trait", "value").agg(
        times=stated.count(), last=stated.seq.max(), score=stated.score.max(), by_count=stated.by_count.max()
    )
    counted = values.by_count & (values.score < _CORRECTED)
    score = counted.ifelse(values.times * STEP + values.last, values.score)
    values = values.select("profile_id", "trait", "value", "last", score=score)
    found = values.group_by("profile_id", "trait").agg(
        value=values.value.argmax(values.score),
        # The score's remainder is the event that gave it: of equal values the one that decided.
        seq=values.score.max() % STEP,
        others=values.count(where=values.value != _NONE) - 1,
    )
    return found.filter(found.value != _NONE)
