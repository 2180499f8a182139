"""What a batch's check decides: counted, held with every reason, or stopped. Great Expectations really runs."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

import polars as pl
import pytest
from quality_kit import EVENT, NOW, REJECT, expect, stage_people, suite

from cdp_core.engine.staging import Staging
from cdp_core.errors import SpecError
from cdp_core.quality.check import Verdict, check_batch, check_tables
from cdp_core.quality.spec import Suite
from cdp_core.quality.validator import Validator
from cdp_core.tables import QUALITY_RESULTS, QUARANTINE, VIOLATIONS

NOT_NULL, REGEX = "expect_column_values_to_not_be_null", "expect_column_values_to_match_regex"
BETWEEN, SQL = "expect_column_values_to_be_between", "unexpected_rows_expectation"
PEOPLE = [
    {"message_id": "m1", "id": "007", "email": "ann@example.org", "age": 30},
    {"message_id": "m2", "id": None, "email": "bob.example.org", "age": 200},
    {"message_id": "m3", "id": "3", "email": None, "age": 41},
    {"message_id": "m4", "id": "4", "email": "no at,\n\"quoted\" ü", "age": None},
]  # fmt: skip
MAIL = expect("email_shape", "quarantine", REGEX, column="email", regex="^[^@]+@[^@]+$")
IDENTITY = expect("id_given", "quarantine", NOT_NULL, column="id")
AGE = expect("age_possible", "warn", BETWEEN, column="age", min_value=0, max_value=120)


def _check(staging: Staging, validator: Validator, tables: dict[str, str], *suites: Suite) -> Verdict:
    return check_batch(staging, suites, validator, source_tables=tables, run_id="r1", now=NOW)


def _held(staging: Staging) -> dict[str, dict[str, Any]]:
    rows = staging.polars(staging.table("held"))
    assert dict(rows.schema) == dict(QUARANTINE.polars_schema())
    found = {row["message_id"]: row for row in rows.to_dicts()}
    assert len(found) == rows.height
    return found


def test_quarantine_holds_exactly_the_failing_rows_with_every_reason(staging: Staging, validator: Validator) -> None:
    tables = stage_people(staging, PEOPLE)
    verdict = _check(staging, validator, tables, suite("people", MAIL, IDENTITY, AGE))
    held = _held(staging)
    assert held.keys() == {"m2", "m4"}
    assert json.loads(held["m2"]["reasons"]) == [
        {"rule": "email_shape", "field": "email", "description": "Words of email_shape"},
        {"rule": "id_given", "field": "id", "description": "Words of id_given"},
    ]
    assert [r["rule"] for r in json.loads(held["m4"]["reasons"])] == ["email_shape"]
    assert {(row["source"], row["status"], row["run_id"], row["received_at"]) for row in held.values()} == {
        ("people", "held", "r1", NOW)
    }
    assert not verdict.stopped


def test_the_original_content_is_kept_to_the_letter(staging: Staging, validator: Validator) -> None:
    _check(staging, validator, stage_people(staging, PEOPLE), suite("people", MAIL))
    held = _held(staging)
    assert json.loads(held["m4"]["payload"]) == {"id": "4", "email": 'no at,\n"quoted" ü', "age": None}
    assert json.loads(held["m2"]["payload"]) == {"id": None, "email": "bob.example.org", "age": 200}


def test_an_original_line_is_kept_as_it_came(staging: Staging, validator: Validator) -> None:
    line = '{ "email":"x" ,"n":1.50}'
    tables = stage_people(staging, [{"message_id": "m1", "email": "x", "_payload": line, "_line": 7}])
    _check(staging, validator, tables, suite("people", MAIL))
    assert _held(staging)["m1"]["payload"] == line


def test_warnings_count_and_hold_nothing(staging: Staging, validator: Validator) -> None:
    verdict = _check(staging, validator, stage_people(staging, PEOPLE), suite("people", AGE))
    assert not _held(staging)
    assert not verdict.stopped
    assert dict(verdict.results.schema) == dict(QUALITY_RESULTS.polars_schema())
    assert verdict.results.to_dicts() == [
        {"run_id": "r1", "suite": "people", "table_name": "people", "rule": "age_possible", "expectation": BETWEEN,
         "field": "age", "severity": "warn", "checked": 4, "failed": 1, "success": False,
         "observed": "1 of 4 rows (25.00%)", "at": NOW}
    ]  # fmt: skip
    assert dict(verdict.violations.schema) == dict(VIOLATIONS.polars_schema())
    assert verdict.violations.to_dicts() == [
        {"run_id": "r1", "source": "people", "event": "Signed Up", "rule": "age_possible", "field": "age",
         "description": "Words of age_possible", "severity": "warn", "count": 1, "first_seen": NOW, "last_seen": NOW,
         "sample": '["m2"]'}
    ]  # fmt: skip


def test_stop_says_which_expectation_stops(staging: Staging, validator: Validator) -> None:
    rows = expect("enough", "stop", "expect_table_row_count_to_be_between", min_value=100)
    given = expect("id_given", "stop", NOT_NULL, column="id")
    verdict = _check(staging, validator, stage_people(staging, PEOPLE), suite("people", rows, given, MAIL))
    assert [(r.rule, r.failed, r.checked) for r in verdict.stopped] == [("enough", 1, 1), ("id_given", 1, 4)]
    assert _held(staging).keys() == {"m2", "m4"}
    assert set(verdict.violations["severity"]) == {"stop", "quarantine"}


def test_a_tolerated_share_of_failures_holds_nothing(staging: Staging, validator: Validator) -> None:
    mail = expect("email_shape", "quarantine", REGEX, column="email", regex="@", mostly=0.3)
    verdict = _check(staging, validator, stage_people(staging, PEOPLE), suite("people", mail))
    assert verdict.results["success"].item()
    assert not _held(staging)


def test_rejected_rows_are_held_and_counted_with_the_others(staging: Staging, validator: Validator) -> None:
    tables = stage_people(staging, PEOPLE)
    at = datetime(1998, 6, 1)
    rejects = [
        ("people", "x1", at, "raw,line", "parse.ragged", "", "line 17: too few values"),
        ("people", "x2", at, "other", "parse.ragged", "", "line 5: too few values"),
        ("web", "m2", at, "{", "parse.json", "", "line 2: no JSON"),
    ]
    staging.append("rejects", pl.DataFrame(rejects, schema=REJECT, orient="row"))
    verdict = _check(staging, validator, tables, suite("people", MAIL))
    rows = staging.polars(staging.table("held")).sort("source", "message_id")
    assert rows.select("source", "message_id").rows() == [
        ("people", "m2"), ("people", "m4"), ("people", "x1"), ("people", "x2"), ("web", "m2"),
    ]  # fmt: skip
    assert rows["payload"].to_list()[2:] == ["raw,line", "other", "{"]
    assert json.loads(rows["reasons"][2]) == [
        {"rule": "parse.ragged", "field": "", "description": "line 17: too few values"}
    ]
    counted = verdict.violations.filter(pl.col("rule").str.starts_with("parse")).sort("rule")
    assert counted.select("source", "rule", "count", "description", "sample", "severity", "first_seen").rows() == [
        ("web", "parse.json", 1, "no JSON", '["m2"]', "quarantine", at),
        ("people", "parse.ragged", 2, "too few values", '["x1", "x2"]', "quarantine", at),
    ]


def test_a_row_that_is_rejected_and_fails_is_held_once(staging: Staging, validator: Validator) -> None:
    tables = stage_people(staging, PEOPLE)
    reject = ("people", "m2", NOW, "the line itself", "map.time", "at", "no date")
    staging.append("rejects", pl.DataFrame([reject], schema=REJECT, orient="row"))
    _check(staging, validator, tables, suite("people", MAIL))
    held = _held(staging)["m2"]
    assert [r["rule"] for r in json.loads(held["reasons"])] == ["map.time", "email_shape"]
    assert held["payload"] == "the line itself"


def test_failures_of_events_are_held_with_the_source_row(staging: Staging, validator: Validator) -> None:
    tables = stage_people(staging, PEOPLE)
    late = {"source": "other", "message_id": "m1", "type": "page", "event": "Home", "user_id": None,
            "timestamp": None, "received_at": NOW}  # fmt: skip
    staging.append("events", pl.DataFrame([late], schema=EVENT))
    once = suite("events", expect("time_given", "quarantine", NOT_NULL, column="timestamp"), kind="table")
    verdict = _check(staging, validator, tables, once)
    (held,) = staging.polars(staging.table("held")).to_dicts()
    assert (held["source"], held["message_id"]) == ("other", "m1")
    assert json.loads(held["payload"])["type"] == "page"
    assert verdict.violations.select("source", "event", "count").rows() == [("other", None, 1)]


def test_a_missing_column_is_a_clear_result(staging: Staging, validator: Validator) -> None:
    tables = stage_people(staging, PEOPLE)
    shape = expect("phone_shape", "quarantine", REGEX, column="phone", regex="x")
    given = expect("city_given", "quarantine", NOT_NULL, column="city")
    there = expect("zip_there", "stop", "expect_column_to_exist", column="zip")
    verdict = _check(staging, validator, tables, suite("people", shape, given, there, IDENTITY))
    found = {row["rule"]: row for row in verdict.results.to_dicts()}
    assert found["phone_shape"]["observed"] == "column 'phone' is not in the batch"
    assert found["city_given"]["observed"] == "column 'city' is not in the batch"
    assert not any(found[rule]["success"] for rule in ("phone_shape", "city_given", "zip_there"))
    assert [r.rule for r in verdict.stopped] == ["zip_there"]
    # Nothing is known about a phone's shape; but without the column no row has a city.
    reasons = {key: {r["rule"] for r in json.loads(row["reasons"])} for key, row in _held(staging).items()}
    assert reasons == {
        "m1": {"city_given"},
        "m2": {"city_given", "id_given"},
        "m3": {"city_given"},
        "m4": {"city_given"},
    }


def test_what_cannot_be_computed_is_a_result_without_values_and_leaves_the_others(
    staging: Staging, validator: Validator
) -> None:
    tables = stage_people(staging, PEOPLE)
    compared = expect("text_between", "warn", BETWEEN, column="email", min_value=0)
    cast = expect("cast", "warn", SQL, unexpected_rows_query="SELECT * FROM {batch} WHERE CAST(email AS INTEGER) > 1")
    wrong = expect("column", "warn", SQL, unexpected_rows_query="SELECT * FROM {batch} WHERE emial IS NULL")
    verdict = _check(staging, validator, tables, suite("people", compared, cast, wrong, MAIL))
    observed = dict(verdict.results.select("rule", "observed").rows())
    assert observed["text_between"].endswith("metrics cannot be computed on column of type VARCHAR.")
    assert observed["cast"] == "could not be computed: the column's type does not fit the expectation"
    assert observed["column"] == 'could not be computed: Referenced column "emial" not found in FROM clause!'
    assert _held(staging).keys() == {"m2", "m4"}
    told = verdict.results.write_json() + verdict.violations.write_json()
    assert not re.search(r"ann@|bob|quoted", told)


def test_arguments_that_great_expectations_refuses_name_the_suite_and_line(
    staging: Staging, validator: Validator
) -> None:
    tables = stage_people(staging, PEOPLE)
    wrong = expect("share", "warn", NOT_NULL, column="id", mostly=7)
    with pytest.raises(
        SpecError, match=r"^expectations/sources/people\.json:3: .* refuses its arguments: mostly"
    ) as caught:
        _check(staging, validator, tables, suite("people", wrong))
    assert "\n" not in str(caught.value)
    assert _check(staging, validator, tables, suite("people", MAIL)).results.height == 1


def test_a_query_that_gives_no_keys_is_a_mistake_in_the_suite(staging: Staging, validator: Validator) -> None:
    tables = stage_people(staging, PEOPLE)
    query = expect("q", "quarantine", SQL, unexpected_rows_query="SELECT email FROM {batch} WHERE email NOT LIKE '%@%'")
    with pytest.raises(SpecError, match="rule 'q' does not give the rows' keys; write SELECT message_id"):
        _check(staging, validator, tables, suite("people", query))


def test_a_source_without_new_rows_is_not_checked(staging: Staging, validator: Validator) -> None:
    tables = stage_people(staging, PEOPLE)
    staging.append("rows_empty", pl.DataFrame(PEOPLE).clear())
    enough = expect("enough", "stop", "expect_table_row_count_to_be_between", min_value=1)
    verdict = _check(
        staging, validator, {**tables, "empty": "rows_empty"}, suite("empty", enough), suite("people", MAIL)
    )
    assert verdict.results["suite"].to_list() == ["people"]


def test_without_suites_only_rejects_are_held(staging: Staging) -> None:
    reject = ("people", "x1", NOW, "line", "parse.ragged", "", "too few values")
    staging.append("rejects", pl.DataFrame([reject], schema=REJECT, orient="row"))
    unused = Validator()
    verdict = check_batch(staging, [], unused, source_tables={}, run_id="r1", now=NOW)
    assert _held(staging).keys() == {"x1"}
    assert (verdict.results.height, verdict.violations.height) == (0, 1)


def test_nothing_wrong_holds_nothing(staging: Staging, validator: Validator) -> None:
    tables = stage_people(staging, PEOPLE[:1])
    verdict = _check(staging, validator, tables, suite("people", MAIL, IDENTITY, AGE))
    assert not _held(staging)
    assert verdict.violations.is_empty()
    assert verdict.results["success"].all()


def test_a_second_check_of_the_same_batch_finds_the_same(staging: Staging, validator: Validator) -> None:
    tables = stage_people(staging, PEOPLE)
    first = _check(staging, validator, tables, suite("people", MAIL, AGE))
    before = staging.polars(staging.table("held")).sort("message_id")
    second = _check(staging, validator, tables, suite("people", MAIL, AGE))
    assert first.results.equals(second.results)
    assert first.violations.equals(second.violations)
    assert staging.polars(staging.table("held")).sort("message_id").equals(before)


def test_derived_tables_warn_and_stop(staging: Staging, validator: Validator) -> None:
    rows = [{"profile_id": f"p{n % 5}", "first_seen": NOW, "last_seen": NOW, "events": n} for n in range(6)]
    staging.append("profiles", pl.DataFrame(rows))
    staging.append("consents", pl.DataFrame({"profile_id": ["p1"], "category": ["x"], "state": ["maybe"]}))
    profiles = suite(
        "profiles",
        expect("key_unique", "stop", "expect_column_values_to_be_unique", column="profile_id"),
        expect("has_events", "warn", BETWEEN, column="events", min_value=1),
        kind="table",
    )
    states = expect("state_known", "stop", "expect_column_values_to_be_in_set", column="state", value_set=["granted"])
    consents = suite("consents", states, kind="table")
    verdict = check_tables(staging, [profiles, consents], validator, tables=["profiles"], run_id="r1", now=NOW)
    assert [(r.rule, r.failed) for r in verdict.stopped] == [("key_unique", 2)]
    assert verdict.violations.select("rule", "count", "sample", "source").rows() == [
        ("key_unique", 2, '["p0"]', None),
        ("has_events", 1, '["p0"]', None),
    ]
    assert not staging.has("held")
    both = check_tables(staging, [profiles, consents], validator, tables=["profiles", "consents"], run_id="r1", now=NOW)
    assert {r.suite for r in both.stopped} == {"profiles", "consents"}


def test_a_sample_of_a_derived_table_names_profiles(staging: Staging, validator: Validator) -> None:
    """Also where the table has the columns that name an event: computed values have no event."""
    rows = {
        "profile_id": ["p1", "p2"],
        "trait": ["orders", "city"],
        "source": [None, "crm"],
        "message_id": [None, "m1"],
    }
    staging.append("profile_traits", pl.DataFrame(rows))
    given = suite("profile_traits", expect("given", "warn", NOT_NULL, column="source"), kind="table")
    verdict = check_tables(staging, [given], validator, tables=["profile_traits"], run_id="r1", now=NOW)
    assert verdict.violations["sample"].to_list() == ['["p1"]']


def test_a_suite_says_which_columns_its_check_needs() -> None:
    given = expect("given", "warn", NOT_NULL, column="trait")
    once = expect("once", "warn", "expect_compound_columns_to_be_unique", column_list=["profile_id", "trait"])
    every = expect("sql", "warn", SQL, unexpected_rows_query="SELECT * FROM {batch} WHERE value = rule")
    some = expect("some", "warn", NOT_NULL, column="value", row_condition='col("trait")=="city"')
    assert suite("profile_traits", given, once, kind="table").columns() == ["profile_id", "trait"]
    assert suite("profile_traits", given, every, kind="table").columns() is None
    assert suite("profile_traits", given, some, kind="table").columns() is None


def test_names_with_odd_letters_work(staging: Staging, validator: Validator) -> None:
    rows = [{"message_id": "m1", "Größe (cm)": None}, {"message_id": "m2", "Größe (cm)": 3}]
    tables = stage_people(staging, rows, source="my-shop 2")
    size = expect("size_given", "quarantine", NOT_NULL, column="Größe (cm)")
    _check(staging, validator, tables, suite("my-shop 2", size))
    held = _held(staging)
    assert held.keys() == {"m1"}
    assert held["m1"]["source"] == "my-shop 2"
    assert json.loads(held["m1"]["payload"]) == {"Größe (cm)": None}
