"""From components to profiles: final where no rule is broken, by the exact policy where one is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from cdp_core.identity.identifiers import Known, Seen
from cdp_core.identity.policy import Rules, Settled, settle
from cdp_core.identity.spec import IdentitySpec

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine

_WHOLE = ("node", "profile", "count", "limit", "events")
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
    node that a combination of identifiers lost, with its first event and how many events carry the combination.
    `violating` is the number of components that broke a rule.
    """

    nodes: ir.Table
    tuples: ir.Table
    demoted: pl.DataFrame
    violating: int


def assign(engine: Engine, seen: Seen, known: Known, found: ir.Table, spec: IdentitySpec) -> Members:
    """Profiles from `found` (node, component), limits kept."""
    broken = engine.keep(_broken_components(engine, known, found, spec))
    violating = engine.polars(broken.count().name("n").as_table()).item()
    nodes = found.select("node", profile="component")
    demoted = pl.DataFrame(schema=_DEMOTED)
    if violating:
        order = _in_order(engine, seen, known, found.semi_join(broken, "component"))
        settled = settle(order["nodes"].to_list(), _rules(known.frame, order, spec))
        holders, demoted = _outcome(settled, order)
        nodes = found.anti_join(broken, "component").select("node", profile="component")
        nodes = engine.keep(nodes.union(engine.frame(holders)))
    first = known.members.group_by("tuple").agg(node=known.members.node.min())
    tuples = engine.keep(first.join(nodes, "node").select("tuple", "profile"))
    return Members(nodes=nodes, tuples=tuples, demoted=demoted, violating=violating)


def _broken_components(engine: Engine, known: Known, found: ir.Table, spec: IdentitySpec) -> ir.Table:
    limits = {t: spec.limit(t) for t in known.frame["type"].unique()}
    allowed = engine.frame(pl.DataFrame({"type": list(limits), "allowed": list(limits.values())}, _LIMITS))
    named = found.join(known.nodes.select("node", "type"), "node")
    counted = named.group_by(["component", "type"]).agg(held=named.count()).join(allowed, "type")
    whole = counted.group_by("component").agg(
        over=(counted.held > counted.allowed).cast("int64").max(), size=counted.held.sum()
    )
    most = min(spec.max_mappings, spec.max_merges + 1)
    return whole.filter((whole.over > 0) | (whole.size > most)).select("component")


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


def _rules(frame: pl.DataFrame, order: pl.DataFrame, spec: IdentitySpec) -> Rules:
    used = frame.join(order.select(pl.col("nodes").explode().unique().alias("node")), on="node", how="semi")
    names = sorted(used["type"].unique())
    number = {name: i for i, name in enumerate(names)}
    kinds = dict(zip(used["node"], used["type"].replace_strict(number, return_dtype=pl.Int64), strict=True))
    limits = [spec.limit(name) for name in names]
    return Rules(kinds, limits, names, max_merges=spec.max_merges, max_mappings=spec.max_mappings)


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
    firsts = combinations.list.first().gather(frame["combination"])
    profiles = [profile_of[settled.holder[node]] for node in firsts]
    candidates = [[profile_of[p] for p in d.profiles] for d in settled.demotions]
    return frame.with_columns(
        pl.Series("profile", profiles, dtype=pl.Int64), pl.Series("candidates", candidates, dtype=pl.List(pl.Int64))
    )
