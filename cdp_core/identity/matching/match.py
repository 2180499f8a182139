"""Pairs of golden records that may be one person, each with its probability and why."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import polars as pl

from cdp_core.errors import UsageError
from cdp_core.identity.matching.comparisons import Comparison, comparisons
from cdp_core.identity.matching.frequencies import with_frequencies
from cdp_core.identity.matching.linker import opened
from cdp_core.identity.matching.model import VERSION, settings, train
from cdp_core.identity.matching.records import ID, normalise
from cdp_core.identity.matching.spec import MatchingSpec

LEFT, RIGHT = "left_profile_id", "right_profile_id"
PAIRS = {
    LEFT: pl.String,
    RIGHT: pl.String,
    "probability": pl.Float64,
    "match_weight": pl.Float64,
    "evidence": pl.String,
}
_NEW = "is_new"


@dataclass(frozen=True, kw_only=True)
class Matches:
    """What `match` found.

    `pairs`: columns PAIRS, the most probable first; probability 0 to 1, match_weight in bits, left before right.
    `model`: JSON, to be passed in again. `compared`: how many pairs were scored, those below the threshold too.
    """

    pairs: pl.DataFrame
    model: dict[str, Any]
    compared: int


def match(
    records: pl.DataFrame,
    spec: MatchingSpec,
    *,
    known: Iterable[str] | None = None,
    model: dict[str, Any] | None = None,
) -> Matches:
    """The pairs of golden records (profile_id and traits) of at least `spec.review`.

    Without `model` one is trained on `records`. With `known`, the ids of records that were compared with each other
    before, only pairs with another record in it are made; pass the model of that time, and what it said stays true.
    `evidence` is a JSON list of {comparison, level, weight}, the prior first; it holds no values.
    Raises UsageError for a model of another version, or without profile_id.

    >>> match(pl.DataFrame({"profile_id": ["p1"], "email": ["a@b.example"]}), MatchingSpec()).pairs.height
    0
    """
    if model is not None and model.get("version") != VERSION:
        raise UsageError("the model of matching is of another version", hint="match again without a model")
    clean = normalise(records, spec)
    model = model or train(clean)
    old = pl.Series([str(value) for value in (() if known is None else known)], dtype=pl.String)
    clean = with_frequencies(clean, model["frequencies"]).with_columns((~pl.col(ID).is_in(old.implode())).alias(_NEW))
    compared = comparisons(frozenset(model["roles"]))
    rules = model["blocking_rules"]
    if clean.height < 2 or not rules or not compared or not clean[_NEW].any():
        return Matches(pairs=pl.DataFrame(schema=PAIRS), model=model, compared=0)
    if known is not None:
        rules = [f"{rule} AND (l.{_NEW} OR r.{_NEW})" for rule in rules]
    with opened(clean, settings(model, rules)) as linker:
        blocked = linker.inference.compute_blocked_pairs_for_predict().physical_name
        count = linker.misc.query_sql(f"SELECT count(*) AS n FROM {blocked}").as_record_list()[0]["n"]
        scored = linker.inference.predict(spec.review, warning_mode="never").physical_name
        query = f"SELECT {ID}_l, {ID}_r, COLUMNS('^(match|gamma|mw)_') FROM {scored}"
        found = pl.DataFrame(linker.misc.query_sql(query).as_pyarrow_table())
    return Matches(pairs=_pairs(found, compared, model["prior"]), model=model, compared=int(count))


def _pairs(found: pl.DataFrame, compared: list[Comparison], prior: float) -> pl.DataFrame:
    a, b = pl.col(f"{ID}_l"), pl.col(f"{ID}_r")
    ids = {LEFT: pl.min_horizontal(a, b), RIGHT: pl.max_horizontal(a, b)}
    shown = found.select(
        **ids,
        probability=pl.col("match_probability"),
        match_weight=pl.col("match_weight").round(6),
        evidence=_evidence(found.columns, compared, prior),
    )
    return shown.sort("match_weight", LEFT, RIGHT, descending=[True, False, False]).cast(PAIRS)  # type: ignore[arg-type]


def _evidence(columns: list[str], compared: list[Comparison], prior: float) -> pl.Expr:
    """JSON text, put together from columns; what could not be compared is left out."""
    first = json.dumps(
        {"comparison": "prior", "level": "two records at random", "weight": round(math.log2(prior / (1 - prior)), 4)}
    )
    steps = [_step(c, f"mw_tf_adj_{c.name}" in columns) for c in compared]
    return pl.format("[{}]", pl.concat_str(pl.lit(first), *steps, separator=", ", ignore_nulls=True))


def _step(comparison: Comparison, by_frequency: bool) -> pl.Expr:
    name, levels = comparison.name, comparison.scored
    gamma, weight = pl.col(f"gamma_{name}"), pl.col(f"mw_{name}")
    if by_frequency:
        weight = weight + pl.col(f"mw_tf_adj_{name}")
    labels = {len(levels) - 1 - at: json.dumps(level.label) for at, level in enumerate(levels)}
    label = gamma.replace_strict(labels, default=None, return_dtype=pl.String)
    start = pl.lit(f'{{"comparison": {json.dumps(name)}, "level": ')
    step = pl.concat_str(start, label, pl.lit(', "weight": '), weight.round(4).cast(pl.String), pl.lit("}"))
    return pl.when(gamma >= 0).then(step)
