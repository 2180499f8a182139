"""Connected components: which identifiers hang together through evidence, whatever the rules say about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from cdp_core.errors import ResolutionError

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine

MAX_ROUNDS = 64
"""Every round at least halves what is left, so this is enough for any number of nodes that there can be."""


def components(engine: Engine, nodes: ir.Table, edges: ir.Table) -> ir.Table:
    """Columns node and component (the smallest node of it), for every node of `nodes` (column node, unique).

    `edges` has the columns left and right, nodes both. Raises ResolutionError when it does not come to an end.
    """
    if not engine.local:
        return components_by_rounds(engine, nodes, edges)
    return engine.frame(components_in_memory(engine.polars(nodes)["node"], engine.polars(edges)))


def components_in_memory(nodes: pl.Series, edges: pl.DataFrame) -> pl.DataFrame:
    """The same for frames, by SciPy.

    >>> components_in_memory(pl.Series([3, 5, 9]), pl.DataFrame({"left": [9], "right": [3]})).to_dict(as_series=False)
    {'node': [3, 5, 9], 'component': [3, 5, 3]}
    """
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ordered = nodes.sort()
    if ordered.is_empty():
        return pl.DataFrame(schema={"node": pl.Int64, "component": pl.Int64})
    dense = ordered[0] == 0 and ordered[-1] == len(ordered) - 1
    left, right = (
        (edges[side] if dense else ordered.search_sorted(edges[side])).to_numpy() for side in ("left", "right")
    )
    shape = (len(ordered), len(ordered))
    graph = coo_array((np.ones(len(left), dtype=np.int8), (left, right)), shape=shape)
    _, label = connected_components(graph, directed=False)
    smallest = np.full(label.max() + 1, len(ordered), dtype=np.int64)
    np.minimum.at(smallest, label, np.arange(len(ordered)))
    return pl.DataFrame({"node": ordered, "component": ordered.gather(smallest[label])})


def components_by_rounds(engine: Engine, nodes: ir.Table, edges: ir.Table) -> ir.Table:
    """The same by joins alone: in each round every node goes with its smallest neighbour, and what went together
    becomes one node, until no edge is left.
    """
    labels = engine.keep(nodes.select("node", component=nodes.node))
    left = engine.keep(edges.filter(edges.left != edges.right).select("left", "right").distinct())
    for _ in range(MAX_ROUNDS):
        if _is_empty(engine, left):
            return labels
        step = _compressed(engine, _smallest_neighbours(left))
        labels = engine.keep(_moved(labels, step, "component"))
        both = _moved(_moved(left, step, "left"), step, "right")
        left = engine.keep(both.filter(both.left != both.right).distinct())
    raise ResolutionError(f"connected components did not converge in {MAX_ROUNDS} rounds")


def _smallest_neighbours(edges: ir.Table) -> ir.Table:
    """Columns node and into: the smallest of the node and its neighbours."""
    both = edges.select(node="left", other="right").union(edges.select(node="right", other="left"))
    found = both.group_by("node").agg(other=both.other.min())
    return found.select("node", into=(found.other < found.node).ifelse(found.other, found.node))


def _compressed(engine: Engine, step: ir.Table) -> ir.Table:
    """Follow `into` to its end, two steps at a time."""
    import ibis

    for _ in range(MAX_ROUNDS):
        step = engine.keep(step)
        further = step.select(into="node", next="into")
        joined = step.left_join(further, "into")
        joined = joined.select("node", "into", next=ibis.coalesce(joined.next, joined.into))
        if _is_empty(engine, joined.filter(joined.next != joined.into)):
            return step
        step = joined.select("node", into="next")
    raise ResolutionError(f"a chain of identifiers did not converge in {MAX_ROUNDS} rounds")


def _moved(rows: ir.Table, step: ir.Table, column: str) -> ir.Table:
    import ibis

    target = step.select(moved_from="node", moved_into="into")
    joined = rows.left_join(target, [(column, "moved_from")])
    moved = joined.mutate(**{column: ibis.coalesce(joined.moved_into, joined[column])})
    return moved.select(rows.columns)


def _is_empty(engine: Engine, rows: ir.Table) -> bool:
    return engine.polars(rows.limit(1)).is_empty()
