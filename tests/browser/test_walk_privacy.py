"""A person's rights in a real browser: what is held is handed out, consent noted, the person erased with receipts and a
certificate, while somebody else has them open.
"""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from test_walk import Watch, address, choose, idle, settled, shop, visit, watched

import cdp_core as cdp

__all__ = ["address", "shop", "watched"]
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
SECONDS = 1_000


def test_what_a_person_may_ask_for(watched: tuple[Page, Watch], shop: Path, tmp_path: Path) -> None:
    page, watch = watched
    with cdp.open(shop) as ws:
        assert ws.sync("high_value_csv").run().failed == 0
        query = "SELECT profile_id FROM audience_members WHERE audience = 'high_value' ORDER BY profile_id LIMIT 1"
        person = str(ws.sql(query).item())
        email = str(ws.sql(f"SELECT email FROM profiles WHERE profile_id = '{person}'").item())
    visit(page, "Customers")
    page.goto(f"{page.url.split('?')[0]}?profile={person}")
    settled(page, "Customers")
    _hand_out(page, tmp_path / "package.zip", email)
    _note_consent(page)
    assert page.context.browser
    other = page.context.browser.new_page()
    other.goto(page.url)
    settled(other, "Customers")
    _erase(page)
    _certificate(page, tmp_path / "certificate.json", email)
    _gone(other, shop, person, email)
    visit(page, "Audit log")
    expect(page.get_by_text(re.compile("Unbroken, [0-9]+ entries")).first).to_be_visible()
    idle(page)
    assert watch.foreign == []
    assert watch.errors == []


def _hand_out(page: Page, file: Path, email: str) -> None:
    page.get_by_role("button", name="Export what is held…").click()
    _reason(page, "She wrote to us")
    page.get_by_role("button", name="Prepare", exact=True).click()
    button = page.get_by_role("button", name=re.compile(r"^.*Download \("))
    with page.expect_download() as download:
        button.click()
    download.value.save_as(file)
    with zipfile.ZipFile(file) as package:
        texts = {name: package.read(name).decode() for name in package.namelist()}
    for ending in (".json", ".csv", ".html"):
        assert any(email in text for name, text in texts.items() if name.endswith(ending)), ending
    page.keyboard.press("Escape")
    idle(page)


def _note_consent(page: Page) -> None:
    page.get_by_role("button", name="Note consent…").click()
    choose(page, "Category", "newsletter")
    page.get_by_role("radio", name="Denied").click()
    idle(page)
    _reason(page, "By phone")
    page.get_by_role("button", name="Note it", exact=True).click()
    expect(page.get_by_text("Noted. Syncs keep to it now.")).to_be_visible()
    page.keyboard.press("Escape")
    idle(page)


def _erase(page: Page) -> None:
    page.get_by_role("button", name="Erase…").click()
    form = page.get_by_test_id("stPopoverBody")
    expect(form.get_by_text("This cannot be taken back")).to_be_visible()
    expect(form.get_by_role("button", name="Erase this person")).to_be_disabled()
    _reason(page, "She asked for it")
    word = page.get_by_label("Write erase to confirm", exact=True)
    word.fill("erase")
    word.press("Enter")
    idle(page)
    form.get_by_role("button", name="Erase this person").click()
    expect(page.get_by_role("heading", name="Requests", exact=True, level=1)).to_be_visible()
    done = page.get_by_test_id("stMetric").filter(has_text="Done").get_by_test_id("stMetricValue")
    expect(done).to_have_text("2", timeout=180 * SECONDS)
    idle(page)
    page.get_by_test_id("stDataFrame").first.click(position={"x": 80, "y": 55})
    expect(page.get_by_role("heading", name="Erase request")).to_be_visible()
    expect(page.get_by_text("its answer says that they are gone")).to_be_visible()
    idle(page)


def _certificate(page: Page, file: Path, email: str) -> None:
    with page.expect_download() as download:
        page.get_by_role("button", name="As JSON").click()
    download.value.save_as(file)
    made = json.loads(file.read_text())
    assert made["receipts"]
    assert email not in file.read_text()


def _gone(other: Page, shop: Path, person: str, email: str) -> None:
    """Whoever had the person open sees that they are gone, and no error."""
    idle(other)
    expect(other.get_by_test_id("stException")).to_have_count(0)
    other.reload()
    settled(other, "Customers")
    assert email not in other.get_by_test_id("stMain").inner_text()
    with cdp.open(shop) as ws:
        assert ws.sql(f"SELECT count(*) AS n FROM user_identifiers WHERE profile_id = '{person}'").item() == 0
        assert ws.sql(f"SELECT count(*) AS n FROM events WHERE contains(traits, '{email}')").item() == 0
    assert email not in (shop / "data" / "exports" / "high_value.csv").read_text()


def _reason(page: Page, text: str) -> None:
    box = page.get_by_test_id("stPopoverBody").get_by_label("Reason", exact=True)
    box.fill(text)
    box.press("Enter")
    idle(page)
