"""Expectation maximisation over all blocked pairs at once, with every comparison in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from cdp_core.identity.matching.comparisons import Comparison

if TYPE_CHECKING:
    import numpy as np

ROUNDS = 100
PRIOR_PAIRS = 30.0
"""How many pairs of one person the m of comparisons.py is worth beside those found."""
RANDOM_PAIRS = 20_000.0
"""The same for its u, in pairs of two people."""
PRIOR_RANGE = 4.0
"""How far the prior may go from what the deterministic rules say: or else it may find namesakes, not persons."""
LEFT_OVER = 0.03
"""At least this share of the random pairs on a level is taken to be of two people."""


@dataclass
class _Side:
    """One comparison: the level that each pattern reaches (-1: not compared), and what is known of its levels."""

    level: np.ndarray
    m: np.ndarray
    u: np.ndarray
    m_before: np.ndarray
    u_before: np.ndarray
    random: np.ndarray
    fixed: bool


def refine(
    patterns: pl.DataFrame,
    compared: list[Comparison],
    *,
    prior: float,
    m: dict[str, list[float]],
    u: dict[str, list[float]],
    totals: dict[str, int],
    total: int,
) -> dict[str, Any]:
    """`{"prior": …, "levels": …}` from how often each combination of levels occurs among the blocked pairs.

    Columns of `patterns`: gamma_… for each comparison, n. `m` and `u` are those of the levels by comparison as Splink
    found them (pairs of one person count in its u too). `total` is the number of pairs of records, `totals` the number
    of those that have something to compare; pairs that are not blocked are taken to be of two people.
    """
    import numpy as np

    counts = patterns["n"].to_numpy().astype(float)
    sides = [_side(c, patterns, m[c.name], u[c.name], totals[c.name]) for c in compared]
    least, most = prior / PRIOR_RANGE, min(prior * PRIOR_RANGE, 0.5)
    for _ in range(ROUNDS):
        weight = np.log(prior) - np.log1p(-prior) + sum(_weights(side) for side in sides)
        expected = counts / (1 + np.exp(-np.clip(weight, -500, 500)))
        prior = float(np.clip(expected.sum() / total, least, most))
        for side in sides:
            _maximise(side, expected)
    return {
        "prior": float(f"{prior:.9g}"),
        "levels": {c.name: _levels(c, s) for c, s in zip(compared, sides, strict=True)},
    }


def _levels(comparison: Comparison, side: _Side) -> list[list[Any]]:
    rows = zip(comparison.scored, side.m, side.u, strict=True)
    return [[level.label, float(f"{m:.9g}"), float(f"{u:.9g}")] for level, m, u in rows]


def _side(c: Comparison, patterns: pl.DataFrame, m: list[float], u: list[float], total: int) -> _Side:
    import numpy as np

    gamma = patterns[f"gamma_{c.name}"].to_numpy()
    m_before, u_before = np.array([x.m for x in c.scored]), np.array([x.u for x in c.scored])
    # Splink numbers levels from the weakest, 0, and what is not compared -1.
    level = np.where(gamma < 0, -1, len(m) - 1 - gamma)
    fixed = any(x.fixed for x in c.scored)
    side = _Side(level, m_before, u_before, m_before, u_before, np.array(u) * total, fixed)
    if not fixed:
        mixed = np.array(m) + 0.1 * m_before
        side.m, side.u = mixed / mixed.sum(), _without_matches(side, np.zeros(len(m)))
    return side


def _weights(side: _Side) -> np.ndarray:
    import numpy as np

    return np.append(np.log(side.m) - np.log(side.u), 0.0)[side.level]


def _maximise(side: _Side, expected: np.ndarray) -> None:
    import numpy as np

    if side.fixed:
        return
    seen = side.level >= 0
    found = np.bincount(side.level[seen], weights=expected[seen], minlength=len(side.m))
    share = found + PRIOR_PAIRS * side.m_before
    side.m = share / share.sum()
    side.u = _without_matches(side, found)


def _without_matches(side: _Side, found: np.ndarray) -> np.ndarray:
    import numpy as np

    left = np.maximum(side.random - found, LEFT_OVER * side.random) + RANDOM_PAIRS * side.u_before
    return left / left.sum()
