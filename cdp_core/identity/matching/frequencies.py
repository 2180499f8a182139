"""How common a value is: the term frequencies of a model, which stay as they are when records are added.

A model keeps only values that at least LEAST records share, so it names nobody; all others count as equally rare.
"""

from __future__ import annotations

from typing import Any

import polars as pl

LEAST = 5
MOST_VALUES = 2_000
COLUMNS = ("first_name", "last_name", "city", "state")


def frequencies(records: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Column to `{"other": share of a rare value, "values": {value: share}}`.

    >>> frequencies(pl.DataFrame({"city": ["york"] * 8 + ["hull", "leeds"]}))["city"]
    {'other': 0.1, 'values': {'york': 0.8}}
    """
    return {name: _of(records[name].drop_nulls()) for name in COLUMNS if name in records.columns}


def _of(values: pl.Series) -> dict[str, Any]:
    counts = values.to_frame("value").group_by("value").len("n").sort(["n", "value"], descending=[True, False])
    common = counts.filter(pl.col("n") >= LEAST).head(MOST_VALUES)
    rare = counts.height - common.height
    other = (values.len() - int(common["n"].sum())) / rare if rare else 1.0
    total = max(values.len(), 1)
    shares = {value: round(n / total, 9) for value, n in common.iter_rows()}
    return {"other": round(other / total, 9), "values": shares}


def with_frequencies(records: pl.DataFrame, known: dict[str, dict[str, Any]]) -> pl.DataFrame:
    """`records` with a column tf_… for each column that the model knows."""
    return records.with_columns(
        pl.when(pl.col(name).is_not_null())
        .then(pl.col(name).replace_strict(kept["values"], default=kept["other"], return_dtype=pl.Float64))
        .alias(f"tf_{name}")
        for name, kept in known.items()
    )
