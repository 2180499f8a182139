"""What ties identifiers together, to be drawn and to be asked about; masked unless revealed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard.views import layout
from cdp_core.privacy import masking

if TYPE_CHECKING:
    import polars as pl

DRAWN = 150
LABELLED = 25
RULES = {
    "same_event": "In one event",
    "alias": "Alias call",
    "derived": "Computed from it",
    "always_link": "Decided by a person",
    "match": "Alike",
}


@dataclass(frozen=True)
class Graph:
    """Identifiers as nodes (identifier: `type:value` as it is; type, value and events to show), links as edges (left
    and right: places in `nodes`; sources, events, first_seen, last_seen). `left_out` identifiers are too many to draw;
    `whole` says that no link between the nodes is missing.
    """

    nodes: list[dict[str, Any]] = field(default_factory=list)
    edges: list[dict[str, Any]] = field(default_factory=list)
    left_out: int = 0
    whole: bool = True

    def name(self, place: int) -> str:
        """What a node is called on the page."""
        return f"{f.label(self.nodes[place]['type'])} {self.nodes[place]['value']}"

    def ends(self, link: int) -> tuple[str, str]:
        """Both identifiers of an edge as they are."""
        edge = self.edges[link]
        return self.nodes[edge["left"]]["identifier"], self.nodes[edge["right"]]["identifier"]


def graph(ws: cdp.Workspace, profile_id: str, reveal: bool) -> Graph:
    """What ties a profile's identifiers together, the links that most events state first."""
    identifiers = ws.table("user_identifiers")
    own = identifiers.filter(identifiers.profile_id == profile_id)
    shown = own.order_by([own.events.desc(), own.type, own.value]).limit(DRAWN)
    links = ws.table("identity_links")
    left = shown.select(left_type=shown.type, left_value=shown.value)
    right = shown.select(right_type=shown.type, right_value=shown.value)
    inside = links.semi_join(left, ["left_type", "left_value"]).semi_join(right, ["right_type", "right_value"])
    total = int(ws.polars(own.aggregate(n=own.count())).item())
    rows = ws.polars(shown).to_dicts()
    places = {(row["type"], row["value"]): place for place, row in enumerate(rows)}
    order = [inside.events.desc(), inside.left_type, inside.left_value, inside.right_type, inside.right_value]
    said = ws.polars(inside.order_by(order).limit(4 * DRAWN)).to_dicts()
    nodes = [_node(row["type"], row["value"], row["events"], reveal) for row in rows]
    left_out = max(total - len(rows), 0)
    return Graph(nodes, _edges(said, places), left_out, whole=not left_out and len(said) < 4 * DRAWN)


def path(explanation: Mapping[str, Any], reveal: bool) -> Graph:
    """The chain of an explanation as a graph; edge n is step n."""
    steps = explanation["path"]
    chain = [steps[0]["left"], *(step["right"] for step in steps)] if steps else []
    named = [identifier.partition(":") for identifier in chain]
    nodes = [_node(type_, value, None, reveal) for type_, _, value in named]
    known = ("events", "first_seen", "last_seen")
    edges = [
        {"left": n, "right": n + 1, "sources": step["sources"], **{key: step[key] for key in known}}
        for n, step in enumerate(steps)
    ]
    return Graph(nodes, edges, whole=False)


def _node(type_: str, value: str, events: int | None, reveal: bool) -> dict[str, Any]:
    shown = value if reveal else masking.mask(value, type_) or ""
    short = shown if len(shown) <= 22 else shown[:10] + "…" + shown[-6:]
    return {"identifier": f"{type_}:{value}", "type": type_, "value": short, "events": events or 0}


def _edges(rows: list[dict[str, Any]], places: Mapping[tuple[str, str], int]) -> list[dict[str, Any]]:
    """One edge for two identifiers, whichever sources and rules say so."""
    pairs: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for row in rows:
        ends = places[row["left_type"], row["left_value"]], places[row["right_type"], row["right_value"]]
        pairs.setdefault(ends, []).append(row)
    return [
        {
            "left": left,
            "right": right,
            "sources": sorted({row["source"] for row in said}),
            "events": sum(row["events"] or 0 for row in said),
            "first_seen": min((row["first_seen"] for row in said if row["first_seen"]), default=None),
            "last_seen": max((row["last_seen"] for row in said if row["last_seen"]), default=None),
        }
        for (left, right), said in pairs.items()
    ]


