"""Training without labels: from normalised records to the parameters of a model.

1. The prior from deterministic rules, u from random pairs, m from expectation maximisation in Splink, one session a
   blocking rule; each leaves out the comparisons that its own rule decides.
2. All blocked pairs together, expectation maximisation once more over how often each combination of levels occurs:
   that corrects the prior and u for the pairs of one person that are among the random ones.
"""

from __future__ import annotations

import contextlib
import statistics
from dataclasses import replace
from typing import Any

import polars as pl

from cdp_core.identity.matching.blocking import blocking_rules, pairs, sql
from cdp_core.identity.matching.comparisons import Comparison, comparisons
from cdp_core.identity.matching.frequencies import frequencies, with_frequencies
from cdp_core.identity.matching.linker import opened
from cdp_core.identity.matching.records import ID
from cdp_core.identity.matching.refine import refine
from cdp_core.identity.matching.spec import ROLES, Role

VERSION = 1
SEED = 20_260_101
RANDOM_PAIRS = 600_000
EM_PAIRS = 500_000
TRAINING_RECORDS = 50_000
MOST_SESSIONS = 3
FEWEST_RECORDS = 50
FEWEST_PAIRS = 10
"""With fewer records, or fewer pairs in a session, nothing is trained: m and u stay as comparisons.py has them."""
RULES_RECALL = 0.6
"""What share of the pairs of one person the deterministic rules are taken to find."""
_DETERMINISTIC: tuple[tuple[Role, ...], ...] = (
    ("national_id",),
    ("first_name", "last_name", "birth_date"),
    ("email", "first_name"),
    ("email", "last_name"),
    ("email", "birth_date"),
    ("phone", "first_name", "last_name"),
    ("first_name", "last_name", "street"),
    ("first_name", "last_name", "postcode"),
)
_SESSIONS: tuple[tuple[Role, ...], ...] = (
    ("national_id",),
    ("email",),
    ("birth_date",),
    ("first_name", "last_name"),
    ("phone",),
    ("street", "house_number"),
    ("last_name", "postcode"),
)


def train(records: pl.DataFrame) -> dict[str, Any]:
    """A model as JSON: roles, blocking rules, prior, m and u of each level, and how common values are.

    `records` are normalised. A role counts when it has values, and among many records at least two different ones. The
    same records give the same model.
    """
    few = records.height < FEWEST_RECORDS
    roles = frozenset(role for role in ROLES if records[role].drop_nulls().n_unique() > (0 if few else 1))
    bare = records.drop([role for role in ROLES if role not in roles])
    compared = comparisons(roles)
    model = {
        "version": VERSION,
        "roles": [role for role in ROLES if role in roles],
        "records": records.height,
        "trained": False,
        "prior": 0.1 / max(records.height, 2),
        "blocking_rules": blocking_rules(bare),
        "levels": {c.name: [[level.label, level.m, level.u] for level in c.scored] for c in compared},
        "frequencies": frequencies(bare),
    }
    if few or not model["blocking_rules"] or not compared:
        return model
    return model | _trained(_sample(records), model, compared)


def settings(model: dict[str, Any], rules: list[str]) -> dict[str, Any]:
    """What Splink compares under these blocking rules, and how a model weighs it."""
    compared = comparisons(frozenset(model["roles"]))
    return {
        "comparisons": [_weighed(c, model["levels"][c.name]).settings() for c in compared],
        "blocking_rules_to_generate_predictions": [{"blocking_rule": rule} for rule in rules],
        "probability_two_random_records_match": model["prior"],
    }


def _weighed(comparison: Comparison, rows: list[list[Any]]) -> Comparison:
    known = {label: (m, u) for label, m, u in rows}
    levels = [x if x.null else replace(x, m=known[x.label][0], u=known[x.label][1]) for x in comparison.levels]
    return replace(comparison, levels=tuple(levels))


def _sample(records: pl.DataFrame) -> pl.DataFrame:
    if records.height <= TRAINING_RECORDS:
        return records
    return records.sample(TRAINING_RECORDS, seed=SEED).sort(ID)


