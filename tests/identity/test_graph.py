"""The evidence as a graph, and the way from a typed identifier to a profile."""

from __future__ import annotations

import networkx as nx
import pytest
from identity_worlds import START, Resolve, event

from cdp_core.engine import Engine
from cdp_core.identity.graph import bridges, edges_frame, nodes_frame, profile_graph
from cdp_core.identity.lookup import find_profile_id
from cdp_core.identity.spec import IdentitySpec

ANN = [("user_id", "ann"), ("email", "ann@x.org")]
EVENTS = [
    event(1, ANN),
    event(2, ANN, source="crm"),
    event(3, [("user_id", "ann"), ("anonymous_id", "d1")]),
    event(4, [("email", "ann@x.org"), ("anonymous_id", "d1")]),
    event(5, [("email", "ann@x.org"), ("phone", "415 555 0134")]),
]


@pytest.fixture
def graph(lake: Engine, resolved: Resolve) -> nx.Graph:
    found = resolved(EVENTS)
    return profile_graph(lake.polars(found.identity_links), lake.polars(found.user_identifiers))


def test_nodes_and_edges_carry_what_is_known(graph: nx.Graph) -> None:
    assert set(graph) == {("user_id", "ann"), ("email", "ann@x.org"), ("anonymous_id", "d1"), ("phone", "+14155550134")}
    edge = graph.edges[("user_id", "ann"), ("email", "ann@x.org")]
    assert (edge["source"], edge["rule"], edge["events"]) == ("crm, web", "same_event", 2)
    assert edge["first_seen"] == START.replace(minute=1)
    assert edge["last_seen"] == START.replace(minute=2)
    assert [e["source"] for e in edge["evidence"]] == ["crm", "web"]
    assert graph.nodes["email", "ann@x.org"]["events"] == 4


def test_bridges_are_links_without_which_it_falls_apart(graph: nx.Graph) -> None:
    assert bridges(graph) == [(("email", "ann@x.org"), ("phone", "+14155550134"))]


def test_frames_to_draw_are_the_same_every_time(graph: nx.Graph) -> None:
    edges, nodes = edges_frame(graph), nodes_frame(graph)
    assert edges.equals(edges_frame(graph))
    assert edges.height == 4
    assert edges.filter("bridge")["right_type"].to_list() == ["phone"]
    at = {(t, v): (x, y) for t, v, x, y in nodes.select("type", "value", "x", "y").iter_rows()}
    for row in edges.iter_rows(named=True):
        assert at[row["left_type"], row["left_value"]] == (row["x"], row["y"])
        assert at[row["right_type"], row["right_value"]] == (row["x2"], row["y2"])
    assert len(set(at.values())) == nodes.height == 4


def test_an_empty_graph_can_be_drawn(lake: Engine) -> None:
    empty = profile_graph(lake.polars(lake.table("identity_links")), lake.polars(lake.table("user_identifiers")))
    assert edges_frame(empty).is_empty()
    assert nodes_frame(empty).is_empty()


def test_a_typed_identifier_leads_to_its_profile(lake: Engine, resolved: Resolve) -> None:
    spec = IdentitySpec()
    apart = [event(1, [("email", "ann@x.org"), ("phone", "4155550134")]), event(2, [("user_id", "9")])]
    first = resolved(apart, spec)
    found = resolved([*apart, event(3, [("user_id", "9"), ("email", "ann@x.org")])], spec, after=first)
    for name in ("user_identifiers", "profile_merges"):
        lake.replace(name, getattr(found, name))
    (profile,) = set(lake.polars(found.user_identifiers)["profile_id"])
    (old,) = set(lake.polars(found.profile_merges)["from_profile_id"])
    ways = (" email: ANN@X.org", "phone:(415) 555-0134", "user_id:9", profile, f"profile_id:{profile}", old)
    assert {find_profile_id(lake, spec, text) for text in ways} == {profile}
    for text in ("email:bob@x.org", "email:nonsense", "user_id:", "p_unknown", "", "x"):
        assert find_profile_id(lake, spec, text) is None
