"""Golden records: from events and their profiles to one row per person, with the origin of every value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from cdp_core.operators.values import TYPES, typed, written
from cdp_core.profiles.aggregates import aggregated
from cdp_core.profiles.consents import consents
from cdp_core.profiles.facts import Facts, gather
from cdp_core.profiles.listed import LISTED, most_frequent, uniques, value_counts
from cdp_core.profiles.picked import statements, winners
from cdp_core.profiles.rules import rule_words
from cdp_core.profiles.spec import ComputedTrait, PickedTrait, SqlTrait, TraitSpec, columns_of, kind_of_trait
from cdp_core.profiles.sqltraits import sql_trait

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine

_FIXED = ("profile_id", "first_seen", "last_seen", "events")
_ZERO = ("count", "unique_count")
"""Traits that are 0, not missing, when no event contributes."""


@dataclass(frozen=True)
class Built:
    """Scratch tables in the shape of the canonical ones. `unreadable`: trait → stated values that are not of the
    trait's type and were left out."""

    profiles: ir.Table
    profile_traits: ir.Table
    consents: ir.Table
    unreadable: dict[str, int] = field(default_factory=dict)


def build_profiles(
    engine: Engine,
    events: ir.Table,
    event_profiles: ir.Table,
    traits: Mapping[str, TraitSpec],
    *,
    now: datetime,
    source_order: Sequence[str] = (),
    named: Mapping[str, ir.Table] | None = None,
    desk: ir.Table | None = None,
) -> Built:
    """Compute profiles, profile_traits and consents.

    `now` (naive UTC) ends every window, which is half-open: (now - window, now]. Without a window every event that is
    given counts; for the past, hand in the events up to then. Columns stand in the order of `traits`; a unique_list
    is an array of texts. Counts are 0 and everything else is null when no event contributes. A stated value that is
    not of its trait's type is out of the running and counted in `unreadable`. `named` are kept tables that SQL traits
    shall read in place of published ones; `desk` is what people have said of
    consent at the desk. Raises SpecError when a SQL trait's query is wrong.

    >>> built = build_profiles(engine, engine.table("events"), engine.table("event_profiles"), traits,
    ...                        now=datetime(1998, 7, 1), source_order=["shop_orders", "crm_contacts"])  # doctest: +SKIP
    """
    facts = gather(engine, events, event_profiles, traits, now=now, source_order=source_order)
    plan = _Plan(traits)
    chosen, unreadable = _chosen(engine, facts, plan, source_order)
    wide = engine.keep(_wide(engine, facts, plan, chosen, now))
    origins = _origins(facts, plan, chosen, wide)
    profiles = engine.keep(wide.select(*_FIXED, **{n: wide[f"value_{n}"] for n in plan.not_sql}))
    if plan.sql:
        origins = engine.keep(origins)
        given = {"events": events, "event_profiles": event_profiles, **(named or {}), "profile_traits": origins}
        profiles = _with_sql(engine, profiles, plan, {n: _kept(engine, t) for n, t in given.items()})
        origins = _union([origins, *_sql_origins(profiles, plan)])
    columns = [c for name, trait in traits.items() for c in columns_of(name, trait)]
    return Built(
        profiles=engine.keep(profiles.select(*_FIXED, *columns)),
        profile_traits=engine.keep(origins),
        consents=consents(engine, events, event_profiles, source_order, desk),
        unreadable=unreadable,
    )


class _Plan:
    """The traits by the way in which they are computed."""

    def __init__(self, traits: Mapping[str, TraitSpec]) -> None:
        computed = {n: t for n, t in traits.items() if isinstance(t, ComputedTrait)}
        self.traits = traits
        self.not_sql = [n for n, t in traits.items() if not isinstance(t, SqlTrait)]
        self.sql = {n: t for n, t in traits.items() if isinstance(t, SqlTrait)}
        self.picked = {n: t for n, t in traits.items() if isinstance(t, PickedTrait)}
        self.listed = {n: t for n, t in computed.items() if t.how in LISTED}
        self.frequent = {n: t for n, t in self.listed.items() if t.how == "most_frequent"}
        self.unique = {n: t for n, t in self.listed.items() if t.how != "most_frequent"}
        self.simple = {n: t for n, t in computed.items() if t.how not in LISTED}


@dataclass(frozen=True)
class _Chosen:
    long: ir.Table | None
    """profile_id, trait, value, seq, others: one chosen value per profile and trait."""
    unique: ir.Table | None