def table(graph: Graph) -> pl.DataFrame:
    """The edges as a table. Columns: between, and, source, events, first_seen, last_seen."""
    import polars as pl

    rows = [
        {
            "between": graph.name(edge["left"]),
            "and": graph.name(edge["right"]),
            "source": ", ".join(map(f.label, edge["sources"])),
            **{key: edge[key] for key in ("events", "first_seen", "last_seen")},
        }
        for edge in graph.edges
    ]
    texts: dict[str, Any] = dict.fromkeys(("between", "and", "source"), pl.String)
    times = dict.fromkeys(("first_seen", "last_seen"), pl.Datetime("us"))
    return pl.DataFrame(rows, schema={**texts, "events": pl.Int64, **times})


def picture(graph: Graph) -> pl.DataFrame:
    """Nodes and links to draw, for `charts.network`; nothing in it is unmasked.

    Columns: what (node or link), x, y, events; of a node type, value and above (its label is off its links there); of
    a link `link` (its place in `edges`), the other columns of `table`, x2 and y2 (its other end), mid_x and mid_y.
    """
    import polars as pl

    at = layout.place(len(graph.nodes), [(edge["left"], edge["right"]) for edge in graph.edges])
    lean = [0.0] * len(at)
    for edge in graph.edges:
        rise = at[edge["right"]][1] - at[edge["left"]][1]
        lean[edge["left"]] += rise
        lean[edge["right"]] -= rise
    kinds: dict[str, Any] = dict.fromkeys(("what", "type", "value"), pl.String)
    nodes = pl.DataFrame(
        [
            ("node", f.label(node["type"]), node["value"], node["events"], x, y, up < 0)
            for node, (x, y), up in zip(graph.nodes, at, lean, strict=True)
        ],
        schema=kinds | {"events": pl.Int64, **dict.fromkeys(("x", "y"), pl.Float64), "above": pl.Boolean},
        orient="row",
    )
    ends = [("link", *at[edge["left"]], *at[edge["right"]]) for edge in graph.edges]
    kinds = {"what": pl.String, **dict.fromkeys(("x", "y", "x2", "y2"), pl.Float64)}
    middle = {"mid_x": (pl.col("x") + pl.col("x2")) / 2, "mid_y": (pl.col("y") + pl.col("y2")) / 2}
    placed = pl.DataFrame(ends, schema=kinds, orient="row").with_columns(**middle)
    links = pl.concat([table(graph).with_row_index("link"), placed], how="horizontal")
    return pl.concat([links, nodes], how="diagonal")


def holds_alone(graph: Graph, link: int) -> bool:
    """Whether the two ends of an edge hang together by nothing else that is drawn."""
    return graph.edges[link]["right"] not in _without(graph, link)


def cut_in_words(graph: Graph, link: int) -> str:
    """What cutting an edge would leave, in a graph of which no link is missing."""
    if not holds_alone(graph, link):
        return "Other links tie the two as well."
    part = len(_without(graph, link))
    return f"Nothing else ties the two: {part} and {f.plural(len(graph.nodes) - part, 'identifier')} would be left."


def _without(graph: Graph, link: int) -> set[int]:
    """The part of the graph on the left side of an edge when that is cut."""
    rest = [(e["left"], e["right"]) for place, e in enumerate(graph.edges) if place != link]
    return layout.reached(len(graph.nodes), rest, graph.edges[link]["left"])


def behind(ws: cdp.Workspace, left: str, right: str, reveal: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What stands behind a link: who says so (source, rule, events, first_seen, last_seen), and some of the events
    (at, event, source, message_id), the newest first; times UTC. Raises CDPError when the two are not linked.
    """
    import polars as pl

    found = ws.identity.evidence(left, right)
    said = [
        {**each, "source": f.label(each["source"]), "rule": RULES.get(each["rule"], f.label(each["rule"]))}
        for each in found.said
    ]
    examples = [
        {
            "at": each["at"],
            "event": f.label(each["name"]),
            "source": f.label(each["source"]),
            "message_id": each["message_id"] if reveal else masking.mask(each["message_id"], "message_id"),
        }
        for each in found.examples
    ]
    texts: dict[str, Any] = {"source": pl.String, "rule": pl.String, "events": pl.Int64}
    times = dict.fromkeys(("first_seen", "last_seen"), pl.Datetime("us"))
    kinds: dict[str, Any] = {"at": pl.Datetime("us"), **dict.fromkeys(("event", "source", "message_id"), pl.String)}
    return pl.DataFrame(said, schema={**texts, **times}), pl.DataFrame(examples, schema=kinds)
