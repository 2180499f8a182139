"""Suites changed in their text, tried on real rows, saved and put back: by Python and by the command line."""

from __future__ import annotations

import difflib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cdp_core as cdp
from cdp_core.cli import execute
from cdp_core.quality.suite_edit import (
    add_expectation,
    cut_expectation,
    expectations_of,
    new_suite,
    put_expectation,
)
from cdp_core.quality.wording import arguments_of, in_words

ROOT = Path(__file__).parents[2]
SECRET = "jane.roe@example.org"
SUITES = sorted((ROOT / "expectations").glob("*/*.json"))


def item(number: int, **more: Any) -> dict[str, Any]:
    return {
        "type": "expect_column_values_to_be_between",
        "kwargs": {"column": "n", "min_value": number},
        "meta": {"severity": "warn", "rule": f"r{number}", "description": f"ü {number}"},
        **more,
    }


def house(items: list[dict[str, Any]]) -> str:
    text = new_suite("s")
    for each in items:
        text = add_expectation(text, "s.json", each)
    return text


STYLES = {
    "house": house,
    "indented": lambda items: json.dumps({"name": "s", "expectations": items, "notes": ["x"]}, indent=2, ensure_ascii=False),
    "one line": lambda items: json.dumps({"expectations": items, "meta": {"expectations": []}}, ensure_ascii=False),
    "tabs": lambda items: json.dumps({"id": "7", "expectations": items}, indent="\t", ensure_ascii=False),
}  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(list(STYLES)),
    st.integers(0, 4),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), max_size=5),
)
def test_random_edits_give_the_edited_suite_and_leave_other_expectations(
    style: str, size: int, steps: list[tuple[int, int]]
) -> None:
    items = [item(number, id=f"kept {number}") for number in range(size)]
    text = STYLES[style](items)
    rest = {key: value for key, value in json.loads(text).items() if key != "expectations"}
    pieces = [json.dumps(each["id"]) for each in items]
    for step, (what, where) in enumerate(steps):
        if what == 0 or not items:
            items.append(item(100 + step))
            text = add_expectation(text, "s.json", items[-1])
            continue
        at = where % len(items)
        pieces = [piece for piece in pieces if piece != json.dumps(items[at].get("id"))]
        if what == 1:
            items[at] = item(200 + step)
            text = put_expectation(text, "s.json", at, items[at])
        else:
            del items[at]
            text = cut_expectation(text, "s.json", at)
    assert expectations_of(text, "s.json") == items
    assert {key: value for key, value in json.loads(text).items() if key != "expectations"} == rest
    original = STYLES[style]([item(number, id=f"kept {number}") for number in range(size)])
    for piece in pieces:
        number = int(piece.strip('"').split()[1])
        assert piece_of(original, number) in text


@pytest.mark.parametrize("style", ["house", "indented", "one line"])
def test_an_expectation_is_written_in_the_style_of_its_file(style: str) -> None:
    items = [item(number) for number in range(3)]
    text = STYLES[style](items)
    changed = [items[0], item(7), items[2]]
    assert put_expectation(text, "s.json", 1, item(7)) == STYLES[style](changed)
    assert add_expectation(text, "s.json", item(8)) == STYLES[style]([*items, item(8)])
    for at in range(3):
        assert cut_expectation(text, "s.json", at) == STYLES[style](items[:at] + items[at + 1 :])


def piece_of(text: str, number: int) -> str:
    from cdp_core.quality.reading import spans

    start, end = spans(text, number + 1)[number]
    return text[start:end]


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_one_change_is_one_line_of_a_diff(path: Path) -> None:
    text = path.read_text()
    last = len(expectations_of(text, "s")) - 1
    for number, each in enumerate(expectations_of(text, "s")):
        other = {**each, "meta": {**each["meta"], "description": "Other words"}}
        lines = list(difflib.ndiff(text.splitlines(), put_expectation(text, "s", number, other).splitlines()))
        assert len([line for line in lines if line[0] in "+-"]) == 2
        assert put_expectation(text, "s", number, each) == text
    assert cut_expectation(add_expectation(text, "s", item(1)), "s", last + 1) == text


def test_what_is_no_suite_names_its_line() -> None:
    with pytest.raises(cdp.SpecError, match=r"s\.json:2: this is no JSON"):
        expectations_of('{\n"expectations": [}', "s.json")
    with pytest.raises(cdp.SpecError, match="list of `expectations`"):
        expectations_of("[]", "s.json")
    with pytest.raises(cdp.UsageError, match="there is no expectation 3"):
        cut_expectation(house([item(1)]), "s.json", 3)


def test_every_argument_has_words_and_a_kind() -> None:
    from cdp_core.quality.catalogue import TYPES

    for name, kind in TYPES.items():
        assert {argument.name for argument in arguments_of(name)} == kind.arguments
        assert "_" not in in_words(name, {"column": "c"})


