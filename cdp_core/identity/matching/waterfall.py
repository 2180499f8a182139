"""The evidence of one pair as the bars of a chart."""

from __future__ import annotations

import json

import polars as pl

STEPS = {"step": pl.String, "weight": pl.Float64, "start": pl.Float64, "end": pl.Float64}


def waterfall(evidence: str) -> pl.DataFrame:
    """One row per step, the prior first and the total last: step, weight (bits), start and end of its bar.

    `evidence` is that of a pair of `match`. Steps that weigh nothing are left out.

    >>> waterfall('[{"comparison": "prior", "level": "two records at random", "weight": -9.0}]')["end"].to_list()
    [-9.0, -9.0]
    """
    steps = [step for step in json.loads(evidence) if step["weight"] or step["comparison"] == "prior"]
    names = [f"{step['comparison']}: {step['level']}" for step in steps]
    weights = pl.Series(names and [step["weight"] for step in steps], dtype=pl.Float64)
    ends = weights.cum_sum()
    bars = pl.DataFrame({"step": names, "weight": weights, "start": ends - weights, "end": ends}, schema=STEPS)
    total = float(weights.sum())
    return bars.vstack(pl.DataFrame([["match weight", total, 0.0, total]], schema=STEPS, orient="row"))
