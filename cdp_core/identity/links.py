"""The evidence: which identifiers were seen together, by which source, how often."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from cdp_core.identity.identifiers import Known, Seen
from cdp_core.identity.overrides import ALWAYS, MATCH, Override
from cdp_core.tables import IDENTITY_LINKS

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine

SOURCE = "overrides"
_KEY = ["left", "right", "source", "rule"]
PAIR = ["left_type", "left_value", "right_type", "right_value"]
FACT = list(IDENTITY_LINKS.key)
LINK = list(IDENTITY_LINKS.columns)


def evidence(engine: Engine, seen: Seen, known: Known) -> ir.Table:
    """Links between nodes: left, right, source, rule, first_seen, last_seen, events.

    A tuple says that its identifiers belong together; it is written as a star around the one of highest priority
    (left). A derived identifier hangs on the one it comes from. rule: same_event, alias, derived.
    """
    seen_together = stated(known).join(seen.uses, "tuple")
    return engine.keep(
        seen_together.group_by(_KEY).agg(
            first_seen=seen_together.first_seen.min(),
            last_seen=seen_together.last_seen.max(),
            events=seen_together.events.sum().cast("int64"),
        )
    )


def stated(known: Known) -> ir.Table:
    """What each tuple says: tuple, left, right (nodes), rule; see `evidence`."""
    import ibis

    own = known.members.filter(~known.members.derived)
    centre = own.group_by("tuple").agg(left=own.node.min())
    star = own.join(centre, "tuple").filter(lambda t: t.node != t.left)
    rule = star.by_alias.ifelse(ibis.literal("alias"), ibis.literal("same_event"))
    pairs = star.select("tuple", "left", right="node", rule=rule)
    legs = known.nodes.filter(known.nodes.parent.notnull()).select(child="node", node="parent")
    derived = own.join(legs, "node").select("tuple", left="node", right="child", rule=ibis.literal("derived"))
    return pairs.union(derived)


def named_links(links: ir.Table, known: Known) -> ir.Table:
    """The same in the shape of tables.IDENTITY_LINKS."""
    left = known.nodes.select(left="node", left_type="type", left_value="value")
    right = known.nodes.select(right="node", right_type="type", right_value="value")
    return links.join(left, "left").join(right, "right").select(LINK)


def as_identity_links(engine: Engine, links: ir.Table, known: Known, overrides: Sequence[Override]) -> ir.Table:
    """The evidence in the shape of tables.IDENTITY_LINKS, with what people have joined as the source `overrides`, and
    what matching has as `matching`.
    """
    shown = named_links(links, known)
    names = {ALWAYS: SOURCE, MATCH: "matching"}
    said = [(*o.left, *o.right, names[o.action], o.action, o.at, o.at, 1) for o in overrides if o.action in names]
    if not said:
        return engine.keep(shown)
    decided = pl.DataFrame(said, schema=IDENTITY_LINKS.polars_schema(), orient="row")
    return engine.keep(shown.union(engine.frame(decided)))
