"""From components to profiles: final where no rule is broken, by the exact policy where one is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from cdp_core.identity.bridges import RULE as BRIDGE
from cdp_core.identity.constraints import Constraints
from cdp_core.identity.identifiers import Known, Seen
from cdp_core.identity.policy import Settled, settle
from cdp_core.identity.spec import DAYS, IdentitySpec
from cdp_core.identity.totals import Rules

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine

_WHOLE = ("node", "profile", "count", "limit", "events", "left", "right")
_DEMOTED = pl.Schema(
    [
        *((name, pl.Int64()) for name in _WHOLE),
        *((name, pl.String()) for name in ("rule", "source", "message_id")),
        ("candidates", pl.List(pl.Int64)),
        ("at", pl.Datetime("us")),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Members:
    """Profiles by number: the smallest node they hold.

    `nodes`: node, profile (nodes that no profile kept are missing). `tuples`: tuple, profile. `demoted`: one row per
    node that a combination of identifiers lost, with its first event, how many events carry the combination, and the
    two nodes (left, right) that would have to be linked to undo it.
    `violating` is the number of components that broke a rule.
    """

    nodes: ir.Table
    tuples: ir.Table
    demoted: pl.DataFrame
    violating: int


def assign(engine: Engine, seen: Seen, known: Known, found: ir.Table, spec: IdentitySpec, told: Constraints) -> Members:
    """Profiles from `found` (node, component), rules kept; `told` is what people have decided."""
    first = _first_seen(engine, seen, known, spec)
    broken = engine.keep(_broken_components(engine, known, found, first, spec, told))
    violating = engine.polars(broken.count().name("n").as_table()).item()
    nodes = found.select("node", profile="component")
    demoted = pl.DataFrame(schema=_DEMOTED)
    if violating:
        concerned = engine.keep(found.semi_join(broken, "component"))
        order = _with_matches(_in_order(engine, seen, known, concerned), told, engine.polars(concerned.select("node")))
        within = engine.polars(concerned.select("node"))["node"]
        rules = _rules(engine, known.frame, within, first, spec, told)
        seeds = [group for group in told.groups() if group[0] in rules.kinds]
        settled = settle(order["nodes"].to_list(), rules, seeds=seeds)
        holders, demoted = _outcome(settled, order)
        nodes = found.anti_join(broken, "component").select("node", profile="component")
        nodes = engine.keep(nodes.union(engine.frame(holders)))
    top = known.members.group_by("tuple").agg(node=known.members.node.min())
    tuples = engine.keep(top.join(nodes, "node").select("tuple", "profile"))
    return Members(nodes=nodes, tuples=tuples, demoted=demoted, violating=violating)


def _first_seen(engine: Engine, seen: Seen, known: Known, spec: IdentitySpec) -> ir.Table | None:
    """node, first_seen of the types that are counted within a window; None when there are none."""
    import ibis

    counted = [t for t in known.frame["type"].unique() if spec.window(t) != "ever"]
    if not counted:
        return None
    nodes = known.nodes.filter(known.nodes.type.isin(counted)).select("node")
    said = known.members.semi_join(nodes, "node").select("tuple", "node").join(seen.uses, "tuple")
    early = ibis.coalesce(said.first_seen.min(), ibis.timestamp("1970-01-01"))
    return engine.keep(said.group_by("node").agg(first_seen=early))


def _broken_components(
    engine: Engine,
    known: Known,
    found: ir.Table,
    first: ir.Table | None,
    spec: IdentitySpec,
    told: Constraints,
) -> ir.Table:
    """Components (column component) in which some rule would be broken if all of it were one profile."""
    named = found.join(known.nodes.select("node", "type"), "node")
    uncounted = told.uncounted(known.frame)
    counted = named.filter(~named.node.isin(sorted(uncounted))) if uncounted else named
    sizes = named.group_by("component").agg(size=named.count())
    parts = [sizes.filter(sizes.size > spec.safe_size()).select("component"), _over_limit(engine, known, counted, spec)]
    if first is not None:
        parts.append(_over_window(counted.join(first, "node"), known, spec))
    if told.apart.height:
        pairs = engine.frame(told.apart.select("left", "right"))
        left = pairs.join(found.select(left="node", component="component"), "left")
        both = left.join(found.select(right="node", other="component"), "right")
        parts.append(both.filter(both.component == both.other).select("component"))
    if spec.hold.user_ids and spec.rules("user_id"):
        users = counted.filter(counted.type == "user_id").group_by("component").agg(held=lambda t: t.count())
        parts.append(users.filter(users.held > 1).select("component"))
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.union(part)
    return whole.distinct()


def _over_limit(engine: Engine, known: Known, counted: ir.Table, spec: IdentitySpec) -> ir.Table:
    limits = {t: spec.limit(t) for t in known.frame["type"].unique() if spec.window(t) == "ever"}
    allowed = engine.frame(pl.DataFrame({"type": list(limits), "allowed": list(limits.values())}, _LIMITS))
    held = counted.group_by(["component", "type"]).agg(held=counted.count()).join(allowed, "type")
    return held.filter(held.held > held.allowed).select("component").distinct()


def _over_window(seen: ir.Table, known: Known, spec: IdentitySpec) -> ir.Table:
    """Where more values of a type than allowed were first seen within its window; `seen` has first_seen."""
    import ibis

    parts = []
    for type_ in known.frame["type"].unique().sort():
        window = spec.window(type_)
        if window == "ever":
            continue
        in_time = ibis.window(group_by="component", order_by=["first_seen", "node"])
        own = seen.filter(seen.type == type_)
        own = own.select("component", "first_seen", early=own.first_seen.lag(spec.limit(type_)).over(in_time))
        parts.append(own.filter(own.first_seen < own.early + ibis.interval(days=DAYS[window])).select("component"))
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.union(part)
    return whole


_LIMITS = pl.Schema({"type": pl.String, "allowed": pl.Int64})


def _in_order(engine: Engine, seen: Seen, known: Known, nodes: ir.Table) -> pl.DataFrame:
    """Distinct combinations of nodes in the order of their first events: nodes, source, message_id, at, events."""
    import ibis

    members = known.members.semi_join(nodes, "node").select("tuple", "node")
    touched = engine.keep(members.select("tuple").distinct())
    events = seen.events.semi_join(touched, "tuple")
    in_time = ibis.window(group_by="tuple", order_by=[events.at, events.source, events.message_id])
    placed = events.mutate(place=ibis.row_number().over(in_time), events=ibis._.count().over(group_by="tuple"))
    first = engine.polars(placed.filter(placed.place == 0).drop("place"))
    combined = engine.polars(members).sort("tuple", "node").group_by("tuple").agg(nodes="node")
    order = ["at", "source", "message_id"]
    joined = combined.join(first, on="tuple").sort(order, nulls_last=True)
    firsts = [pl.col(c).first() for c in order]
    return joined.group_by("nodes", maintain_order=True).agg(*firsts, pl.col("events").sum().cast(pl.Int64))


def _with_matches(order: pl.DataFrame, told: Constraints, within: pl.DataFrame) -> pl.DataFrame:
    """What matching found comes after all events: it may be held back by them, and never holds one back."""
    pairs = told.among(within["node"]).matched.sort("left", "right")
    rows = pairs.select(
        nodes=pl.concat_list(pl.min_horizontal("left", "right"), pl.max_horizontal("left", "right")),
        at=pl.lit(None, pl.Datetime("us")),
        source=pl.lit("matching"),
        message_id=pl.format("{}-{}", "left", "right"),
        events=pl.lit(1, pl.Int64),
    )
    return pl.concat([order, rows.select(order.columns).cast(dict(order.schema))])  # type: ignore[arg-type]


def _rules(
    engine: Engine,
    frame: pl.DataFrame,
    within: pl.Series,
    first: ir.Table | None,
    spec: IdentitySpec,
    told: Constraints,
) -> Rules:
    used = frame.filter(pl.col("node").is_in(within.implode()))
    names = sorted(used["type"].unique())
    number = {name: i for i, name in enumerate(names)}
    kinds = dict(zip(used["node"], used["type"].replace_strict(number, return_dtype=pl.Int64), strict=True))
    times = pl.DataFrame(schema={"node": pl.Int64, "first_seen": pl.Datetime("us")})
    if first is not None:
        times = engine.polars(first.select("node", "first_seen")).join(used, on="node", how="semi")
    return Rules(
        kinds=kinds,
        limits=[spec.limit(name) for name in names],
        names=names,
        max_merges=spec.max_merges,
        max_mappings=spec.max_mappings,
        windows={number[n]: DAYS[w] * _DAY for n in names if (w := spec.window(n)) != "ever"},
        first=dict(times.select("node", pl.col("first_seen").cast(pl.Int64)).iter_rows()),
        uncounted=told.uncounted(frame),
        sides=told.sides(),
        apart=told.apart["rule"].to_list(),
        users=number.get("user_id") if spec.hold.user_ids else None,
        hold_size=spec.hold.size,
    )


_DAY = 24 * 60 * 60 * 1_000_000


def _outcome(settled: Settled, order: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Holders (node, profile) and demotions, with profiles called by their smallest node."""
    roots = [settled.root(p) for p in range(len(settled.parents))]
    held = pl.DataFrame({"node": settled.holder.keys(), "root": [roots[p] for p in settled.holder.values()]}, _HELD)
    names = held.group_by("root").agg(profile=pl.col("node").min())
    holders = held.join(names, on="root").select("node", "profile")
    name = dict(names.select("root", "profile").iter_rows())
    lost = _lost(settled, order["nodes"], {p: name[root] for p, root in enumerate(roots)})
    rows = order.with_row_index("combination").with_columns(pl.col("combination").cast(pl.Int64))
    joined = lost.join(rows, on="combination", maintain_order="left")
    nodes = pl.col("nodes").list.slice(pl.col("kept"))
    return holders, joined.with_columns(node=nodes).explode("node").select(_DEMOTED.names()).cast(_DEMOTED)


