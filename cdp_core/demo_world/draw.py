"""Seeded randomness and the world's clock. Every room of the world draws from its own stream, so that a change in one
leaves the others as they were."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

DAY = 86_400
START = 852_076_800  # 1997-01-01T00:00:00Z
END = 899_251_200  # 1998-07-01T00:00:00Z, exclusive
STREAMS = ("orders", "people", "crm", "web", "support", "newsletter", "noise", "web_noise")


def stream(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, STREAMS.index(name)])


def chance(rng: np.random.Generator, size: int, share: float) -> Bools:
    return rng.random(size) < share


def choose(rng: np.random.Generator, size: int, shares: list[float]) -> Ints:
    """Index of the drawn category: `shares` are the probabilities of 0, 1, 2 …"""
    return np.searchsorted(np.cumsum(shares)[:-1], rng.random(size), side="right").astype(np.int64)


def within(seconds: Ints, first: int = START, last: int = END - 1) -> Ints:
    return np.clip(seconds, first, last)


def repeat(counts: Ints) -> tuple[Ints, Ints]:
    """Row of origin, and position within it, for `counts` copies of every row.

    >>> owner, position = repeat(np.array([2, 0, 3]))
    >>> owner.tolist(), position.tolist()
    ([0, 0, 2, 2, 2], [0, 1, 0, 1, 2])
    """
    owner = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    first = np.cumsum(counts) - counts
    return owner, np.arange(len(owner), dtype=np.int64) - first[owner]


def pick(words: list[Any], index: Ints) -> pl.Series:
    return pl.Series(words).gather(index)


def numbered(prefix: str, numbers: Ints, width: int) -> pl.Series:
    """Ids such as o0000001.

    >>> numbered("o", np.array([1, 20]), 4).to_list()
    ['o0001', 'o0020']
    """
    return prefix + pl.Series(numbers).cast(pl.String).str.zfill(width)


def moment(seconds: Ints) -> pl.Series:
    """Seconds since 1970 as UTC timestamps without a zone."""
    return pl.Series(seconds * 1_000_000).cast(pl.Datetime("us"))


def text_moment(seconds: Ints) -> pl.Series:
    return moment(seconds).dt.strftime("%Y-%m-%d %H:%M:%S")