# The same rows, tried and run ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """People in a CSV (one row twice) and clicks, of which a run must hold some under rules that are tried first."""
    folder = tmp_path_factory.mktemp("suites")
    rows = [f"p{n},{n % 90},{SECRET if n == 7 else ''},1998-01-{n % 28 + 1:02}" for n in range(400)]
    (folder / "people.csv").write_text("id,age,mail,at\n" + "\n".join([*rows, rows[3]]) + "\n")
    clicks = [
        {"type": "track", "event": "Clicked" if n % 3 else "Tapped", "messageId": f"m{n}", "anonymousId": "a",
         "timestamp": "1998-06-01T00:00:00Z"}
        for n in range(300)
    ]  # fmt: skip
    (folder / "web.ndjson").write_text("\n".join(map(json.dumps, clicks)) + "\n")
    (folder / "cdp.yaml").write_text(
        "name: t\ntoday: 1998-07-01\nsources:\n  web: {type: segment, path: web.ndjson}\n  people:\n    type: file\n"
        "    path: people.csv\n    map:\n      type: identify\n      key: [id]\n      time: at\n"
        "      identifiers: {user_id: id}\n      traits: {age: age}\n"
    )
    with cdp.open(folder) as ws:
        assert ws.run().status == "succeeded"
    return folder


@pytest.fixture
def ws(root: Path) -> Iterator[cdp.Workspace]:
    with cdp.open(root) as opened:
        yield opened


def rule(name: str, severity: str, type: str, **kwargs: Any) -> dict[str, Any]:
    return {"type": type, "kwargs": kwargs, "meta": {"severity": severity, "rule": name, "description": f"Of {name}"}}


OLD = rule("young", "quarantine", "unexpected_rows_expectation",
           unexpected_rows_query="SELECT message_id FROM {batch} WHERE CAST(age AS INTEGER) >= 80")  # fmt: skip
EVEN = rule("mail_given", "quarantine", "expect_column_values_to_not_be_null", column="mail")
SLOW = rule("not_very_old", "warn", "expect_column_values_to_not_be_in_set", column="age", value_set=["89"])
CLICKS = rule("clicks", "quarantine", "expect_column_values_to_be_in_set", column="event", value_set=["Clicked"])


def test_a_source_is_previewed_as_a_run_holds_it(ws: cdp.Workspace, tmp_path: Path) -> None:
    name = "sources/people"
    text = ws.suites.begin(name)
    for each in (OLD, SLOW):
        text = ws.suites.put(name, text, each)
    found = ws.suites.preview(name, text=text)
    assert (found.held, found.rows, found.held_now, found.basis) == (40, 400, None, "the 400 rows of people")
    assert found.found.select("rule", "failed", "success").rows() == [("young", 40, False), ("not_very_old", 4, False)]
    assert found.samples["rule"].unique().sort().to_list() == ["not_very_old", "young"]
    assert SECRET not in json.dumps(found.to_dict())
    assert held_by_a_run(ws, tmp_path, name, text) == found.held


def test_events_are_previewed_as_a_run_holds_them(ws: cdp.Workspace, tmp_path: Path) -> None:
    text = ws.suites.put("tables/events", ws.suites.begin("tables/events"), CLICKS)
    found = ws.suites.preview("tables/events", text=text)
    events = ws.polars(ws.table("events"))
    assert found.rows == events.height
    # Events without a name are no value of the column: Great Expectations does not judge them.
    assert found.held == events.filter(pl.col("event") == "Tapped").height == 100
    assert held_by_a_run(ws, tmp_path, "tables/events", text) == found.held
    newest = ws.suites.preview("tables/events", text=text, last=50)
    assert newest.rows == 50
    assert newest.basis == "the last 50 events"
    assert newest.held < 50


def held_by_a_run(ws: cdp.Workspace, folder: Path, name: str, text: str) -> int:
    """What a fresh workspace over the same files holds when it has the suite."""
    for file in ("people.csv", "web.ndjson", "cdp.yaml"):
        (folder / file).write_bytes((ws.root / file).read_bytes())
    with cdp.open(folder) as other:
        other.suites.save(name, text, expected="")
        assert other.run().status == "succeeded"
        return other.quarantine(10_000).height


def test_a_row_that_breaks_two_rules_is_held_once_and_the_standing_suite_is_counted(
    ws: cdp.Workspace, root: Path
) -> None:
    name = "sources/people"
    text = ws.suites.put(name, ws.suites.begin(name), OLD)
    edit = ws.suites.save(name, text, expected="")
    try:
        both = ws.suites.put(name, text, EVEN)
        found = ws.suites.preview(name, text=both)
        assert (found.held, found.held_now) == (399, 40)
        assert found.words == "with suite 'sources/people' 399 of the 400 rows of people would have been held (now: 40)"
        assert ws.suites.preview("people").held == 40
        softer = ws.suites.put(name, text, {**OLD, "meta": {**OLD["meta"], "severity": "warn"}}, at=0)
        assert (ws.suites.preview(name, text=softer).held, ws.suites.preview(name, text=softer).held_now) == (0, 40)
    finally:
        ws.suites.undo(edit)
    assert not (root / "expectations" / "sources" / "people.json").exists()