def _trained(records: pl.DataFrame, model: dict[str, Any], compared: list[Comparison]) -> dict[str, Any]:
    roles = set(model["roles"])
    weighed = with_frequencies(records, model["frequencies"])
    with opened(weighed, settings(model, model["blocking_rules"]), threads=1) as linker:
        _prior(linker, [rule for rule in _DETERMINISTIC if set(rule) <= roles])
        linker.training.estimate_u_using_random_sampling(RANDOM_PAIRS, SEED, min_count_per_level=None, num_chunks=1)
        learnt = _learnt(linker)
        patterns = _patterns(linker, compared)
    if patterns.is_empty():
        return {}
    sessions = [rule for rule in _SESSIONS if set(rule) <= roles and pairs(records, rule) >= FEWEST_PAIRS]
    start = model | _as_model(learnt, model["levels"])
    trained = [_session(weighed, start, rule) for rule in sessions[:MOST_SESSIONS]]
    m = {c.name: _middle([t[c.name] for t in trained if c.name in t], c) for c in compared}
    totals = {c.name: _comparable(records, c.name) for c in compared}
    total = _choose_two(records.height)
    refined = refine(patterns, compared, prior=start["prior"], m=m, u=learnt["u"], totals=totals, total=total)
    return refined | {"trained": True}


def _prior(linker: Any, rules: list[tuple[Role, ...]]) -> None:
    if rules:
        # Splink refuses when more pairs agree than there can be; the plain prior stays.
        with contextlib.suppress(ValueError):
            linker.training.estimate_probability_two_random_records_match([sql(r) for r in rules], RULES_RECALL)


def _session(weighed: pl.DataFrame, start: dict[str, Any], rule: tuple[Role, ...]) -> dict[str, list[float]]:
    """The m of the comparisons that the rule leaves open, by comparison.

    Each session has a linker of its own, for one that fails leaves its linker in pieces. It fails when the rule leaves
    nothing to compare, and when the m of a level falls to zero.
    """
    from splink.internals.exceptions import EMTrainingException

    with opened(weighed, settings(start, start["blocking_rules"][:1]), threads=1) as linker:
        before = _learnt(linker)["m"]
        with contextlib.suppress(EMTrainingException, ValueError):
            linker.training.estimate_parameters_using_expectation_maximisation(
                sql(rule), estimate_without_term_frequencies=True, max_pairs=EM_PAIRS
            )
            after = _learnt(linker)["m"]
            return {name: values for name, values in after.items() if values != before[name]}
    return {}


def _learnt(linker: Any) -> dict[str, Any]:
    """prior, and m and u by comparison, as Splink has them; 0 for a level that was never seen."""
    saved = linker.misc.save_model_to_json()
    found: dict[str, Any] = {"prior": min(max(saved["probability_two_random_records_match"], 1e-9), 0.5)}
    for kind in ("m", "u"):
        found[kind] = {
            comparison["output_column_name"]: [
                _number(level.get(f"{kind}_probability"))
                for level in comparison["comparison_levels"]
                if not level.get("is_null_level")
            ]
            for comparison in saved["comparisons"]
        }
    return found


def _as_model(learnt: dict[str, Any], levels: dict[str, Any]) -> dict[str, Any]:
    rows = {
        name: [[label, m, max(u, 1e-9)] for (label, m, _), u in zip(known, learnt["u"][name], strict=True)]
        for name, known in levels.items()
    }
    return {"prior": learnt["prior"], "levels": rows}


def _middle(found: list[list[float]], comparison: Comparison) -> list[float]:
    """The median over sessions of each level's m; the one to begin with where no session trained it."""
    if not found:
        return [level.m for level in comparison.scored]
    return [statistics.median(values) for values in zip(*found, strict=True)]


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def _patterns(linker: Any, compared: list[Comparison]) -> pl.DataFrame:
    scored = linker.inference.predict(warning_mode="never").physical_name
    names = ", ".join(f"gamma_{c.name}" for c in compared)
    query = f"SELECT {names}, count(*) AS n FROM {scored} GROUP BY ALL ORDER BY ALL"
    return pl.DataFrame(linker.misc.query_sql(query).as_pyarrow_table())


def _comparable(records: pl.DataFrame, name: str) -> int:
    """How many pairs have something to compare; a household always has."""
    columns = {"place": ["postcode", "city"], "household": [ID]}.get(name, [name])
    return _choose_two(records.select(pl.any_horizontal(pl.col(columns).is_not_null()).sum()).item())


def _choose_two(n: int) -> int:
    return n * (n - 1) // 2
