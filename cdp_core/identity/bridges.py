"""Single links on which whole groups of identifiers hang."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import networkx as nx

    from cdp_core.engine import Engine

RULE = "hold:bridge"
_PAIRS = pl.Schema({"left": pl.Int64, "right": pl.Int64, "rule": pl.String})


def weak_bridges(engine: Engine, found: ir.Table, links: ir.Table, least: int) -> pl.DataFrame:
    """Links that only one event states and without which a component would fall into two parts of `least` identifiers
    or more each: left, right, rule.

    `found`: node, component. `links`: left, right, source, rule, events. Only components that are large enough and that
    have such a link are looked at.
    """
    import networkx as nx

    sizes = found.group_by("component").agg(size=found.count())
    large = found.semi_join(sizes.filter(sizes.size >= 2 * least), "component")
    pairs = links.group_by(["left", "right"]).agg(events=links.events.sum())
    edges = engine.polars(pairs.join(large.select(left="node", component="component"), "left"))
    rows = []
    for part in edges.sort("component", "left", "right").partition_by("component", maintain_order=True):
        if part["events"].min() == 1:
            once = set(part.filter(pl.col("events") == 1).select("left", "right").iter_rows())
            graph: nx.Graph = nx.Graph(part.select("left", "right").iter_rows())
            rows += [(*pair, RULE) for pair in splitting_links(graph, least) if pair in once]
    return pl.DataFrame(rows, schema=_PAIRS, orient="row")


def splitting_links(graph: nx.Graph, least: int) -> list[tuple[Any, Any]]:
    """Bridges (smaller node first) that have `least` nodes or more on either side, in a connected graph.

    A bridge is part of every spanning tree, so that the part behind it is a subtree of any of them.

    >>> import networkx as nx
    >>> splitting_links(nx.path_graph(6), 3)
    [(2, 3)]
    """
    import networkx as nx

    root = min(graph)
    behind: dict[Any, int] = dict.fromkeys(graph, 1)
    parents: dict[Any, Any] = dict(nx.dfs_predecessors(graph, root))
    for node in nx.dfs_postorder_nodes(graph, root):
        if node in parents:
            behind[parents[node]] += behind[node]
    found = []
    for a, b in nx.bridges(graph):
        child = a if parents.get(a) == b else b
        if min(behind[child], len(graph) - behind[child]) >= least:
            found.append((min(a, b), max(a, b)))
    return sorted(found)
