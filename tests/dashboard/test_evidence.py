"""Links between identifiers: what is drawn, what can be clicked, and what stands behind a link."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import networkx as nx
import polars as pl
import pytest

import cdp_core as cdp
from cdp_core.dashboard import charts
from cdp_core.dashboard.pages.evidence import Choice
from cdp_core.dashboard.views import decisions, evidence


@pytest.fixture(scope="module")
def busy(ws: cdp.Workspace) -> str:
    """The profile with the most identifiers."""
    counted = ws.sql(
        "SELECT profile_id FROM user_identifiers GROUP BY profile_id ORDER BY count(*) DESC, profile_id LIMIT 1"
    )
    return str(counted.item())


@pytest.fixture(scope="module")
def asked(ws: cdp.Workspace, busy: str) -> nx.Graph:
    return ws.identity_graph(busy)


def ends_of(graph: evidence.Graph) -> set[frozenset[str]]:
    return {frozenset(graph.ends(link)) for link in range(len(graph.edges))}


def test_graph_is_the_profiles_graph(ws: cdp.Workspace, busy: str, asked: nx.Graph) -> None:
    graph = evidence.graph(ws, busy, True)
    assert {node["identifier"] for node in graph.nodes} == {":".join(node) for node in asked}
    assert ends_of(graph) == {frozenset((":".join(a), ":".join(b))) for a, b in asked.edges}
    for link, edge in enumerate(graph.edges):
        known = asked.edges[tuple(tuple(end.split(":", 1)) for end in graph.ends(link))]
        assert {key: edge[key] for key in ("events", "first_seen", "last_seen")} == {
            key: known[key] for key in ("events", "first_seen", "last_seen")
        }
        assert edge["sources"] == sorted(known["source"].split(", "))


def test_a_link_that_holds_alone_is_a_bridge(ws: cdp.Workspace, busy: str, asked: nx.Graph) -> None:
    graph = evidence.graph(ws, busy, False)
    bridges = {frozenset((":".join(a), ":".join(b))) for a, b in nx.bridges(asked)}
    assert bridges
    for link in range(len(graph.edges)):
        assert evidence.holds_alone(graph, link) == (frozenset(graph.ends(link)) in bridges)


def test_nothing_that_goes_to_the_browser_is_unmasked(ws: cdp.Workspace, busy: str, asked: nx.Graph) -> None:
    graph = evidence.graph(ws, busy, False)
    said, examples = evidence.behind(ws, *graph.ends(0), False)
    sent = [evidence.picture(graph), evidence.table(graph), said, examples]
    text = " ".join(str(value) for frame in sent for row in frame.rows() for value in row)
    for kind, value in asked:
        if kind in ("email", "phone"):
            assert value not in text
    assert "•" in text
    assert charts.network(evidence.picture(graph)).to_dict()["params"][0]["name"] == "link"


def test_picture_has_every_node_and_link_in_the_tables_order(ws: cdp.Workspace, busy: str) -> None:
    graph = evidence.graph(ws, busy, True)
    frame = evidence.picture(graph)
    nodes, links = (frame.filter(pl.col("what") == what) for what in ("node", "link"))
    assert nodes["value"].to_list() == [node["value"] for node in graph.nodes]
    assert links["link"].to_list() == list(range(len(graph.edges)))
    assert links.select("between", "and", "events").equals(evidence.table(graph).select("between", "and", "events"))
    at = list(zip(nodes["x"], nodes["y"], strict=True))
    for row, edge in zip(links.iter_rows(named=True), graph.edges, strict=True):
        assert (row["x"], row["y"], row["x2"], row["y2"]) == (*at[edge["left"]], *at[edge["right"]])


def test_the_path_of_an_explanation_is_drawn_step_by_step(ws: cdp.Workspace, asked: nx.Graph) -> None:
    ends = sorted(asked)
    found = ws.identity.explain(":".join(ends[0]), ":".join(ends[-1])).to_dict()
    graph = evidence.path(found, False)
    assert [graph.ends(n) for n in range(len(graph.edges))] == [(s["left"], s["right"]) for s in found["path"]]
    assert evidence.path({"path": []}, False).edges == []


def test_behind_a_link_are_its_sources_and_events(ws: cdp.Workspace, busy: str) -> None:
    graph = evidence.graph(ws, busy, True)
    said, examples = evidence.behind(ws, *graph.ends(0), True)
    assert said["events"].sum() == graph.edges[0]["events"]
    known = set(ws.polars(ws.table("events").select("message_id"))["message_id"])
    assert 0 < examples.height <= 5
    assert set(examples["message_id"]) <= known


def test_what_is_decided_about_a_link_is_said(shop: Path, busy: str) -> None:
    with cdp.open(shop) as ws:
        left, right = evidence.graph(ws, busy, True).ends(0)
        assert decisions.about(ws, left, right) is None
        ws.identity.never_link(left, right, reason="father and son")
        said = decisions.about(ws, right, left)
        assert said is not None
        assert said.startswith("Never link")
        assert said.endswith("father and son")


def test_a_choice_in_one_widget_redraws_the_other_with_it() -> None:
    chosen = Choice("k", "someone")
    first = {name: chosen.widget(name) for name in ("graph", "table")}
    chosen.pick(3, "graph")
    assert (chosen.link, chosen.starts["table"]) == (3, 3)
    assert chosen.widget("graph") == first["graph"]
    assert chosen.widget("table") != first["table"]
    chosen.pick(None)
    assert chosen.link is None
    assert chosen.widget("graph") != first["graph"]


@pytest.mark.parametrize(
    ("picks", "link"), [([], None), ([{"link": 4}], 4), ([{"link": None}], None), ([{}], None), ([{"link": 0}], 0)]
)
def test_a_click_beside_the_links_chooses_none(picks: list[dict[str, Any]], link: int | None) -> None:
    from cdp_core.dashboard.pages import evidence as page

    assert page._clicked(SimpleNamespace(selection={"link": picks})) == link
