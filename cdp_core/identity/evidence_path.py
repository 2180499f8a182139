"""The shortest chain of evidence between two identifiers, looked for from one of them, level by level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine

Identifier = tuple[str, str]
MAX_STEPS = 200
MAX_NODES = 50_000
"""Beyond this many identifiers a search ends: what ties two people over a crowd ties nobody."""
_ENDS = ("left_type", "left_value", "right_type", "right_value")


@dataclass(frozen=True)
class Link:
    """Two identifiers seen together, and the rows of tables.IDENTITY_LINKS that say so."""

    left: Identifier
    right: Identifier
    evidence: tuple[dict[str, Any], ...]


def chain(engine: Engine, left: Identifier, right: Identifier, *, profile_id: str | None = None) -> list[Link]:
    """The links from `left` to `right`, fewest steps first, then those that most events state; [] when there are none.

    With `profile_id` only links within that profile count.
    """
    links = engine.table("identity_links")
    if profile_id is not None:
        links = _within(engine, links, profile_id)
    came: dict[Identifier, Link | None] = {left: None}
    frontier = [left]
    for _ in range(MAX_STEPS):
        if right in came or not frontier or len(came) > MAX_NODES:
            break
        frontier = _step(engine, links, frontier, came)
    return _way_back(came, right)


def _within(engine: Engine, links: ir.Table, profile_id: str) -> ir.Table:
    known = engine.table("user_identifiers")
    own = known.filter(known.profile_id == profile_id)
    left, right = (own.select(**{f"{side}_type": own.type, f"{side}_value": own.value}) for side in ("left", "right"))
    both = links.semi_join(left, ["left_type", "left_value"]).semi_join(right, ["right_type", "right_value"])
    return engine.keep(both)


def _step(
    engine: Engine, links: ir.Table, frontier: list[Identifier], came: dict[Identifier, Link | None]
) -> list[Identifier]:
    """Note in `came` how each new neighbour is reached; gives the new ones."""
    nodes = engine.frame(pl.DataFrame(frontier, schema={"type": pl.String, "value": pl.String}, orient="row"))
    there = links.semi_join(nodes, [("left_type", "type"), ("left_value", "value")])
    back = links.semi_join(nodes, [("right_type", "type"), ("right_value", "value")])
    turned = back.rename(
        left_type="right_type", left_value="right_value", right_type="left_type", right_value="left_value"
    )
    rows = engine.polars(there.union(turned.select(there.columns)))
    groups = rows.group_by(*_ENDS).agg(pl.struct("source", "rule", "first_seen", "last_seen", "events"))
    counted = groups.with_columns(n=pl.col("source").list.eval(pl.element().struct.field("events")).list.sum())
    new = []
    for a, b, c, d, evidence, _ in counted.sort(pl.col("n"), *_ENDS, descending=[True] + [False] * 4).iter_rows():
        if (c, d) not in came and (a, b) in came:
            came[c, d] = Link((a, b), (c, d), tuple(evidence))
            new.append((c, d))
    return new


def _way_back(came: dict[Identifier, Link | None], right: Identifier) -> list[Link]:
    links = []
    link = came.get(right)
    while link is not None:
        links.append(link)
        link = came[link.left]
    return links[::-1]
