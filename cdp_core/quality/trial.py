"""A suite tried on staged rows: what it would hold, stop and count, beside the one that stands."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cdp_core.errors import SpecError
from cdp_core.quality.check import run_keys
from cdp_core.quality.result import ExpectationResult
from cdp_core.quality.spec import Expectation, Suite

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.engine.staging import Staging
    from cdp_core.quality.validator import Validator

SAMPLE = 5


@dataclass(frozen=True, kw_only=True)
class Trial:
    """`held` rows fail an expectation of severity quarantine, `held_now` by the suite that stands (None: not asked).

    `results` are those of the suite's expectations, in order. `samples`: columns rule, key, content (JSON of the row).
    """

    rows: int
    held: int
    held_now: int | None
    results: list[ExpectationResult]
    samples: pl.DataFrame


def try_suite(staging: Staging, table: str, suite: Suite, standing: Suite | None, validator: Validator) -> Trial:
    """Run a suite on a staged table. Raises SpecError for an expectation that Great Expectations refuses."""
    results, before = _both(staging, table, suite, standing, validator)
    keys = {id(result): _keys(staging, result) for result in [*results, *(before or [])] if _holds(result)}
    return Trial(
        rows=int(staging.table(table).count().execute()),
        held=_union(keys, results),
        held_now=None if before is None else _union(keys, before),
        results=results,
        samples=_samples(staging, table, results),
    )


def _both(
    staging: Staging, table: str, suite: Suite, standing: Suite | None, validator: Validator
) -> tuple[list[ExpectationResult], list[ExpectationResult] | None]:
    """Results of the suite and of the one that stands, from one check; what both have is run once."""
    if standing is None:
        return validator.check(staging, {table: suite}), None
    known = {_content(expectation): at for at, expectation in enumerate(suite.expectations)}
    others = [e for e in standing.expectations if _content(e) not in known]
    every = suite.model_copy(update={"expectations": (*suite.expectations, *others)})
    try:
        found = validator.check(staging, {table: every})
    except SpecError:
        # It may be the standing suite that cannot run: then it holds nothing to compare with.
        return validator.check(staging, {table: suite}), None
    count = len(suite.expectations)
    places = known | {_content(e): count + at for at, e in enumerate(others)}
    return found[:count], [found[places[_content(e)]] for e in standing.expectations]


def _content(expectation: Expectation) -> str:
    return json.dumps([expectation.type, expectation.kwargs, expectation.severity], sort_keys=True, default=str)


def _holds(result: ExpectationResult) -> bool:
    return result.severity == "quarantine" and result.failing_keys_query is not None


def _keys(staging: Staging, result: ExpectationResult) -> pl.DataFrame:
    import polars as pl

    return run_keys(staging, result).select(pl.all().cast(pl.String))


def _union(keys: dict[int, pl.DataFrame], results: Sequence[ExpectationResult]) -> int:
    import polars as pl

    frames = [keys[id(result)] for result in results if id(result) in keys]
    return pl.concat(frames).unique().height if frames else 0


def _samples(staging: Staging, table: str, results: Sequence[ExpectationResult]) -> pl.DataFrame:
    import polars as pl

    schema = {"rule": pl.String, "key": pl.String, "content": pl.String}
    rows: list[dict[str, Any]] = []
    for result in results:
        if result.failing_keys_query is not None:
            found = run_keys(staging, result, f" ORDER BY ALL LIMIT {SAMPLE}")
            rows += _contents(staging, table, result.rule, found)
    return pl.DataFrame(rows, schema=schema)


def _contents(staging: Staging, table: str, rule: str, keys: pl.DataFrame) -> list[dict[str, Any]]:
    """The rows of a few keys as JSON texts, once each."""
    import ibis

    if keys.is_empty():
        return []
    rows = staging.table(table)
    wanted = rows[keys.columns[-1]].cast("string").isin([str(key) for key in keys[keys.columns[-1]]])
    content = ibis.struct({name: rows[name] for name in rows.columns}).cast("json").cast("string")
    found = staging.polars(rows.filter(wanted).select(key=rows[keys.columns[-1]].cast("string"), content=content))
    found = found.unique("key", maintain_order=True).sort("key").head(SAMPLE)
    return [{"rule": rule, **row} for row in found.to_dicts()]
