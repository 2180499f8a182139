"""Evidence as a graph: for drawing, for notebooks, and to see what hangs on a single link."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from cdp_core.errors import UsageError

if TYPE_CHECKING:
    import networkx as nx

Identifier = tuple[str, str]
_TIMES = [("first_seen", pl.Datetime("us")), ("last_seen", pl.Datetime("us"))]
_ENDS = ("left_type", "left_value", "right_type", "right_value")


def profile_graph(links: pl.DataFrame, identifiers: pl.DataFrame) -> nx.Graph:
    """Identifiers as nodes (type, value), evidence as edges.

    `links` as tables.IDENTITY_LINKS, `identifiers` as tables.USER_IDENTIFIERS. Nodes have type, value, profile_id,
    first_seen, last_seen, events; an edge has source and rule (comma-separated when there are several), events,
    first_seen, last_seen (UTC), and `evidence`, the rows of `links` behind it. Ends that `identifiers` does not list
    have only type and value.

    Example: `networkx.shortest_path(profile_graph(links, identifiers), ("email", "a@x.org"), ("user_id", "77"))`
    """
    import networkx as nx

    graph: nx.Graph = nx.Graph()
    for row in identifiers.sort("type", "value").iter_rows(named=True):
        graph.add_node((row["type"], row["value"]), **row)
    for row in links.sort(*_ENDS, "source", "rule").iter_rows(named=True):
        left, right = (row["left_type"], row["left_value"]), (row["right_type"], row["right_value"])
        for type_, value in (left, right):
            graph.add_node((type_, value), type=type_, value=value)
        said = {k: row[k] for k in ("source", "rule", "events", "first_seen", "last_seen")}
        known = graph.edges[left, right]["evidence"] if graph.has_edge(left, right) else []
        graph.add_edge(left, right, **_summary([*known, said]))
    return graph


def _summary(evidence: list[dict[str, Any]]) -> dict[str, Any]:
    firsts = [e["first_seen"] for e in evidence if e["first_seen"] is not None]
    lasts = [e["last_seen"] for e in evidence if e["last_seen"] is not None]
    return {
        "source": ", ".join(dict.fromkeys(e["source"] for e in evidence)),
        "rule": ", ".join(dict.fromkeys(e["rule"] for e in evidence)),
        "events": sum(e["events"] for e in evidence),
        "first_seen": min(firsts, default=None),
        "last_seen": max(lasts, default=None),
        "evidence": evidence,
    }


def bridges(graph: nx.Graph) -> list[tuple[Identifier, Identifier]]:
    """Links without which the graph would fall apart, sorted."""
    import networkx as nx

    return sorted((min(a, b), max(a, b)) for a, b in nx.bridges(graph))


def positions(graph: nx.Graph, *, seed: int = 7) -> dict[Identifier, tuple[float, float]]:
    """Where to draw each node, x and y between -1 and 1; the same graph is drawn the same way every time."""
    import networkx as nx

    placed: Mapping[Identifier, Any] = nx.spring_layout(graph, seed=seed) if len(graph) else {}
    return {node: (float(at[0]), float(at[1])) for node, at in placed.items()}


def nodes_frame(graph: nx.Graph, *, seed: int = 7) -> pl.DataFrame:
    """Nodes to draw: type, value, links (how many it has), events, first_seen, last_seen, x, y."""
    at = positions(graph, seed=seed)
    more = ("events", "first_seen", "last_seen")
    rows = [
        (*node, graph.degree(node), *(data.get(k) for k in more), *at[node]) for node, data in graph.nodes(data=True)
    ]
    kinds = [("type", pl.String()), ("value", pl.String()), ("links", pl.Int64()), ("events", pl.Int64()), *_TIMES]
    return pl.DataFrame(rows, schema=[*kinds, ("x", pl.Float64()), ("y", pl.Float64())], orient="row")


def edges_frame(graph: nx.Graph, *, seed: int = 7) -> pl.DataFrame:
    """Links to draw: both ends with type, value and position, what is known about the link, and whether it is a bridge.

    Columns: left_type, left_value, right_type, right_value, source, rule, events, first_seen, last_seen, bridge, x, y
    (the left end), x2, y2 (the right end).
    """
    at = positions(graph, seed=seed)
    single = set(bridges(graph)) if len(graph) else set()
    known = ("source", "rule", "events", "first_seen", "last_seen")
    rows = [
        (*a, *b, *(data[k] for k in known), (min(a, b), max(a, b)) in single, *at[a], *at[b])
        for a, b, data in graph.edges(data=True)
    ]
    texts = [(name, pl.String()) for name in (*_ENDS, "source", "rule")]
    at_ends = [(name, pl.Float64()) for name in ("x", "y", "x2", "y2")]
    kinds = [*texts, ("events", pl.Int64()), *_TIMES, ("bridge", pl.Boolean()), *at_ends]
    return pl.DataFrame(rows, schema=kinds, orient="row")


def cuttable(graph: nx.Graph, left: Identifier, right: Identifier) -> None:
    """Raise UsageError unless the two are linked in the graph, and that link alone holds their parts together."""
    import networkx as nx

    if left not in graph or right not in graph:
        raise UsageError("the profile does not hold both identifiers", hint="see 'cdp profile explain'")
    if not graph.has_edge(left, right):
        raise UsageError("the two are not linked directly", hint="'cdp identity explain' shows the links between")
    rest = graph.copy()
    rest.remove_edge(left, right)
    if nx.has_path(rest, left, right):
        steps = nx.shortest_path_length(rest, left, right)
        raise UsageError(
            f"the two are also tied over {steps} other links",
            hint="'cdp identity never-link' keeps them apart whatever ties them",
        )
