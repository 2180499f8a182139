"""Samples of violations: they name rows by their keys, and a key may have been made of a person's data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.engine import Engine
    from cdp_core.runs.erasure.find import Trace


def samples_of(engine: Engine, found: Sequence[Trace]) -> pl.DataFrame:
    """Violations whose sample has keys of rows that go, as they were and as they shall be (`left`)."""
    import polars as pl

    gone = [one.rows.select("message_id") for one in found if one.table in ("events", "quarantine")]
    keys = engine.keep(gone[0].union(gone[1]).distinct())
    table = engine.table("violations")
    named = table.filter(table["sample"].notnull() & (table["sample"] != "[]")).select("sample").distinct()
    parts = named.select("sample", key=engine.json_list(named["sample"]).unnest())
    touched = engine.polars(parts.semi_join(keys.rename(key="message_id"), "key").select("sample").distinct())
    if touched.is_empty():
        return touched.with_columns(left=pl.lit(None, pl.String))
    stays = engine.polars(parts.anti_join(keys.rename(key="message_id"), "key"))
    left = stays.group_by("sample").agg(pl.col("key").sort())
    listed = dict(zip(left["sample"], (json.dumps(each) for each in left["key"].to_list()), strict=True))
    return touched.with_columns(left=pl.col("sample").replace_strict(listed, default="[]", return_dtype=pl.String))


def clear_samples(engine: Engine, samples: pl.DataFrame) -> None:
    """Write those as they shall be; within the transaction in which the rows go."""
    if samples.is_empty():
        return
    told = engine.frame(samples)
    rows = engine.keep(engine.table("violations").inner_join(told, "sample"))
    engine.amend("violations", told, rows.drop("sample").rename(sample="left"), ("sample",))
