"""The drawing of a small graph: stable, within its frame, near what is near."""

from __future__ import annotations

import math
from pathlib import Path

import networkx as nx
import pytest

from cdp_core.dashboard.views.layout import place


def test_the_shipped_theme_is_the_one_of_the_repository() -> None:
    root = Path(__file__).parents[2]
    shipped = root / "cdp_core/dashboard/assets/config.toml"
    assert shipped.read_bytes() == (root / ".streamlit/config.toml").read_bytes()


@pytest.mark.parametrize(
    "graph", [nx.star_graph(8), nx.path_graph(6), nx.complete_graph(5), nx.random_regular_graph(3, 40, seed=1)]
)
def test_points_stay_within_the_frame_and_apart(graph: nx.Graph) -> None:
    pairs = list(graph.edges)
    points = place(len(graph), pairs)
    assert points == place(len(graph), pairs)
    assert all(0 <= x <= 1 and 0 <= y <= 1 for x, y in points)
    gaps = [math.dist(a, b) for i, a in enumerate(points) for b in points[:i]]
    assert min(gaps) > 0.01


def test_a_path_is_drawn_in_order() -> None:
    xs = [x for x, _ in place(6, list(nx.path_graph(6).edges))]
    assert xs == sorted(xs)


def test_nothing_and_loose_nodes() -> None:
    assert place(0, []) == []
    assert place(1, []) == [(0.5, 0.5)]
    assert len(set(place(4, [(0, 1)]))) == 4
