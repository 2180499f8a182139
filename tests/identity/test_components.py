"""Components by SciPy and by joins alone equal networkx's."""

from __future__ import annotations

import itertools
import random

import networkx as nx
import polars as pl
import pytest

from cdp_core.engine import Engine
from cdp_core.errors import ResolutionError
from cdp_core.identity import components as room
from cdp_core.identity.components import components, components_by_rounds, components_in_memory

Edges = list[tuple[int, int]]


def random_graph(seed: int, nodes: int, edges: int) -> tuple[list[int], Edges]:
    rng = random.Random(seed)
    names = rng.sample(range(nodes * 3), nodes)
    return names, [(rng.choice(names), rng.choice(names)) for _ in range(edges)]


def chain(length: int) -> tuple[list[int], Edges]:
    names = random.Random(length).sample(range(length), length)
    return names, list(itertools.pairwise(names))


GRAPHS = {
    "sparse": random_graph(1, 400, 200),
    "critical": random_graph(2, 500, 260),
    "dense": random_graph(3, 200, 900),
    "chain": chain(600),
    "star": (list(range(200)), [(199, i) for i in range(200)]),
    "no edges": (list(range(30)), []),
    "nothing": ([], []),
}


def expected(nodes: list[int], edges: Edges) -> dict[int, int]:
    graph = nx.Graph(edges)
    graph.add_nodes_from(nodes)
    return {node: min(group) for group in nx.connected_components(graph) for node in group}


def frames(nodes: list[int], edges: Edges) -> tuple[pl.DataFrame, pl.DataFrame]:
    kinds = {"left": pl.Int64, "right": pl.Int64}
    return pl.DataFrame({"node": nodes}, {"node": pl.Int64}), pl.DataFrame(edges, kinds, orient="row")


@pytest.mark.parametrize("name", GRAPHS)
def test_in_memory(name: str) -> None:
    nodes, edges = frames(*GRAPHS[name])
    found = components_in_memory(nodes["node"], edges)
    assert dict(found.iter_rows()) == expected(*GRAPHS[name])


def test_by_rounds(lake: Engine) -> None:
    for name, graph in GRAPHS.items():
        nodes, edges = map(lake.frame, frames(*graph))
        found = lake.polars(components_by_rounds(lake, nodes, edges))
        assert dict(found.select("node", "component").iter_rows()) == expected(*graph), name


def test_the_engine_chooses(engine: Engine) -> None:
    nodes, edges = random_graph(4, 120, 80)
    found = components(engine, *map(engine.frame, frames(nodes, edges)))
    assert dict(engine.polars(found).select("node", "component").iter_rows()) == expected(nodes, edges)


def test_an_unfinished_loop_is_an_error(lake: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MAX_ROUNDS", 1)
    nodes, edges = map(lake.frame, frames(*GRAPHS["chain"]))
    with pytest.raises(ResolutionError, match="did not converge"):
        components_by_rounds(lake, nodes, edges)
