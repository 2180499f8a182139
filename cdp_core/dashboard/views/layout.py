"""Where to draw the nodes of a small graph: the same graph looks the same every time."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

ROUNDS = 80


def place(count: int, pairs: Sequence[tuple[int, int]]) -> list[tuple[float, float]]:
    """A point per node, both coordinates from 0 to 1, the longer side of the picture lying flat.

    Distances on the page follow distances in the graph (stress majorisation: Gansner, Koren and North, 2004). Meant for
    up to a few hundred nodes.

    >>> place(2, [(0, 1)])
    [(0.0, 0.5), (1.0, 0.5)]
    """
    import numpy as np

    if count < 2:
        return [(0.5, 0.5)] * count
    wanted = np.array(_steps(count, pairs), dtype=float)
    weights = 1 / np.where(wanted == 0, 1, wanted) ** 2
    np.fill_diagonal(weights, 0)
    pull = np.linalg.pinv(np.diag(weights.sum(1)) - weights)
    angle = np.arange(count) * 2 * np.pi / count
    at = np.column_stack([np.cos(angle), np.sin(angle)]) * wanted.max() / 2
    for _ in range(ROUNDS):
        apart = np.linalg.norm(at[:, None] - at[None], axis=2)
        ratio = -weights * wanted / np.where(apart < 1e-9, 1e-9, apart)
        np.fill_diagonal(ratio, 0)
        np.fill_diagonal(ratio, -ratio.sum(1))
        at = pull @ (ratio @ at)
    _, _, axes = np.linalg.svd(at - at.mean(0), full_matrices=False)
    at = (at - at.mean(0)) @ axes.T
    if at[0, 0] > at[-1, 0]:
        at[:, 0] = -at[:, 0]
    low, span = at.min(0), np.ptp(at, axis=0)
    scaled = np.where(span > 1e-6, (at - low) / np.where(span > 1e-6, span, 1), 0.5)
    return [(round(float(x), 4), round(float(y), 4)) for x, y in scaled]


def reached(count: int, pairs: Sequence[tuple[int, int]], start: int) -> set[int]:
    """The nodes to which a way leads from one, itself among them.

    >>> reached(3, [(0, 1)], 0), reached(3, [(0, 1), (1, 2)], 2)
    ({0, 1}, {0, 1, 2})
    """
    return {node for node, steps in enumerate(_from(start, _near(count, pairs))) if steps >= 0}


def _steps(count: int, pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Steps between all nodes; nodes that nothing ties are two steps further apart than any others."""
    near = _near(count, pairs)
    rows = [_from(start, near) for start in range(count)]
    far = max(max(row) for row in rows) + 2
    return [[far if step < 0 else step for step in row] for row in rows]


def _near(count: int, pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
    near: list[list[int]] = [[] for _ in range(count)]
    for a, b in pairs:
        near[a].append(b)
        near[b].append(a)
    return near


def _from(start: int, near: list[list[int]]) -> list[int]:
    steps = [-1] * len(near)
    steps[start] = 0
    waiting = deque([start])
    while waiting:
        node = waiting.popleft()
        for other in near[node]:
            if steps[other] < 0:
                steps[other] = steps[node] + 1
                waiting.append(other)
    return steps
