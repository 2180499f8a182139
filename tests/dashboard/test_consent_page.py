"""Consent of everybody on its page; consent noted, a value corrected and a package handed out on a customer's page."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from test_pages import drawn, words

import cdp_core as cdp
from cdp_core.dashboard.views import consent as view

pytestmark = pytest.mark.usefixtures("fresh_caches")


def clicked(at: AppTest, key: str) -> AppTest:
    at.button(key=key).click().run()
    assert not at.exception
    assert not at.error, [e.value for e in at.error]
    return at


def test_a_customers_requests_are_met_and_undone(shop: Path) -> None:
    config = (shop / "cdp.yaml").read_text()
    (shop / "cdp.yaml").write_text(config.replace("  exports:\n", "  exports:\n    consent: newsletter\n", 1))
    with cdp.open(shop) as ws:
        granted = ws.table("consents").filter(lambda t: (t.category == "newsletter") & (t.state == "granted"))
        person = ws.polars(granted.order_by("profile_id").select("profile_id").limit(1)).item()
        before = view.consents(ws)
    page = words(drawn("consent", shop))
    assert "Nobody's statements disagree." in page
    assert "No destination asks" not in page

    at = drawn("customers", shop, profile=person)
    at.selectbox(key="consent_category").set_value("newsletter").run()
    at.segmented_control(key="consent_state").set_value("denied").run()
    assert at.button(key="note_consent").disabled, "a reason is wanted"
    at.text_input(key="reason_consent").set_value("she <b>called</b>").run()
    clicked(at, "note_consent")
    with cdp.open(shop) as ws:
        assert dict(ws.consent.states(person).select("category", "state").rows())["newsletter"] == "denied"
        after = view.consents(ws)
        told = view.history(ws, person)
    assert after.totals["denied"] == before.totals["denied"] + 1
    assert after.uses["withheld"].sum() > before.uses["withheld"].sum()
    assert told.row(0, named=True)["reason"] == "she <b>called</b>"
    assert told["counts"].to_list()[0] is True

    at = drawn("customers", shop, profile=person)
    at.text_input(key="reason_consent_back").set_value("it was somebody else").run()
    clicked(at, "note_consent_back")
    with cdp.open(shop) as ws:
        assert dict(ws.consent.states(person).select("category", "state").rows())["newsletter"] == "granted"
        assert not ws.consent.decisions(person)

    at = drawn("customers", shop, profile=person)
    at.selectbox(key="rectify_trait").set_value("city").run()
    at.text_input(key="rectify_value").set_value("Ulm").run()
    at.text_input(key="reason_rectify").set_value("she wrote").run()
    clicked(at, "note_rectify")
    at = drawn("customers", shop, profile=person)
    at.text_input(key="reason_access").set_value("asked").run()
    at.button(key="prepare_access").click().run()
    whose, rows, data = at.session_state["access_package"]
    assert whose == person
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        told = json.loads(packed.read("person.json"))
    assert rows == sum(len(part) for name, part in told.items() if name not in ("format", "about"))
    assert told["profile"][0]["profile_id"] == person


def test_conflicts_lead_to_the_customer(shop: Path) -> None:
    """Two people of whom the desk knows different things turn out to be one."""
    with cdp.open(shop) as ws:
        known = ws.table("user_identifiers").filter(lambda t: t.type == "user_id")
        person, value = ws.polars(known.order_by("value").select("profile_id", "value").limit(1)).row(0)
        ws.consent.set(f"user_id:{value}", "telephone", "granted", reason="r")
        ws.consent.set("email:new@example.org", "telephone", "denied", reason="r")
        ws.privacy.rectify(f"user_id:{value}", {"email": "new@example.org"}, reason="her new address")
        assert ws.stored.follow().status == "succeeded"
        frame = view.conflicts(ws)
        assert frame.rows() == [(person, "Telephone", "desk", "desk", frame["updated_at"][0])]
    shown = [element.value for element in drawn("consent", shop).dataframe]
    assert [list(frame["profile_id"]) for frame in shown if "granted_by" in frame.columns] == [[person]]