def _chosen(engine: Engine, facts: Facts, plan: _Plan, source_order: Sequence[str]) -> tuple[_Chosen, dict[str, int]]:
    parts: list[ir.Table] = []
    stated, unreadable = statements(facts, plan.picked, source_order)
    if stated is not None:
        parts.append(winners(stated))
    counts = value_counts(facts, plan.listed)
    unique = None
    if counts is not None:
        counts = engine.keep(counts)
        if plan.frequent:
            names = list(plan.frequent)
            parts.append(most_frequent(counts.filter(counts.trait.isin(names)), plan.frequent))
        if plan.unique:
            unique = engine.keep(uniques(counts.filter(counts.trait.isin(list(plan.unique))), plan.unique))
    found = engine.polars(facts.table.aggregate(**unreadable)).row(0, named=True) if unreadable else {}
    return _Chosen(engine.keep(_union(parts)) if parts else None, unique), {n: int(v) for n, v in found.items()}


def _wide(engine: Engine, facts: Facts, plan: _Plan, chosen: _Chosen, now: datetime) -> ir.Table:
    """One row per profile: the fixed columns, value_NAME per trait that is not SQL, seq_NAME and others_NAME."""
    wide = aggregated(facts, plan.simple, now)
    if chosen.long is not None:
        long = chosen.long
        pivot = long.group_by("profile_id").agg(
            **{f"value_{n}": long.value.max(where=long.trait == n) for n in (*plan.picked, *plan.frequent)}
        )
        wide = wide.left_join(pivot, "profile_id").drop("profile_id_right")
    if chosen.unique is not None:
        wide = wide.left_join(chosen.unique, "profile_id").drop("profile_id_right")
    columns: dict[str, ir.Value] = {}
    for name in (*plan.picked, *plan.frequent):
        columns[f"value_{name}"] = typed(wide[f"value_{name}"], kind_of_trait(plan.traits[name]))
    for name, trait in {**plan.simple, **plan.unique}.items():
        if trait.how in _ZERO:
            columns[f"value_{name}"] = wide[f"value_{name}"].fill_null(0).cast(TYPES["integer"])
    return wide.mutate(**columns)


def _origins(facts: Facts, plan: _Plan, chosen: _Chosen, wide: ir.Table) -> ir.Table:
    """profile_traits of all traits that are not SQL."""
    import ibis

    parts = [chosen.long] if chosen.long is not None else []
    for name in (*plan.simple, *plan.unique):
        value = wide[f"value_{name}"]
        others = wide[f"others_{name}"] if f"others_{name}" in wide.columns else ibis.literal(0, "int64")
        rows = wide.select(
            "profile_id",
            trait=ibis.literal(name, "string"),
            value=written(value),
            seq=wide[f"seq_{name}"].cast("int64"),
            others=others.cast("int64"),
        )
        parts.append(rows.filter(rows.value.notnull()))
    if not parts:
        return _no_origins(wide)
    long = _union(parts)
    sources = facts.table.select("profile_id", "seq", "source", "message_id", updated_at=facts.table["at"])
    joined = long.left_join(sources, ["profile_id", "seq"])
    rules = [(joined.trait == n, rule_words(n, plan.traits[n])) for n in plan.not_sql]
    return joined.select(
        "profile_id",
        "trait",
        "value",
        "source",
        "message_id",
        "updated_at",
        rule=ibis.cases(*rules),
        candidates=joined.others,
    )


def _no_origins(wide: ir.Table) -> ir.Table:
    import ibis

    text = ibis.null("string")
    return wide.select(
        "profile_id",
        trait=text,
        value=text,
        source=text,
        message_id=text,
        updated_at=wide.first_seen,
        rule=text,
        candidates=ibis.literal(0, "int64"),
    ).filter(ibis.literal(False))


def _with_sql(engine: Engine, profiles: ir.Table, plan: _Plan, named: Mapping[str, ir.Table]) -> ir.Table:
    for name, trait in plan.sql.items():
        rows = sql_trait(engine, name, trait, {**named, "profiles": profiles})
        profiles = engine.keep(profiles.left_join(rows, "profile_id").drop("profile_id_right"))
    return profiles


def _sql_origins(profiles: ir.Table, plan: _Plan) -> Iterator[ir.Table]:
    import ibis

    text = ibis.null("string")
    for name, trait in plan.sql.items():
        for column in columns_of(name, trait):
            rows = profiles.select(
                "profile_id",
                trait=ibis.literal(column, "string"),
                value=written(profiles[column]),
                source=text,
                message_id=text,
                updated_at=ibis.null(profiles.first_seen.type()),
                rule=ibis.literal("sql", "string"),
                candidates=ibis.literal(0, "int64"),
            )
            yield rows.filter(rows.value.notnull())


def _kept(engine: Engine, table: ir.Table) -> ir.Table:
    """A table with a name that a query can use."""
    import ibis.expr.operations as ops

    return table if isinstance(table.op(), ops.DatabaseTable) else engine.keep(table)


def _union(parts: Sequence[ir.Table]) -> ir.Table:
    import ibis

    return ibis.union(*parts) if len(parts) > 1 else parts[0]
