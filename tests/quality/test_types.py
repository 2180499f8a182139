"""Every expectation type on a staged table: counted and named rows equal those that plain Python finds."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from quality_kit import expect

from cdp_core.engine.staging import Staging
from cdp_core.quality.catalogue import TYPES
from cdp_core.quality.result import ExpectationResult
from cdp_core.quality.spec import Suite
from cdp_core.quality.validator import Validator

Row = dict[str, Any]
WORDS = ["alpha", "be'ta", "50% off", "a:b", None, "ünïcode", "", 'say "hi"', "x\\y", "alpha"]
START = datetime(1998, 1, 1)
ROWS: list[Row] = [
    {
        "message_id": f"m{n}",
        "word": WORDS[n % 10],
        "odd col": f"v{n % 7}",
        "n": None if n % 11 == 0 else n,
        "small": n % 5,
        "price": n / 4,
        "a": START + timedelta(days=n),
        "b": START + timedelta(days=n - (3 if n % 9 == 0 else 0)),
        "country": ["DE", "US", None][n % 3],
        "code": None if n % 13 == 0 else f"c{n // 2}",
        "empty": None if n < 38 else "x",
    }
    for n in range(40)
]


def _given(column: str, bad: Callable[[Any], bool]) -> Callable[[Row], bool]:
    return lambda row: row[column] is not None and bad(row[column])


def _repeated(*columns: str) -> Callable[[Row], bool]:
    counts = Counter(tuple(row[c] for c in columns) for row in ROWS)
    whole = all
    return lambda row: whole(row[c] is not None for c in columns) and counts[tuple(row[c] for c in columns)] > 1


def _z(row: Row) -> bool:
    values = [r["price"] for r in ROWS]
    mean = sum(values) / len(values)
    deviation = (sum((v - mean) ** 2 for v in values) / (len(values) - 1)) ** 0.5
    return bool(abs((row["price"] - mean) / deviation) >= 1)


GERMAN = {"row_condition": 'col("country")=="DE"', "condition_parser": "great_expectations"}
C = "expect_column_values_to_"
CASES: list[tuple[str, dict[str, Any], Callable[[Row], bool]]] = [
    (C + "not_be_null", {"column": "n"}, lambda r: r["n"] is None),
    (C + "not_be_null", {"column": "n", **GERMAN}, lambda r: r["n"] is None and r["country"] == "DE"),
    (C + "be_null", {"column": "empty"}, lambda r: r["empty"] is not None),
    (C + "be_unique", {"column": "code"}, _repeated("code")),
    (C + "be_unique", {"column": "odd col"}, _repeated("odd col")),
    (C + "be_in_set", {"column": "word", "value_set": ["alpha", "be'ta", "50% off"]},
     _given("word", lambda v: v not in ("alpha", "be'ta", "50% off"))),
    (C + "be_in_set", {"column": "price", "value_set": [1, 2]}, lambda r: r["price"] not in (1, 2)),
    (C + "be_in_set", {"column": "small", "value_set": [1, 2], **GERMAN},
     lambda r: r["small"] not in (1, 2) and r["country"] == "DE"),
    (C + "not_be_in_set", {"column": "small", "value_set": [0]}, lambda r: r["small"] == 0),
    (C + "be_between", {"column": "n", "min_value": 1, "max_value": 2}, _given("n", lambda v: not 1 <= v <= 2)),
    (C + "be_between", {"column": "price", "min_value": 0, "strict_min": True}, lambda r: r["price"] <= 0),
    (C + "be_between", {"column": "a", "min_value": "1998-01-05T00:00:00", "max_value": "1998-02-01T00:00:00"},
     lambda r: not datetime(1998, 1, 5) <= r["a"] <= datetime(1998, 2, 1)),
    (C + "match_regex", {"column": "word", "regex": r"^[a-z:']{3,5}$"},
     _given("word", lambda v: not re.search(r"^[a-z:']{3,5}$", v))),
    (C + "match_regex", {"column": "word", "regex": r"^\w+\\\w$|%|\""},
     _given("word", lambda v: not re.search(r"^\w+\\\w$|%|\"", v))),
    (C + "not_match_regex", {"column": "word", "regex": "^al"}, _given("word", lambda v: v.startswith("al"))),
    (C + "match_regex_list", {"column": "word", "regex_list": ["^a", "b"], "match_on": "any"},
     _given("word", lambda v: not (v.startswith("a") or "b" in v))),
    (C + "match_regex_list", {"column": "word", "regex_list": ["^a", "b"], "match_on": "all"},
     _given("word", lambda v: not (v.startswith("a") and "b" in v))),
    (C + "not_match_regex_list", {"column": "word", "regex_list": ["^a", "b"]},
     _given("word", lambda v: v.startswith("a") or "b" in v)),
    (C + "match_like_pattern", {"column": "word", "like_pattern": "%a%"}, _given("word", lambda v: "a" not in v)),
    (C + "match_like_pattern", {"column": "word", "like_pattern": "%!%%", "escape": "!"},
     _given("word", lambda v: "%" not in v)),
    (C + "not_match_like_pattern", {"column": "word", "like_pattern": "a%"},
     _given("word", lambda v: v.startswith("a"))),
    (C + "match_like_pattern_list", {"column": "word", "like_pattern_list": ["a%", "%t%"], "match_on": "any"},
     _given("word", lambda v: not (v.startswith("a") or "t" in v))),
    (C + "not_match_like_pattern_list", {"column": "word", "like_pattern_list": ["a%", "%t%"]},
     _given("word", lambda v: v.startswith("a") or "t" in v)),
    ("expect_column_value_lengths_to_be_between", {"column": "word", "min_value": 1, "max_value": 5},
     _given("word", lambda v: not 1 <= len(v) <= 5)),
    ("expect_column_value_lengths_to_equal", {"column": "word", "value": 5}, _given("word", lambda v: len(v) != 5)),
    ("expect_column_value_z_scores_to_be_less_than", {"column": "price", "threshold": 1, "double_sided": True}, _z),
    ("expect_column_pair_values_a_to_be_greater_than_b", {"column_A": "b", "column_B": "a", "or_equal": True},
     lambda r: r["b"] < r["a"]),
    ("expect_column_pair_values_to_be_equal", {"column_A": "a", "column_B": "b"}, lambda r: r["a"] != r["b"]),
    ("expect_compound_columns_to_be_unique", {"column_list": ["small", "odd col"]}, _repeated("small", "odd col")),
    ("expect_compound_columns_to_be_unique", {"column_list": ["small", "country"]}, _repeated("small", "country")),
    ("expect_select_column_values_to_be_unique_within_record", {"column_list": ["small", "n"]},
     lambda r: r["n"] == r["small"]),
    ("expect_multicolumn_sum_to_equal", {"column_list": ["small", "price"], "sum_total": 5},
     lambda r: r["small"] + r["price"] != 5),
    ("expect_multicolumn_values_to_be_equal", {"column_list": ["small", "price"]}, lambda r: r["small"] != r["price"]),
    ("unexpected_rows_expectation", {"unexpected_rows_query": "SELECT * FROM {batch} WHERE small > 3 AND n IS NOT NULL;"},
     lambda r: r["small"] > 3 and r["n"] is not None),
    ("unexpected_rows_expectation",
     {"unexpected_rows_query": "SELECT x.message_id FROM {batch} x JOIN {batch} y ON x.price = y.price + 1"},
     lambda r: r["price"] >= 1),
]  # fmt: skip
WHOLE: list[tuple[str, dict[str, Any], bool, str]] = [
    ("expect_column_distinct_values_to_be_in_set", {"column": "small", "value_set": [0, 1, 2, 3, 4]}, True, "as expected"),
    ("expect_column_distinct_values_to_contain_set", {"column": "small", "value_set": [9]}, False, "not as expected"),
    ("expect_column_distinct_values_to_equal_set", {"column": "small", "value_set": [0]}, False, "not as expected"),
    ("expect_column_max_to_be_between", {"column": "price", "max_value": 5}, False, "not as expected"),
    ("expect_column_min_to_be_between", {"column": "price", "min_value": 0}, True, "as expected"),
    ("expect_column_mean_to_be_between", {"column": "price", "min_value": 9}, False, "4.875"),
    ("expect_column_median_to_be_between", {"column": "price", "max_value": 9}, True, "4.875"),
    ("expect_column_most_common_value_to_be_in_set", {"column": "word", "value_set": ["alpha"]}, True, "as expected"),
    ("expect_column_proportion_of_non_null_values_to_be_between", {"column": "empty", "min_value": 0.5}, False, "0.05"),
    ("expect_column_proportion_of_unique_values_to_be_between", {"column": "small", "max_value": 0.2}, True, "0.125"),
    ("expect_column_quantile_values_to_be_between",
     {"column": "price", "quantile_ranges": {"quantiles": [0.5], "value_ranges": [[0, 9]]}}, True, "as expected"),
    ("expect_column_stdev_to_be_between", {"column": "price", "min_value": 99}, False, "2.923"),
    ("expect_column_sum_to_be_between", {"column": "price", "min_value": 1}, True, "195"),
    ("expect_column_to_exist", {"column": "nope"}, False, "column 'nope' is not in the batch"),
    ("expect_column_type_to_be", {"column": "small", "type_": "BIGINT"}, True, "type BIGINT"),
    ("expect_column_unique_value_count_to_be_between", {"column": "small", "min_value": 6}, False, "5"),
    ("expect_column_values_to_be_in_type_list", {"column": "small", "type_list": ["BIGINT"]}, True, "type BIGINT"),
    ("expect_column_values_to_be_of_type", {"column": "small", "type_": "VARCHAR"}, False, "type BIGINT"),
    ("expect_table_column_count_to_be_between", {"min_value": 50}, False, "11"),
    ("expect_table_column_count_to_equal", {"value": 11}, True, "11"),
    ("expect_table_columns_to_match_ordered_list", {"column_list": ["message_id", "x"]}, False, "missing: x"),
    ("expect_table_columns_to_match_set", {"column_set": ["n"], "exact_match": False}, True, "11 columns"),
    ("expect_table_row_count_to_be_between", {"min_value": 1}, True, "40"),
    ("expect_table_row_count_to_equal", {"value": 41}, False, "40"),
]  # fmt: skip


@pytest.fixture(scope="module")
def checked(
    validator: Validator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Staging, list[ExpectationResult]]]:
    staging = Staging(tmp_path_factory.mktemp("types") / "batch.duckdb")
    staging.append("rows_all", pl.DataFrame(ROWS))
    named = [*((kind, kwargs) for kind, kwargs, _ in CASES), *((kind, kwargs) for kind, kwargs, _, _ in WHOLE)]
    made = tuple(expect(f"r{n}", "warn", kind, **kwargs) for n, (kind, kwargs) in enumerate(named))
    suite = Suite(name="all", kind="source", target="all", path=Path("sources/all.json"), expectations=made)
    yield staging, validator.check(staging, {"rows_all": suite})
    staging.discard()


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{n}-{case[0]}" for n, case in enumerate(CASES)])
def test_failing_rows_are_the_right_ones(checked: Any, number: int) -> None:
    staging, results = checked
    result, wrong = results[number], CASES[number][2]
    wanted = {row["message_id"] for row in ROWS if wrong(row)}
    assert wanted, "a case without failing rows proves nothing"
    assert result.failed == len(wanted), result.observed
    assert not result.success
    assert result.failing_keys_query is not None
    assert set(staging.raw(result.failing_keys_query)["message_id"]) == wanted


@pytest.mark.parametrize("number", range(len(WHOLE)), ids=[case[0] for case in WHOLE])
def test_expectations_about_all_rows(checked: Any, number: int) -> None:
    result = checked[1][len(CASES) + number]
    _, _, success, observed = WHOLE[number]
    assert (result.success, result.observed) == (success, observed)
    assert (result.checked, result.failed) == (1, 0 if success else 1)
    assert result.failing_keys_query is None


def test_every_type_of_the_catalogue_is_tried_here() -> None:
    tried = {kind for kind, *_ in CASES}
    assert tried == {name for name, kind in TYPES.items() if kind.rows}
    assert {kind for kind, *_ in WHOLE} == {name for name, kind in TYPES.items() if not kind.rows}


def test_catalogue_equals_the_installed_great_expectations() -> None:
    """Arguments, and which types there are: those that are not in the catalogue have no SQL implementation."""
    code = """
import json
import great_expectations
from great_expectations.expectations import registry
from great_expectations.expectations.expectation import Expectation
base = set(Expectation.__fields__) | {"batch_id", "library_metadata"}
found = {}
for name in registry.list_registered_expectation_implementations():
    fields = registry.get_expectation_impl(name).__fields__
    own = {k: v.required for k, v in fields.items() if k not in base}
    found[name] = [sorted(own), sorted(k for k, required in own.items() if required)]
print(json.dumps(found))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    installed = json.loads(done.stdout.splitlines()[-1])
    for name, kind in TYPES.items():
        assert [sorted(kind.arguments), sorted(kind.required)] == installed[name], name
    assert installed.keys() - TYPES.keys() == {
        "expect_column_kl_divergence_to_be_less_than",
        "expect_column_pair_values_to_be_in_set",
        "expect_column_values_to_be_dateutil_parseable",
        "expect_column_values_to_be_decreasing",
        "expect_column_values_to_be_increasing",
        "expect_column_values_to_be_json_parseable",
        "expect_column_values_to_match_json_schema",
        "expect_column_values_to_match_strftime_format",
        "expect_column_values_to_not_be_outliers",
        "expect_query_results_to_match_comparison",
        "expect_table_row_count_to_equal_other_table",
    }
