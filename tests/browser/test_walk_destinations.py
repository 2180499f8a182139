"""A destination from nothing to delivered in a real browser: added by form, tested, mapped, planned, sent, a refused
row explained, mended and sent again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from test_walk import Watch, address, choose, idle, settled, shop, visit, watched

import cdp_core as cdp
from cdp_core.testing.services.webhook import Receiver

__all__ = ["address", "shop", "watched"]
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    def refuses(row: dict[str, Any]) -> str | None:
        return "email is missing" if row["email"] is None else None

    with Receiver(refuses=refuses) as found:
        yield found


def test_a_destination_from_nothing_to_delivered(watched: tuple[Page, Watch], shop: Path, receiver: Receiver) -> None:
    page, watch = watched
    _add_the_destination(page, shop, receiver)
    _add_the_sync(page)
    with cdp.open(shop) as ws:
        (people, nameless) = ws.sql("SELECT count(*), count(*) - count(email) FROM profiles").row(0)
    assert nameless > 0
    _send(page, people)
    assert len(receiver.state) == people - nameless
    _mend(page, receiver, nameless)
    assert len(receiver.state) == people
    assert set(receiver.effects.values()) == {1}
    assert watch.foreign == []
    assert watch.errors == []


def _add_the_destination(page: Page, shop: Path, receiver: Receiver) -> None:
    visit(page, "Destinations")
    page.get_by_role("button", name="Add a destination").click()
    idle(page)
    _fill(page, "Name", "loyalty")
    box = page.get_by_role("combobox", name="Type")
    box.click()
    page.keyboard.insert_text("Webhook")
    page.get_by_role("option", name=re.compile("^Webhook")).first.click()
    idle(page)
    _fill(page, "URL *", f"{receiver.url}/in")
    page.get_by_text("Private network", exact=True).click()
    idle(page)
    page.get_by_role("button", name="Test connection").click()
    expect(page.get_by_text("It works:")).to_be_visible()
    page.get_by_role("button", name="Save destination").click()
    idle(page)
    assert cdp.open(shop).config.destinations["loyalty"].type == "webhook"


def _add_the_sync(page: Page) -> None:
    page.get_by_role("button", name="Back").first.click()
    idle(page)
    page.get_by_role("button", name="Add a sync").first.click()
    idle(page)
    _fill(page, "Name", "loyalty_people")
    choose(page, "Destination", "loyalty (webhook)")
    for field, column in (("id", "profile_id"), ("email", "email")):
        page.get_by_role("textbox", name="Field at the destination", exact=True).fill(field)
        choose(page, "Comes from", column)
        page.get_by_role("button", name="Add the field").click()
        idle(page)
    page.get_by_role("button", name="Plan", exact=True).click()
    idle(page)
    page.get_by_role("button", name="Save sync").click()
    idle(page)


def _send(page: Page, people: int) -> None:
    page.goto(f"{page.url.split('?')[0]}?sync=loyalty_people")
    settled(page, "Destinations")
    page.get_by_role("button", name="Show the plan").click()
    page.get_by_role("button", name=f"Send: add {people:,}").click()
    expect(page.get_by_text(re.compile("Loyalty people ran in"))).to_be_visible(timeout=90_000)
    idle(page)


def _mend(page: Page, receiver: Receiver, nameless: int) -> None:
    """The receiver's rule is what is wrong here: it learns that people without an address are people too."""
    page.get_by_role("tab", name="Refused").click()
    idle(page)
    expect(page.get_by_text(re.compile("Answered 422: email is missing · ")).first).to_be_visible()
    receiver.refuses = None
    page.get_by_role("button", name="Try all again").click()
    expect(page.get_by_text(re.compile("Loyalty people ran in"))).to_be_visible(timeout=90_000)
    idle(page)
    page.get_by_role("tab", name="Refused").click()
    expect(page.get_by_text("Nothing is refused")).to_be_visible()
    page.get_by_role("tab", name="History").click()
    idle(page)


def _fill(page: Page, label: str, text: str) -> None:
    box = page.get_by_role("textbox", name=label, exact=True)
    box.fill(text)
    box.press("Enter")
    idle(page)
