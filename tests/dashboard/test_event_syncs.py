"""A sync of events on the page of destinations: in words, with its steps, and masked inside JSON too."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import cdp_core as cdp
from cdp_core.dashboard.views import destinations, sync_plan

SYNC = """
destinations:
  partner:
    type: file
    path: data/partner
    transform:
      - {event: Order Completed, rename_event: Purchase}
      - {type: identify, hash: traits.phone}
syncs:
  partner_events:
    model: {events: {event: [Order Completed], type: [track], source: [shop_orders]}}
    destination: partner
    options: {file: events.jsonl}
    mapping: {name: event, total: {column: properties.total, type: number}, everything: traits}
"""


pytestmark = pytest.mark.usefixtures("fresh_caches")


def one_page(root: str) -> None:
    from pathlib import Path

    import streamlit as st

    from cdp_core.dashboard import session
    from cdp_core.dashboard.pages import destinations

    session.choose(Path(root))
    st.session_state.setdefault("sync_tab", "Mapping")
    destinations.page(session.workspace())


def with_sync(shop: Path) -> Path:
    (shop / "partner.yaml").write_text(SYNC)
    text = (shop / "cdp.yaml").read_text()
    (shop / "cdp.yaml").write_text(f"include: [partner.yaml]\n{text}")
    return shop


def test_an_events_sync_in_words(shop: Path) -> None:
    with cdp.open(with_sync(shop)) as ws:
        sync = destinations.one(ws, "partner_events")
        assert sync.model == "events:track · Order Completed (shop_orders)"
        assert (sync.mode, sync.key) == ("insert", "event_id")
        assert sync.steps == ["Rename event Order Completed to Purchase", "Hash traits.phone, only of identify"]
        assert sync.fields["total"] == "properties.total (as number)"
        assert destinations.one(ws, "all_profiles_parquet").steps == []


def test_names_inside_json_are_masked(shop: Path) -> None:
    with cdp.open(with_sync(shop)) as ws:
        row = sync_plan._row("add", {"everything": '{"first_name":"Ann","plan":"pro"}'}, {})
        assert row["everything"] == '{"first_name": "A••", "plan": "pro"}'
        assert sync_plan.plan(ws, "partner_events", False).counts["add"] > 0


def test_the_page_says_what_is_sent_and_how_it_is_changed(shop: Path) -> None:
    at = AppTest.from_function(one_page, args=(str(with_sync(shop)),), default_timeout=60)
    at.query_params["sync"] = "partner_events"
    at.run()
    assert not at.exception, [e.value for e in at.exception]
    said = " ".join(str(e.value) for kind in ("caption", "markdown") for e in at.get(kind)).replace("\\", "")
    assert "Events · track · Order Completed (shop_orders)" in said
    assert "1. Rename event Order Completed to Purchase" in said
    assert next(m for m in at.metric if m.label == "Schedule").help == "Insert; key event\\_id"
