"""Profiles that look like several people glued together, and the link to cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from cdp_core.identity.bridges import splitting_links
from cdp_core.identity.graph import profile_graph

if TYPE_CHECKING:
    import networkx as nx

    from cdp_core.engine import Engine

LEAST = 3
"""Parts with fewer identifiers than this hang on a bridge in every healthy profile."""
COLUMNS = pl.Schema(
    {
        "profile_id": pl.String,
        "identifiers": pl.Int64,
        "links": pl.Int64,
        "density": pl.Float64,
        "bridges": pl.Int64,
        "articulation_points": pl.Int64,
        "cut_left": pl.String,
        "cut_right": pl.String,
        "cut_events": pl.Int64,
        "smaller_part": pl.Int64,
    }
)


def suspects(engine: Engine, *, largest: int = 200) -> pl.DataFrame:
    """The `largest` profiles that hold together by a single link, the most doubtful first.

    Columns: profile_id, identifiers, links, density (0 to 1: share of all possible links), bridges (links without which
    it falls apart), articulation_points (identifiers without which it does), cut_left and cut_right (`type:value`, the
    bridge that separates most and that fewest events state), cut_events, smaller_part (identifiers behind it). Profiles
    without a bridge that has three identifiers on either side are left out.
    """
    known = engine.table("user_identifiers")
    sizes = known.group_by("profile_id").agg(n=known.count()).filter(lambda t: t.n >= 2 * LEAST)
    top = engine.keep(sizes.order_by([sizes.n.desc(), sizes.profile_id]).limit(largest))
    identifiers = engine.polars(known.semi_join(top, "profile_id"))
    owners = identifiers.select("type", "value", "profile_id")
    links = engine.table("identity_links")
    ends = engine.frame(owners)
    near = links.semi_join(ends, [("left_type", "type"), ("left_value", "value")])
    evidence = engine.polars(near).join(owners, left_on=["left_type", "left_value"], right_on=["type", "value"])
    rows = []
    for (profile_id,), part in evidence.group_by("profile_id", maintain_order=True):
        own = identifiers.filter(pl.col("profile_id") == profile_id)
        graph = profile_graph(part.drop("profile_id"), own)
        found = _judged(graph.subgraph([n for n, data in graph.nodes(data=True) if "profile_id" in data]))
        if found:
            rows.append({"profile_id": profile_id, **found})
    frame = pl.DataFrame(rows, schema=COLUMNS)
    return frame.sort("smaller_part", "cut_events", "profile_id", descending=[True, False, False])


def _judged(graph: nx.Graph) -> dict[str, Any] | None:
    import networkx as nx

    if len(graph) < 2 * LEAST or not nx.is_connected(graph):
        return None
    splitting = splitting_links(graph, LEAST)
    if not splitting:
        return None
    behind = {pair: _smaller(graph, pair) for pair in splitting}
    cut = min(splitting, key=lambda pair: (-behind[pair], graph.edges[pair]["events"], pair))
    return {
        "identifiers": len(graph),
        "links": graph.number_of_edges(),
        "density": round(nx.density(graph), 4),
        "bridges": sum(1 for _ in nx.bridges(graph)),
        "articulation_points": sum(1 for _ in nx.articulation_points(graph)),
        "cut_left": ":".join(cut[0]),
        "cut_right": ":".join(cut[1]),
        "cut_events": graph.edges[cut]["events"],
        "smaller_part": behind[cut],
    }


def _smaller(graph: nx.Graph, pair: tuple[Any, Any]) -> int:
    import networkx as nx

    rest = nx.restricted_view(graph, [], [pair])
    part = len(nx.node_connected_component(rest, pair[0]))
    return min(part, len(graph) - part)
