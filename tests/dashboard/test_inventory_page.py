"""The inventory's page: inbox, many decisions at once, undo, filters, a field with its picture."""

from __future__ import annotations

from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from test_pages import drawn, words

import cdp_core as cdp
from cdp_core.dashboard.views import inventory as view

pytestmark = pytest.mark.usefixtures("fresh_caches")


def metrics(at: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in at.metric}


def button(at: AppTest, key: str) -> AppTest:
    next(one for one in at.button if one.key == key).click()
    at.run()
    assert not at.exception, [e.value for e in at.exception]
    return at


def test_inbox_is_accepted_at_once_and_taken_back(shop: Path) -> None:
    before = (shop / "cdp.yaml").read_text()
    at = drawn("inventory", shop)
    waiting = int(metrics(at)["Waiting"])
    assert waiting > 10
    assert metrics(at)["Decided"] == "0"
    assert next(one for one in at.button if one.key == "inventory_red").disabled
    button(at, "inventory_accept")
    with cdp.open(shop) as ws:
        assert ws.config.privacy.fields["crm_contacts.traits.email"].class_ == "yellow"
        assert ws.inventory.summary()["inbox"] == 0
    st.cache_resource.clear()
    at.run()
    assert metrics(at)["Waiting"] == "0"
    assert "Nothing waits for you" in words(at)
    assert "Saved in cdp.yaml" in words(at)
    button(at, "decisions_undo")
    assert (shop / "cdp.yaml").read_text().rstrip() == before.rstrip()


def test_fields_are_filtered(built: Path) -> None:
    at = drawn("inventory", built, inventory_view="All fields")
    everything = at.dataframe[0].value.shape[0]
    next(one for one in at.selectbox if one.key == "inventory_source").set_value("crm_contacts")
    next(one for one in at.multiselect if one.key == "inventory_kind").set_value(["E-mail"])
    next(one for one in at.text_input if one.key == "inventory_search").set_value("TRAITS")
    at.run()
    assert at.dataframe[0].value["place"].to_list() == ["traits.email"]
    assert "1 field of" in words(at)
    next(one for one in at.text_input if one.key == "inventory_search").set_value("no such thing")
    at.run()
    assert "No field is like that" in words(at)
    assert everything > 80


def test_a_field_is_decided_and_forgotten(shop: Path) -> None:
    at = drawn("inventory", shop, field="crm_contacts.traits.email")
    said = words(at)
    assert "of the values are e-mail addresses" in said
    assert "Its value reaches **exports**" in said
    assert at.get("echarts_chart")
    next(one for one in at.selectbox if one.key == "control_crm_contacts.traits.email").set_value("hash")
    button(at, "field_save")
    with cdp.open(shop) as ws:
        decided = ws.config.privacy.fields["crm_contacts.traits.email"]
    assert (decided.class_, decided.control) == ("yellow", "hash")
    st.cache_resource.clear()
    at.run()
    button(at, "field_forget")
    assert "privacy" not in (shop / "cdp.yaml").read_text()


def test_fields_without_a_flow_and_unknown_ones(built: Path) -> None:
    assert "Nothing reads it" in words(drawn("inventory", built, field="web_events.context.library.name"))
    assert "There is no such field" in words(drawn("inventory", built, field="nobody.traits.email"))
    follows = words(drawn("inventory", built, field="profiles.email"))
    assert "newsletter.traits.email" in follows.replace("\\", "")


def test_picture_tells_the_value_from_who_is_meant(ws: cdp.Workspace) -> None:
    found = view.picture(ws, "shop_orders.properties.total")
    ties = {(left, right): value for left, right, value in found.ties}
    assert ties["properties.total", "Trait · total_spent"]
    assert not ties["properties.total", "Trait · big_orders"]
    assert not ties["Audience · high_value", "Sync · high_value_csv"]
    assert ties["Sync · high_value_csv", "Destination · exports"]
    assert (found.destinations, found.only_decides) == (["exports"], [])
    assert set(found.nodes) == {name for tie in found.ties for name in tie[:2]}


def test_no_value_is_on_the_page(ws: cdp.Workspace) -> None:
    """Whatever the switch for personal data says, the inventory has none to show."""
    table = view.fields(ws).write_json()
    some = ws.sql("SELECT value FROM user_identifiers WHERE type IN ('email', 'phone') LIMIT 200")["value"]
    assert not [value for value in some if value in table]
