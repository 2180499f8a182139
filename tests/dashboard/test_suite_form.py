"""Suites in the form: what fields make of an expectation, and a suite that is changed, tried, saved and put back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from test_pages import drawn, has, words

import cdp_core as cdp
from cdp_core.dashboard.pages import suite_fields
from cdp_core.dashboard.views import suite_form as view

pytestmark = pytest.mark.usefixtures("fresh_caches")
ORDERS = "Shop orders (source)"
FILE = "expectations/sources/shop_orders.json"


def form(root: Path, suite: str = ORDERS, **query: str) -> AppTest:
    return drawn("quality", root, edit_suite=suite, **query)


def opened(at: AppTest, number: int, name: str = "sources/shop_orders") -> AppTest:
    """The page after a click on a rule: AppTest cannot click into a table."""
    at.session_state[f"suite_draft_{name}"].shown = number
    return at.run()


def field(at: AppTest, kind: str, label: str) -> Any:
    (found,) = [each for each in at.get(kind) if each.label == label and "suite_" in (each.key or "")]
    return found


def test_severities_follow_the_table_and_the_type() -> None:
    assert view.possible_severities("tables/events", True, None) == ["stop", "quarantine", "warn"]
    assert view.possible_severities("tables/events", False, None) == ["stop", "warn"]
    assert view.possible_severities("tables/profiles", True, "quarantine") == ["stop", "quarantine", "warn"]


def test_changes_are_counted() -> None:
    assert view.changes([1, 2], [1, 3]) == 1
    assert view.changes([1], [1, 2, 3]) == 2
    assert view.changes([1, 2], [1]) == 1


@pytest.mark.parametrize("path", sorted(Path(__file__).parents[2].glob("expectations/*/*.json")), ids=lambda p: p.stem)
def test_a_form_that_nobody_touches_changes_nothing(path: Path, built: Path) -> None:
    """Every expectation of the demo, drawn and read back."""
    name = f"{path.parent.name}/{path.stem}"

    def page(root: str, name: str) -> None:
        from pathlib import Path

        import streamlit as st

        from cdp_core.dashboard import session
        from cdp_core.dashboard.pages import suite_fields

        session.choose(Path(root))
        ws = session.workspace()
        for number, item in enumerate(ws.suites.expectations(name)):
            made = suite_fields.edit(ws, name, item, key=str(number), place=number)
            st.session_state.setdefault("made", {})[number] = made

    at = AppTest.from_function(page, args=(str(built), name), default_timeout=60).run()
    assert not at.exception
    assert list(at.session_state["made"].values()) == json.loads(path.read_text())["expectations"]


def test_values_of_the_wrong_kind_are_shown_as_json() -> None:
    assert not suite_fields._fits("values", "a")
    assert not suite_fields._fits("flag", 1)
    assert not suite_fields._fits("share", "1")
    assert suite_fields._fits("bound", "1998-01-01")


def test_a_rule_is_changed_tried_saved_and_put_back(shop: Path) -> None:
    before = (shop / FILE).read_text()
    at = opened(form(shop), 4)
    field(at, "text_input", "Most").set_value("3").run()
    after = before.replace(
        '"column": "cds", "min_value": 1, "max_value": 500', '"column": "cds", "min_value": 1, "max_value": 3'
    )
    assert after != before
    at.button(key="suite_try").click().run()
    assert not at.exception
    with cdp.open(shop) as ws:
        found = ws.suites.preview("shop_orders", text=after)
    assert found.held > 0
    said = (
        f"With this rule, **{found.held:,}** of the {found.rows:,} rows of shop_orders would have been held (now: 0)."
    )
    assert said in words(at)
    assert "Raw rows are not kept" in words(at)
    field(at, "text_input", "Most").set_value("4").run()
    assert not has(at, "suite_save"), "nothing is saved that was not previewed"
    field(at, "text_input", "Most").set_value("3").run()
    at.button(key="suite_save").click().run()
    assert not at.exception
    assert not at.error
    assert (shop / FILE).read_text() == after
    at.button(key="suite_undo").click().run()
    assert (shop / FILE).read_text() == before
    assert not has(at, "suite_undo")


def test_a_suite_is_begun_for_a_table_and_undone(shop: Path) -> None:
    path = shop / "expectations/tables/profile_merges.json"
    path.unlink()
    at = form(shop)
    at.selectbox(key="suite_for").set_value("tables/profile_merges").run()
    at.button(key="suite_begin").click().run()
    at.button(key="suite_add").click().run()
    assert not at.exception
    assert not path.exists()
    field(at, "selectbox", "What must hold").set_value("expect_column_values_to_be_unique").run()
    assert "from_profile_id is there once" in {
        frame.value.iloc[0].get("words") for frame in at.dataframe if "words" in frame.value
    }
    at.button(key="suite_try").click().run()
    assert "Nothing is held in a derived table" in words(at)
    at.button(key="suite_save").click().run()
    assert not at.exception
    (written,) = json.loads(path.read_text())["expectations"]
    assert written == {
        "type": "expect_column_values_to_be_unique",
        "kwargs": {"column": "from_profile_id"},
        "meta": {"severity": "warn"},
    }
    at.button(key="suite_undo").click().run()
    assert not path.exists()


def test_a_rule_goes_and_comes_back_with_the_draft(shop: Path) -> None:
    before = (shop / FILE).read_text()
    at = opened(form(shop), 6)
    (gone,) = [button for button in at.button if (button.key or "").startswith("suite_cut_")]
    gone.click().run()
    at.segmented_control(key="suite_as").set_value("JSON").run()
    assert "free_order" not in at.text_area(key="suite_text_sources/shop_orders").value
    at.button(key="suite_drop").click().run()
    assert at.text_area(key="suite_text_sources/shop_orders").value == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "this is no JSON"),
        ('{"expectations": 3}', "list of `expectations`"),
        ('{"expectations": [{"type": "expect_nothing"}]}', "unknown expectation type"),
        ('{"expectations": [{"type": 5, "kwargs": 3, "meta": []}]}', "`kwargs` is an object"),
        ('{"expectations": [{"type": "expect_column_values_to_be_unique", "kwargs": {"column": {}, "mostly": "x"}, "meta": {"severity": "warn"}}]}', "name of a column"),
        ('{"expectations": [{"type": "expect_column_values_to_be_unique", "kwargs": {"column": "order_id"}, "meta": {}}]}', "no severity"),
    ],
)  # fmt: skip
def test_no_text_breaks_the_form_and_what_is_wrong_is_said(shop: Path, text: str, said: str) -> None:
    at = form(shop, suite_as="JSON")
    at.text_area(key="suite_text_sources/shop_orders").set_value(text).run()
    at.segmented_control(key="suite_as").set_value("Form").run()
    assert not at.exception
    assert said in words(at).replace("\\", "")
    if "list of" not in said and "JSON" not in said:
        assert not opened(at, 0).exception
    at.button(key="suite_try").click().run()
    assert not at.exception
    assert not has(at, "suite_save")
    at.segmented_control(key="suite_as").set_value("JSON").run()
    assert at.text_area(key="suite_text_sources/shop_orders").value == text


def test_samples_are_masked(built: Path) -> None:
    with cdp.open(built) as ws:
        found = ws.suites.preview("sources/crm_contacts")
    shown = " ".join(view.samples(found, False)["content"])
    plain = " ".join(view.samples(found, True)["content"])
    assert "•" in shown
    assert "•" not in plain


def test_edits_over_a_file_that_changed_are_kept_and_not_saved(shop: Path) -> None:
    at = opened(form(shop), 4)
    field(at, "text_input", "Most").set_value("3").run()
    theirs = (shop / FILE).read_text().replace('"max_value": 10000', '"max_value": 20000')
    (shop / FILE).write_text(theirs)
    at.run()
    assert "The file has changed since you began" in words(at)
    at.button(key="suite_try").click().run()
    at.button(key="suite_save").click().run()
    assert "has changed" in at.error[0].value
    assert (shop / FILE).read_text() == theirs


def test_a_suite_that_stops_everything_is_corrected_where_the_page_says_so(shop: Path) -> None:
    before = (shop / FILE).read_text()
    (shop / FILE).write_text(before.replace('"severity": "stop"', '"severity": "halt"'))
    at = form(shop, suite_as="JSON")
    assert "unknown severity 'halt'" in at.error[0].value
    at.text_area(key="suite_text_sources/shop_orders").set_value(before).run()
    at.button(key="suite_try").click().run()
    at.button(key="suite_save").click().run()
    assert not at.exception
    assert not at.error
    assert (shop / FILE).read_text() == before


def test_a_rule_that_was_saved_is_in_the_list_at_once(shop: Path) -> None:
    at = opened(form(shop), 4)
    field(at, "text_input", "Description").set_value("New words for it").run()
    at.button(key="suite_try").click().run()
    at.button(key="suite_save").click().run()
    assert not at.exception
    listed = [frame.value for frame in at.dataframe if "share" in frame.value and "description" in frame.value]
    assert "New words for it" in listed[0]["description"].tolist()


def test_a_rule_that_cannot_be_run_is_said_to_be_so(shop: Path) -> None:
    with cdp.open(shop) as ws:
        rule = {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "nowhere"},
                "meta": {"severity": "quarantine", "description": "Odd"}}  # fmt: skip
        text = ws.suites.put("sources/shop_orders", ws.suites.text("shop_orders"), rule)
    at = form(shop, suite_as="JSON")
    at.text_area(key="suite_text_sources/shop_orders").set_value(text).run()
    at.button(key="suite_try").click().run()
    assert "cannot be run. Odd: column 'nowhere' is not in the batch" in words(at).replace("\\", "")
