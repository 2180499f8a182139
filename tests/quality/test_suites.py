"""Suites in files: what is read, what is refused and where."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from quality_kit import suite_text, write_suite

from cdp_core.errors import SpecError
from cdp_core.quality.suites import Expectation, load_suites, parse_suite
from cdp_core.tables import CANONICAL

ROOT = Path(__file__).parents[2]
GOOD = {
    "type": "expect_column_values_to_not_be_null",
    "kwargs": {"column": "email"},
    "meta": {"severity": "warn", "rule": "email_given", "description": "Every contact has an e-mail"},
}


def _write(folder: Path, file: str, *expectations: Any, **more: Any) -> Path:
    path = folder / f"{file}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"name": Path(file).name, "expectations": list(expectations), **more}, indent=2))
    return path


def _changed(**more: Any) -> dict[str, Any]:
    """GOOD with keys replaced; meta__x and kwargs__x reach inside, None takes a key away."""
    made = json.loads(json.dumps(GOOD))
    for name, value in more.items():
        part, _, key = name.partition("__")
        target = made[part] if key else made
        target[key or part] = value
        if value is None:
            del target[key or part]
    return made


def test_demo_suites_load_and_name_every_source_and_table() -> None:
    suites = {(s.kind, s.target): s for s in load_suites(ROOT / "expectations")}
    sources = {target for kind, target in suites if kind == "source"}
    assert sources == {"shop_orders", "crm_contacts", "web_events", "support_tickets", "newsletter"}
    assert {target for kind, target in suites if kind == "table"} <= CANONICAL.keys()
    assert ("table", "events") in suites


def test_columns_of_table_suites_are_columns_of_the_tables() -> None:
    for suite in load_suites(ROOT / "expectations"):
        if suite.kind == "table":
            for expectation in suite.expectations:
                assert set(expectation.columns) <= CANONICAL[suite.target].columns.keys(), suite.where(expectation)


def test_files_of_the_demo_are_as_save_writes_them() -> None:
    for suite in load_suites(ROOT / "expectations"):
        assert suite.path.read_text() == suite_text(suite)


def test_no_folder_is_no_suites(tmp_path: Path) -> None:
    assert load_suites(tmp_path / "expectations") == []


def test_save_keeps_everything_and_is_read_back_equal(tmp_path: Path) -> None:
    path = _write(
        tmp_path, "sources/crm", _changed(id="7b0c1d52-6d3f-4c0e-9f57-8d5f1f9b8f10", notes="kept", meta__owner="sales"),
        meta={"team": "crm"}, notes="of the suite",
    )  # fmt: skip
    (before,) = load_suites(tmp_path)
    write_suite(before)
    (after,) = load_suites(tmp_path)
    assert after.to_json() == before.to_json()
    raw = json.loads(path.read_text())
    assert raw["meta"] == {"team": "crm"}
    assert raw["notes"] == "of the suite"
    assert raw["expectations"][0]["notes"] == "kept"
    assert raw["expectations"][0]["meta"]["owner"] == "sales"


def test_save_refuses_what_load_would(tmp_path: Path) -> None:
    path = _write(tmp_path, "tables/profiles", GOOD)
    (suite,) = load_suites(tmp_path)
    held = suite.expectations[0].model_copy(update={"severity": "quarantine"})
    before = path.read_text()
    with pytest.raises(SpecError, match="quarantine"):
        write_suite(suite.model_copy(update={"expectations": (held,)}))
    assert path.read_text() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_new_expectation_can_be_added(tmp_path: Path) -> None:
    _write(tmp_path, "sources/crm", GOOD)
    (suite,) = load_suites(tmp_path)
    added = Expectation(
        type="expect_column_values_to_be_unique",
        kwargs={"column": "id"},
        severity="quarantine",
        rule="id_unique",
        description="An id is there once",
    )
    write_suite(suite.model_copy(update={"expectations": (*suite.expectations, added)}))
    (after,) = load_suites(tmp_path)
    assert [e.rule for e in after.expectations] == ["email_given", "id_unique"]


def test_rule_and_description_have_defaults(tmp_path: Path) -> None:
    _write(tmp_path, "sources/crm", _changed(meta__rule=None, meta__description=None))
    (suite,) = load_suites(tmp_path)
    assert suite.expectations[0].rule == "email_not_be_null"
    assert suite.expectations[0].description == "Column values to not be null"


@pytest.mark.parametrize(
    ("change", "needle", "text"),
    [
        ({"type": "expect_column_values_to_be_nul"}, '"type"', "did you mean 'expect_column_values_to_be_null'?"),
        ({"type": None}, "{", "has no `type`"),
        ({"meta__severity": None}, '"meta"', "no severity in its `meta` (valid: warn, quarantine, stop)"),
        ({"meta__severity": "quarantene"}, "quarantene", "did you mean 'quarantine'?"),
        ({"kwargs__column": None}, '"kwargs"', "needs the argument 'column'"),
        ({"kwargs__colunm": "x"}, "colunm", "unknown argument of expect_column_values_to_not_be_null 'colunm'"),
        ({"kwargs__column": 3}, '"column"', "'column' is the name of a column"),
        (
            {"type": "expect_column_values_to_be_between", "kwargs__min_value": 9, "kwargs__max_value": 1},
            "min_value",
            "'min_value' is above 'max_value'",
        ),
        ({"kwargs": []}, '"kwargs"', "`kwargs` is an object"),
        ({"meta": "warn"}, '"meta"', "`meta` is an object"),
        ({"meta__rule": 3}, '"rule"', "`rule` is a text"),
        ({"serverity": "x"}, "serverity", "unknown key 'serverity'"),
        (
            {"type": "expect_column_mean_to_be_between", "meta__severity": "quarantine"},
            "quarantine",
            "all rows together",
        ),
    ],
)
def test_mistakes_name_file_line_and_choices(tmp_path: Path, change: dict[str, Any], needle: str, text: str) -> None:
    path = _write(tmp_path / "expectations", "sources/crm", _changed(**change))
    lines = path.read_text().splitlines()
    line = next(n for n, written in enumerate(lines, 1) if n > 3 and needle in written)
    with pytest.raises(SpecError) as caught:
        load_suites(tmp_path / "expectations")
    assert str(caught.value).startswith(f"expectations/sources/crm.json:{line}: ")
    assert text in str(caught.value)


def test_the_line_is_that_of_the_right_expectation(tmp_path: Path) -> None:
    query = {
        "type": "unexpected_rows_expectation",
        "kwargs": {"unexpected_rows_query": 'SELECT "expectations", "severity" FROM {batch}'},
        "meta": {"severity": "warn", "rule": "a", "expectations": ["type"]},
    }
    path = _write(tmp_path, "sources/crm", query, GOOD, _changed(meta__severity="halt"))
    wanted = next(n for n, line in enumerate(path.read_text().splitlines(), 1) if '"halt"' in line)
    with pytest.raises(SpecError, match="unknown severity 'halt'") as caught:
        load_suites(tmp_path)
    assert str(caught.value.where).endswith(f"crm.json:{wanted}")


def test_broken_json_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "expectations" / "sources" / "crm.json"
    path.parent.mkdir(parents=True)
    path.write_text('{\n  "name": "crm",\n  "expectations": [\n    {"type": }\n  ]\n}')
    with pytest.raises(SpecError, match=r"^expectations/sources/crm\.json:4: this is no JSON"):
        load_suites(tmp_path / "expectations")


@pytest.mark.parametrize("text", ["[]", "{}", '{"expectations": {}}', "3"])
def test_other_json_is_no_suite(tmp_path: Path, text: str) -> None:
    with pytest.raises(SpecError, match="list of `expectations`"):
        parse_suite(text, tmp_path / "crm.json", "source")


def test_text_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path, "sources/crm", GOOD)
    path.write_bytes("{}".encode("utf-16"))
    with pytest.raises(SpecError, match="not UTF-8"):
        load_suites(tmp_path)


def test_an_unknown_table_gets_the_nearest(tmp_path: Path) -> None:
    _write(tmp_path, "tables/profile", GOOD)
    with pytest.raises(SpecError, match=r"unknown table 'profile' .*did you mean 'profiles'"):
        load_suites(tmp_path)


def test_rows_of_derived_tables_cannot_be_held_and_those_of_events_can(tmp_path: Path) -> None:
    held = _changed(meta__severity="quarantine")
    _write(tmp_path, "tables/events", held)
    assert load_suites(tmp_path)[0].expectations[0].severity == "quarantine"
    _write(tmp_path, "tables/profiles", held)
    with pytest.raises(SpecError, match="rows of a derived table cannot be held"):
        load_suites(tmp_path)


def test_a_rule_is_there_once(tmp_path: Path) -> None:
    _write(tmp_path, "sources/crm", GOOD, GOOD)
    with pytest.raises(SpecError, match="rule 'email_given' is there twice"):
        load_suites(tmp_path)


def test_two_suites_of_one_name_are_refused(tmp_path: Path) -> None:
    _write(tmp_path, "sources/a", GOOD, name="same")
    _write(tmp_path, "sources/b", GOOD, name="same")
    with pytest.raises(SpecError, match=r"suite name 'same' is taken by .*a\.json"):
        load_suites(tmp_path)


def test_a_query_reads_the_batch(tmp_path: Path) -> None:
    query = {
        "type": "unexpected_rows_expectation",
        "kwargs": {"unexpected_rows_query": "SELECT 1"},
        "meta": GOOD["meta"],
    }
    _write(tmp_path, "sources/crm", query)
    with pytest.raises(SpecError, match=r"reads no batch; write FROM \{batch\}"):
        load_suites(tmp_path)


def test_reading_suites_imports_neither_great_expectations_nor_pandas() -> None:
    code = (
        "import sys; from pathlib import Path; from cdp_core.quality.suites import load_suites;"
        "load_suites(Path('expectations')); import cdp_core.quality.check, cdp_core.quality.validator;"
        "print([m for m in ('great_expectations', 'pandas', 'ibis', 'polars', 'sqlalchemy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