_HELD = pl.Schema({"node": pl.Int64, "root": pl.Int64})


def _lost(settled: Settled, combinations: pl.Series, profile_of: dict[int, int]) -> pl.DataFrame:
    schema = {"combination": pl.Int64, "kept": pl.Int64, "rule": pl.String, "count": pl.Int64, "limit": pl.Int64}
    rows = [(d.combination, d.kept, d.rule, d.count, d.limit) for d in settled.demotions]
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    nodes = combinations.gather(frame["combination"]).to_list()
    profiles = [profile_of[settled.holder[combination[0]]] for combination in nodes]
    candidates = [tuple(profile_of[p] for p in d.profiles) for d in settled.demotions]
    ends = [
        _ends(d.rule, combination, d.kept, profile, others)
        for d, combination, profile, others in zip(settled.demotions, nodes, profiles, candidates, strict=True)
    ]
    return frame.with_columns(
        _lists(candidates).alias("candidates"),
        pl.Series("profile", profiles, dtype=pl.Int64),
        pl.Series("left", [left for left, _ in ends], dtype=pl.Int64),
        pl.Series("right", [right for _, right in ends], dtype=pl.Int64),
    )


def _lists(rows: list[tuple[int, ...]]) -> pl.Series:
    """A column of lists, built in one piece: Polars takes them one by one otherwise."""
    import numpy as np
    import pyarrow as pa

    ends = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    flat = pa.array([value for row in rows for value in row], type=pa.int64())
    return pl.Series(pl.from_arrow(pa.LargeListArray.from_arrays(pa.array(ends), flat)))


def _ends(rule: str, nodes: list[int], kept: int, profile: int, candidates: Sequence[int]) -> tuple[int, int]:
    """A profile is called by its first identifier, so two profiles are linked by theirs; a bridge by its own ends."""
    other = next((c for c in candidates if c != profile), None)
    if rule == BRIDGE or other is None:
        return nodes[0], nodes[kept]
    return profile, other
