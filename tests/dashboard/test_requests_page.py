"""Requests of people on the dashboard: the list, one request, its certificate, and erasing from the customer's page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from test_pages import drawn, words

import cdp_core as cdp
from cdp_core.dashboard.views import overview, requests
from cdp_core.runs.requesting import open_request, tell

pytestmark = pytest.mark.usefixtures("fresh_caches")


def asked(root: Path, days_ago: int, **receipt: object) -> str:
    """A request that came in so many days ago, with a receipt."""
    day = (datetime.now(UTC) - timedelta(days=days_ago)).date()
    made = open_request(root, "erase", ("00ff",), reason="wrote <b>us</b>", actor="me", received=day)
    for step in ("barred", "drained", "rows"):
        tell(root, made.request_id, "step", step=step, taken={"events": 3})
    if receipt:
        told = {"sync": "people", "destination": "box", "type": "sqlite", "rows": 2, "at": "2026-03-01T10:00:00"}
        tell(root, made.request_id, "receipt", receipt=told | receipt)
    return made.request_id


def test_an_empty_list_says_how_to_begin(shop: Path) -> None:
    assert "cdp privacy request erase" in words(drawn("requests", shop))


def test_the_list_and_the_overview_point_out_what_is_late(shop: Path) -> None:
    asked(shop, 40)
    asked(shop, 27)
    done = asked(shop, 2)
    tell(shop, done, "done")
    with cdp.open(shop) as ws:
        frame = requests.rows(ws)
        assert requests.counts(frame) == {"open": 2, "late": 1, "soon": 1, "done": 1}
        told = {need.text: need.level for need in overview.needs(ws) if need.page == "requests"}
    assert told == {"1 request of people past the due day": "error", "1 request of people due within a week": "warning"}
    at = drawn("requests", shop)
    assert [metric.value for metric in at.metric] == ["2", "1", "1", "1"]


def test_one_request_shows_receipts_and_lets_them_be_confirmed_by_hand(shop: Path) -> None:
    name = asked(shop, 5, state="failed", note="answered 503", attempts=2)
    at = drawn("requests", shop, request=name)
    text = words(at)
    assert "answered 503" in text
    assert "<b>us" not in text, "a reason is text"
    assert "Taken out of every table" in text
    at.text_input(key="reason_confirm_people").set_value("they wrote that it is done").run()
    at.button(key="note_confirm_people").click().run()
    assert not at.exception
    with cdp.open(shop) as ws:
        (receipt,) = ws.privacy.requests.get(name).receipts
    assert (receipt.state, receipt.note) == ("confirmed", "by hand: they wrote that it is done")
    assert "no such request" in words(drawn("requests", shop, request="q0"))


def test_a_done_request_gives_its_certificate(shop: Path) -> None:
    name = asked(shop, 5, state="confirmed", note="gone")
    tell(shop, name, "done")
    at = drawn("requests", shop, request=name)
    assert len(at.get("download_button")) == 2
    assert not [button for button in at.button if button.key == "go_on"]


def kept_answer(root: str) -> None:
    """The script of a page that shows when its answer was computed."""
    import time
    from pathlib import Path

    import streamlit as st

    from cdp_core.dashboard import session

    session.choose(Path(root))
    st.caption(str(session.cached(lambda ws: time.monotonic_ns(), session.workspace())))


def test_answers_that_are_kept_go_when_somebody_is_erased(shop: Path) -> None:
    at = AppTest.from_function(kept_answer, args=(str(shop),), default_timeout=60).run()
    first = at.caption[0].value
    assert at.run().caption[0].value == first
    tell(shop, asked(shop, 1), "done")
    assert at.run().caption[0].value != first


def test_erasing_asks_twice(shop: Path) -> None:
    with cdp.open(shop) as ws:
        profile_id = ws.polars(ws.table("profiles").limit(1))["profile_id"][0]
    at = drawn("customers", shop, profile=profile_id)
    assert at.button(key="erase").disabled
    at.text_input(key="erase_reason").set_value("asked for it").run()
    assert at.button(key="erase").disabled, "the word is missing"
    at.text_input(key="erase_word").set_value("Erase").run()
    assert not at.button(key="erase").disabled