def test_a_derived_table_is_looked_at_whole_and_says_what_would_stop(ws: cdp.Workspace) -> None:
    name = "tables/profiles"
    many = rule("many", "stop", "expect_table_row_count_to_be_between", min_value=10_000)
    found = ws.suites.preview(name, text=ws.suites.put(name, ws.suites.begin(name), many))
    profiles = ws.polars(ws.table("profiles")).height
    assert (found.rows, found.stops, found.holds) == (profiles, ["many"], False)
    assert "would have stopped: many" in found.words


def test_rows_of_a_source_that_are_gone_are_said_to_be_gone(root: Path, ws: cdp.Workspace, tmp_path: Path) -> None:
    """What clients sent is not kept once it is loaded: its events stand for it."""
    text = ws.suites.put("sources/web", ws.suites.begin("sources/web"), CLICKS)
    assert ws.suites.preview("sources/web", text=text).basis == "the 300 rows of web"
    shutil.copytree(root, tmp_path / "live")
    config = tmp_path / "live" / "cdp.yaml"
    config.write_text(config.read_text().replace("{type: segment, path: web.ndjson}", "{type: collector}"))
    with cdp.open(tmp_path / "live") as live:
        found = live.suites.preview("sources/web", text=text)
        assert found.basis == "the last 300 events of web, whose rows are not kept,"
        assert found.held == 100
        (tmp_path / "live" / "people.csv").unlink()
        with pytest.raises(cdp.SourceError, match="people"):
            live.suites.preview("sources/people", text=live.suites.begin("sources/people"))


def test_columns_and_suites_that_may_be_begun(ws: cdp.Workspace) -> None:
    assert ws.suites.columns("sources/people")["age"] == "number"
    assert ws.suites.columns("tables/events")["timestamp"] == "time"
    assert "sources/people" in ws.suites.possible()
    assert "tables/runs" not in ws.suites.possible()


def test_saving_is_whole_or_not_at_all(ws: cdp.Workspace, root: Path) -> None:
    name = "sources/people"
    text = ws.suites.put(name, ws.suites.begin(name), OLD)
    with pytest.raises(cdp.SpecError, match=r"people\.json:\d+: unknown severity 'hold'"):
        ws.suites.save(name, text.replace('"quarantine"', '"hold"'), expected="")
    with pytest.raises(cdp.UsageError, match="unknown suite 'sources/nobody'"):
        ws.suites.save("sources/nobody", text, expected="")
    for wrong in ("sources/../x", "people", "other/people"):
        with pytest.raises(cdp.UsageError):
            ws.suites.save(wrong, text, expected="")
    assert ws.suites.list().is_empty()
    edit = ws.suites.save(name, text, expected="")
    path = root / "expectations" / "sources" / "people.json"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    changed = ws.suites.put(name, ws.suites.text(name), SLOW)
    ws.suites.save(name, changed, expected=text)
    assert path.read_bytes() == changed.replace("\n", "\r\n").encode()
    with pytest.raises(cdp.UsageError, match="the suite has changed"):
        ws.suites.undo(edit)
    path.unlink()


def test_an_expectation_that_great_expectations_refuses_is_an_error_with_a_line(ws: cdp.Workspace) -> None:
    name = "sources/people"
    wrong = rule("x", "warn", "expect_column_values_to_be_between", column="age", min_value=1, max_value=9)
    wrong["kwargs"]["mostly"] = 7
    with pytest.raises(cdp.SpecError, match=r"people\.json:5: expect_column_values_to_be_between refuses"):
        ws.suites.preview(name, text=ws.suites.put(name, ws.suites.begin(name), wrong))
    broken = rule("x", "warn", "expect_column_values_to_match_regex", column="mail", regex="[")
    found = ws.suites.preview(name, text=ws.suites.put(name, ws.suites.begin(name), broken))
    assert not found.found["success"][0]


def test_the_command_line(root: Path, ws: cdp.Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "sources/people"
    edit = ws.suites.save(name, ws.suites.put(name, ws.suites.begin(name), OLD), expected="")
    draft = tmp_path / "draft.json"
    draft.write_text(ws.suites.put(name, edit.after, EVEN))
    try:
        where = ["--workspace", str(root), "--output", "json"]
        assert execute(["quality", "suite", "list", *where]) == 0
        assert json.loads(capsys.readouterr().out)[0]["quarantine"] == 1
        assert execute(["quality", "suite", "show", "people", *where]) == 0
        assert json.loads(capsys.readouterr().out)["expectations"][0]["words"] == "a query finds no wrong rows"
        assert execute(["quality", "suite", "preview", "people", "--file", str(draft), *where]) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["held"], told["held_now"], told["rows"]) == (399, 40, 400)
        draft.write_text("{\n}")
        assert execute(["quality", "suite", "preview", "people", "--file", str(draft), *where]) == 2
        assert f"{draft}:1" in capsys.readouterr().err
    finally:
        ws.suites.undo(edit)
