"""Which rows are looked at: all of them, or an even share of each group, so that rare events keep all of theirs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine

BUDGET = 400_000
"""Rows of a table that are looked at. Below it every row is."""


def quota(counts: Sequence[int], budget: int) -> int:
    """How many rows a group may have so that all groups together keep to the budget: small groups are kept whole.

    >>> quota([10, 20, 1000], 130), quota([10, 20], 100), quota([50, 50], 10)
    (100, 20, 5)
    """
    if sum(counts) <= budget:
        return max(counts, default=0)
    left, groups = budget, sorted(counts)
    for place, count in enumerate(groups):
        share = left // (len(groups) - place)
        if count > share:
            return max(share, 1)
        left -= count
    return groups[-1]


@contextmanager
def near(engine: Engine) -> Iterator[tuple[Engine, Callable[[ir.Table], ir.Table]]]:
    """Where rows that were drawn are taken apart: the engine itself when it is on this machine, else a DuckDB for the
    length of the scan, since many small steps cost a cluster more than they cost one process.

    Gives that engine, and what brings rows there.
    """
    if engine.local:
        yield engine, engine.keep
        return
    from cdp_core.engine import EngineSpec, open_engine

    with tempfile.TemporaryDirectory(prefix="cdp-inventory-") as folder:
        own = open_engine(Path(folder), EngineSpec.model_validate({}))
        try:
            yield own, lambda rows: own.frame(engine.polars(rows))
        finally:
            own.close()


def drawn(
    engine: Engine, rows: ir.Table, groups: Sequence[str], key: tuple[str, str], budget: int
) -> tuple[ir.Table, int, int]:
    """Rows with a column `weight` (how many rows each stands for), how many there are and how many are looked at.

    Of a group with more rows than its quota, those are taken whose key has a fitting digest: the same in every scan.
    """
    import ibis
    import polars as pl

    counts = engine.polars(rows.group_by(list(groups)).agg(rows=rows.count()))
    total = int(counts["rows"].sum() or 0)
    most = quota(counts["rows"].to_list(), budget)
    if total <= budget:
        return rows.mutate(weight=ibis.literal(1).cast("int64")), total, total
    steps = counts.with_columns(weight=-(-pl.col("rows") // most))
    digest = engine.digest(rows[key[0]], rows[key[1]])
    known = engine.frame(steps.select(*groups, "weight"))
    joined = rows.mutate(digest=digest).join(known, list(groups))
    kept = joined.filter((joined.digest % joined.weight) == 0).drop("digest")
    return kept, total, int((steps["rows"] // steps["weight"]).sum())
