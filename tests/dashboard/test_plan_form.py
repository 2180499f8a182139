"""Tracking plans in the form: the table's edits, the parts of the page, and a draft that keeps what was typed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from test_pages import drawn, has, words

import cdp_core as cdp
from cdp_core.dashboard.views import plan_form as view

pytestmark = pytest.mark.usefixtures("fresh_caches")
VIEW = "Tracking plans"
FILE = "expectations/tracking_plan/shop.yaml"
RULES = {"total": "number", "kind": {"type": "string", "enum": ["a", 5, None], "description": "d"}, "note": None}


def form(root: Path) -> AppTest:
    return drawn("quality", root, view=VIEW)


def draft(at: AppTest) -> str:
    """The text behind the form, as the other view shows it."""
    at.segmented_control(key="plan_as").set_value("YAML").run()
    text = str(at.text_area(key="plan_text_shop").value)
    at.segmented_control(key="plan_as").set_value("Form").run()
    return text


def test_calls_and_objects() -> None:
    plan = {
        "events": {
            "A": {"versions": {"1": {}}},
            "B": {"properties": {"o": {"properties": {"i": "object"}}}},
            "C": None,
        },
        "identify": {"traits": {}},
    }
    assert [call.label for call in view.calls(plan)] == ["A (version 1)", "B", "C", "Every identify"]
    b = view.calls(plan)[1]
    inside = ("events", "B", "properties", "o", "properties")
    assert view.objects(plan, b)[1:] == [(inside, "o")]
    plan["events"]["B"]["properties"]["o"]["properties"]["i"] = {"type": ["object"]}  # type: ignore[index]
    assert view.objects(plan, b)[2] == ((*inside, "i", "properties"), "o › i")


@pytest.mark.parametrize(
    ("edits", "rules", "problems"),
    [
        ({}, RULES, 0),
        ({"edited_rows": {0: {"minimum": 0.5, "required": True}}},
         {**RULES, "total": {"type": "number", "minimum": 0.5, "required": True}}, 0),
        ({"edited_rows": {1: {"enum": ["a", "5", "null", "6"], "description": ""}}},
         {**RULES, "kind": {"type": "string", "enum": ["a", 5, None, "6"]}}, 0),
        ({"edited_rows": {0: {"type": ["integer", "null"]}}}, {**RULES, "total": ["integer", "null"]}, 0),
        ({"edited_rows": {0: {"name": " sum "}}}, {"sum": "number", "kind": RULES["kind"], "note": None}, 0),
        ({"edited_rows": {0: {"name": "kind"}}}, RULES, 1),
        ({"edited_rows": {0: {"name": None}}}, RULES, 1),
        ({"edited_rows": {0: {"name": "kind"}}, "deleted_rows": [1]}, {"kind": "number", "note": None}, 0),
        ({"added_rows": [{"name": "new", "type": ["string"]}, {}]}, {**RULES, "new": {"type": "string"}}, 0),
        ({"added_rows": [{"type": ["string"]}, {"name": "total"}]}, RULES, 2),
    ],
)  # fmt: skip
def test_what_the_table_makes_of_its_edits(edits: dict[str, Any], rules: dict[str, Any], problems: int) -> None:
    found = view.applied(RULES, edits)
    assert found.rules == rules
    assert list(found.rules) == list(rules)
    assert len(found.problems) == problems


def test_values_that_the_table_cannot_show_stay() -> None:
    odd = {"a": {"minimum": "low", "enum": "x", "type": 5, "required": "yes"}, "b": 3}
    rows = view.table(odd)
    assert [row["minimum"] for row in rows] == [None, None]
    assert view.applied(odd, {"edited_rows": {0: {"description": "d"}}}).rules == {
        "a": {"minimum": "low", "enum": "x", "type": 5, "required": "yes", "description": "d"}, "b": 3,
    }  # fmt: skip


def test_the_form_edits_the_text_and_the_text_is_the_same_draft(shop: Path) -> None:
    before = (shop / FILE).read_text()
    at = form(shop)
    assert at.selectbox(key="plan_call_shop").value == "Product Viewed"
    (description,) = [box for box in at.text_input if box.label == "Description"]
    description.set_value("Looked at: once").run()
    wanted = before.replace("description: Somebody looked at a CD", "description: 'Looked at: once'")
    assert draft(at) == wanted
    at.text_input(key="plan_add_name").set_value("Gift: wrapped")
    at.button(key="plan_add_event").click().run()
    assert not at.exception
    assert at.selectbox(key="plan_call_shop").value == "Gift: wrapped"
    wanted = wanted.replace("\n\nidentify:", "\n  'Gift: wrapped':\n    properties: {}\n\nidentify:")
    assert draft(at) == wanted
    (labels,) = [box for box in at.text_input if box.label == "Labels"]
    labels.set_value("nonsense").run()
    assert "is no label" in words(at)
    assert draft(at) == wanted
    at.button(key="plan_remove").click().run()
    assert draft(at) == wanted.replace("  'Gift: wrapped':\n    properties: {}\n", "")
    assert (shop / FILE).read_text() == before, "nothing is written before it is saved"
    at.button(key="plan_drop").click().run()
    assert draft(at) == before


def test_what_is_seen_and_not_planned_is_one_click_away(shop: Path) -> None:
    text = (shop / FILE).read_text()
    line = next(line for line in text.splitlines() if line.lstrip().startswith("genre") and "enum" in line)
    (shop / FILE).write_text(text.replace(line + "\n", ""))
    at = form(shop)
    taken = at.button(key="plan_take_0")
    assert taken.label.startswith("genre · string · always")
    taken.click().run()
    assert not at.exception
    with cdp.open(shop) as ws:
        model = ws.plans.model("shop", text=draft(at))
    assert model["events"]["Product Viewed"]["properties"]["genre"]["type"] == "string"
    assert not has(at, "plan_take_0")


def test_a_form_over_broken_text_says_so_and_loses_nothing(shop: Path) -> None:
    at = drawn("quality", shop, view=VIEW, plan_as="YAML")
    at.text_area(key="plan_text_shop").set_value("events: [\n").run()
    at.segmented_control(key="plan_as").set_value("Form").run()
    assert not at.exception
    assert "nothing is lost" in words(at)
    assert draft(at) == "events: [\n"
    at.segmented_control(key="plan_as").set_value("YAML").run()
    wrong = "events:\n  A:\n    properties:\n      x: {minimum: 9, maximum: 1, pattern: '['}\n"
    at.text_area(key="plan_text_shop").set_value(wrong).run()
    at.segmented_control(key="plan_as").set_value("Form").run()
    assert not at.exception
    assert "A › x: 'minimum' is above 'maximum'" in words(at).replace("\\", "")
    assert "no regular expression" in words(at)


@pytest.mark.parametrize(
    "text", ["", "events: {}\n", "events: 5\n", "events: {A: [1]}\n", "events:\n  A:\n", "common: 3\n", "- a\n",
             "events:\n  'a.b \"c\"':\n    properties:\n      'd.e': {type: {}}\n", "identify: {traits: []}\n"]
)  # fmt: skip
def test_no_text_breaks_the_form(shop: Path, text: str) -> None:
    (shop / FILE).write_text(text)
    form(shop)


def test_edits_over_a_file_that_changed_are_kept_and_not_saved(shop: Path) -> None:
    at = form(shop)
    (description,) = [box for box in at.text_input if box.label == "Description"]
    description.set_value("Mine").run()
    theirs = (shop / FILE).read_text() + "# theirs\n"
    (shop / FILE).write_text(theirs)
    at.run()
    assert "The file has changed since you began" in words(at)
    assert "description: Mine" in draft(at)
    at.button(key="plan_try").click().run()
    at.button(key="plan_save").click().run()
    assert "has changed" in at.error[0].value
    assert (shop / FILE).read_text() == theirs
    at.button(key="plan_again").click().run()
    assert draft(at) == theirs
