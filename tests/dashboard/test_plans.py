"""Tracking plans on the quality page: what breaks them, and another plan tried, saved and put back."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from test_pages import drawn, has, words

import cdp_core as cdp
from cdp_core.dashboard.views import plans as view

pytestmark = pytest.mark.usefixtures("fresh_caches")
VIEW = "Tracking plans"
FILE = "expectations/tracking_plan/shop.yaml"


def text_of(root: Path) -> str:
    return (root / FILE).read_text()


def test_what_breaks_the_plans_is_what_the_table_says(ws: cdp.Workspace) -> None:
    table = ws.polars(ws.table("violations")).filter(pl.col("rule").str.starts_with("plan."))
    assert table.height, "the demo has something to show"
    found = view.broken(ws)
    assert found["events"].sum() == table["count"].sum()
    assert found["first_seen"].min() == table["first_seen"].min()
    assert found["last_seen"].max() == table["last_seen"].max()
    assert "traits.email is required" in found["what"].to_list()
    assert not found["sample"].str.contains("[", literal=True).any()
    assert view.over_time(ws)["events"].to_list() == [table["count"].sum()]
    assert view.used(ws).select("source", "plan", "violations").rows() == [("web_events", "shop", "allow")]


def test_the_part_of_the_page(built: Path) -> None:
    at = drawn("quality", built, view=VIEW, plan_as="YAML")
    assert "What breaks them" in words(at)
    assert at.text_area(key="plan_text_shop").value == text_of(built)


def test_a_workspace_without_plans_says_how_to_begin(shop: Path) -> None:
    (shop / FILE).unlink()
    lines = (shop / "cdp.yaml").read_text().splitlines()
    (shop / "cdp.yaml").write_text("\n".join(line for line in lines if "plan: shop" not in line))
    assert "cdp quality plan infer" in words(drawn("quality", shop, view=VIEW))


def test_a_plan_that_is_wrong_says_which_line(shop: Path) -> None:
    before = text_of(shop)
    at = drawn("quality", shop, view=VIEW, plan_as="YAML")
    at.text_area(key="plan_text_shop").set_value("events:\n  A: {propertes: {}}\n").run()
    at.button(key="plan_try").click().run()
    assert not at.exception
    assert "shop.yaml:2" in at.warning[0].value.replace("\\", "")
    assert not has(at, "plan_save")
    assert text_of(shop) == before


def test_a_plan_is_previewed_saved_and_put_back(shop: Path) -> None:
    before = text_of(shop)
    after = before.replace("required: true, description: As it was typed", "description: As it was typed")
    assert after != before
    at = drawn("quality", shop, view=VIEW, plan_as="YAML")
    at.button(key="plan_try").click().run()
    with cdp.open(shop) as ws:
        held = ws.plans.preview("shop", "web_events").held
    assert held
    assert f"With this plan, **{held}** of the last" in words(at)
    at.text_area(key="plan_text_shop").set_value(after).run()
    assert not has(at, "plan_save"), "nothing is saved that was not previewed"
    at.button(key="plan_try").click().run()
    assert "With this plan, **0** of the last" in words(at)
    assert f"would have been held (now: {held})." in words(at)
    at.button(key="plan_save").click().run()
    assert not at.exception
    assert not at.error
    assert text_of(shop) == after
    assert "The next run applies the plan" in words(at)
    at.button(key="plan_undo").click().run()
    assert not at.exception
    assert text_of(shop) == before
    assert not has(at, "plan_undo")


def test_a_plan_previewed_over_another_file_is_not_saved(shop: Path) -> None:
    at = drawn("quality", shop, view=VIEW, plan_as="YAML")
    at.text_area(key="plan_text_shop").set_value("events: {}\n").run()
    at.button(key="plan_try").click().run()
    text = text_of(shop) + "# somebody was here\n"
    (shop / FILE).write_text(text)
    at.button(key="plan_save").click().run()
    assert not at.exception
    assert "has changed" in at.error[0].value
    assert text_of(shop) == text
