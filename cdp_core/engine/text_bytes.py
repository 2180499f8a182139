"""Columns of text as the bytes that they are, so that places in them can be cut out and put together again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import numpy as np
    import polars as pl


def as_bytes(texts: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """All texts, one behind the other, and where each begins (one place more than there are texts). No nulls."""
    import numpy as np
    import polars as pl

    array: Any = texts.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, places, data = array.buffers()
    offsets = np.frombuffer(places, np.int64)[array.offset : array.offset + len(array) + 1]
    whole = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    return whole[offsets[0] : offsets[-1]], offsets - offsets[0]


def spans(data: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> pl.Series:
    """Texts between pairs of byte positions of valid UTF-8, in order and without overlaps."""
    import numpy as np
    import polars as pl

    if not len(starts):
        return pl.Series(dtype=pl.String)
    lengths = ends - starts
    kept = data[within(len(data), starts, ends)]
    return column(kept, np.concatenate(([0], np.cumsum(lengths))))


def within(size: int, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """For every place of `size`, whether it lies between a start and its end; the stretches do not overlap."""
    import numpy as np

    some = ends > starts
    edge = np.zeros(size + 1, np.int8)
    edge[starts[some]] += 1
    edge[ends[some]] -= 1
    return np.cumsum(edge[:-1], dtype=np.int8).view(bool)


def column(data: Any, offsets: np.ndarray) -> pl.Series:
    """Texts between consecutive byte positions of valid UTF-8."""
    import numpy as np
    import polars as pl
    import pyarrow as pa

    buffers = pa.py_buffer(offsets.astype(np.int64)), pa.py_buffer(data)
    return cast("pl.Series", pl.from_arrow(pa.LargeStringArray.from_buffers(len(offsets) - 1, *buffers)))


def spliced(
    data: np.ndarray, offsets: np.ndarray, starts: np.ndarray, ends: np.ndarray, instead: pl.Series
) -> pl.Series:
    """The texts of `as_bytes` with other texts in the place of stretches, which are in order and do not overlap."""
    import numpy as np

    new, places = as_bytes(instead)
    added = np.diff(places)
    shift = np.concatenate(([0], np.cumsum(added - (ends - starts))))
    moved = offsets + shift[np.searchsorted(starts, offsets)]
    at = starts + shift[:-1]
    fresh = within(int(moved[-1]), at, at + added)
    made = np.empty(int(moved[-1]), np.uint8)
    made[fresh] = new
    made[~fresh] = data[~within(len(data), starts, ends)]
    return column(made, moved)
