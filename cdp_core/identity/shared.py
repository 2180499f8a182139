"""Identifiers that too many people use: a family's or a shop's e-mail, the device in the library."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from cdp_core.identity.identifiers import Known, Seen
from cdp_core.identity.spec import IdentitySpec

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine

_SHARED = pl.Schema({"node": pl.Int64, "user_ids": pl.Int64})


def shared_identifiers(engine: Engine, known: Known, spec: IdentitySpec) -> pl.DataFrame:
    """Identifiers seen with more than `spec.shared` user_ids: node, user_ids.

    Counted over all events, so that neither their order nor the day of the run matters. The digest of a shared e-mail
    is shared with it.
    """
    none = pl.DataFrame(schema=_SHARED)
    if spec.shared is None or spec.rules("user_id") is None:
        return none
    types = known.nodes.select("node", "type")
    said = known.members.filter(~known.members.derived).select("tuple", "node").join(types, "node")
    users = said.filter(said.type == "user_id").select("tuple", user="node")
    others = said.filter(said.type != "user_id").select("tuple", "node")
    together = others.join(users, "tuple").select("node", "user").distinct()
    counted = together.group_by("node").agg(user_ids=together.count().cast("int64"))
    found = engine.polars(counted.filter(counted.user_ids > spec.shared))
    if found.is_empty():
        return none
    legs = known.frame.filter(pl.col("parent").is_not_null()).select("node", "parent")
    children = legs.join(found, left_on="parent", right_on="node").select("node", "user_ids")
    return pl.concat([found, children]).group_by("node").agg(pl.col("user_ids").max()).sort("node").cast(_SHARED)


def set_aside(engine: Engine, known: Known, shared: pl.DataFrame) -> Known:
    """The same without `shared` identifiers joining anybody: an event that has no other one keeps its first, alone."""
    nodes = engine.frame(shared.select("node"))
    members = known.members
    kept = members.anti_join(nodes, "node")
    bare = members.anti_join(kept.select("tuple").distinct(), "tuple")
    lone = bare.group_by("tuple").agg(node=bare.node.min()).mutate(by_alias=False, derived=False)
    lone = lone.select(members.columns)
    return replace(known, members=engine.keep(kept.union(lone)), nodes=_without_legs(known.nodes, nodes))


def _without_legs(nodes: ir.Table, shared: ir.Table) -> ir.Table:
    """A digest no longer hangs on the shared identifier that it was computed from."""
    import ibis

    marked = nodes.left_join(shared.select(shared_node="node"), [("node", "shared_node")])
    parent = marked.shared_node.isnull().ifelse(marked.parent, ibis.null("int64"))
    return marked.select("node", "type", "value", parent=parent)


def shared_rows(engine: Engine, seen: Seen, known: Known, shared: pl.DataFrame) -> pl.DataFrame:
    """What to list about them: type, value, at, source (null: several), user_ids, events."""
    said = known.members.join(engine.frame(shared), "node").join(seen.uses, "tuple")
    said = said.group_by(["node", "user_ids"]).agg(
        at=said.first_seen.min(),
        events=said.events.sum().cast("int64"),
        first_source=said.source.min(),
        last_source=said.source.max(),
    )
    rows = engine.polars(said).join(known.frame.select("node", "type", "value"), on="node")
    one = pl.when(pl.col("first_source") == pl.col("last_source")).then("first_source")
    return rows.with_columns(source=one).sort("type", "value")
