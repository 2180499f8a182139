"""The page Live: how to begin, what has come, and filters."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from test_pages import drawn, words

import cdp_core as cdp
from cdp_core.dashboard.views import live as view
from cdp_core.inbox.packed import pack
from cdp_core.inbox.writer import InboxWriter, Received

pytestmark = pytest.mark.usefixtures("fresh_caches")
EVENTS = [
    b'{"type":"track","event":"Bought","userId":"ann@example.org","properties":{"email":"ann@example.org"}}',
    b'{"type":"track","userId":"u2"}',
    b'{"type":"page","anonymousId":"d1","name":"Home"}',
]


@pytest.fixture
def live(tmp_path: Path) -> Path:
    root = cdp.init(tmp_path / "ws")
    with cdp.open(root) as ws:
        ws.live.create_key("website")
    return root


def receive(root: Path) -> None:
    def settle(waiters: Any, error: Exception | None) -> None:
        assert error is None

    inbox = InboxWriter(root, settle)
    now = int(datetime.now(UTC).timestamp() * 1_000_000)
    inbox.put(Received("website", now, b"{}", len(EVENTS), 200, pack(EVENTS)), None)
    inbox.close()


def test_without_a_source_it_says_how_to_begin(tmp_path: Path) -> None:
    at = drawn("live", cdp.init(tmp_path / "ws"))
    assert "No source receives live events yet" in words(at)
    assert "cdp source key website" in words(at)


def test_before_anything_has_come(live: Path) -> None:
    assert "Nothing has come yet" in words(drawn("live", live))


def test_what_has_come(live: Path) -> None:
    receive(live)
    at = drawn("live", live)
    assert [m.value for m in at.metric] == ["3", "1", "3"]
    frame = at.dataframe[0].value
    assert list(frame["event"].fillna("")) == ["Home", "", "Bought"]
    assert list(frame["status"]) == ["Passed", "Held", "Passed"]
    assert frame["reason"][1] == "a track event has no name in event"
    assert frame["who"][2] == "a••@e••••••.org"


@pytest.mark.parametrize(
    ("source", "status", "text", "left"),
    [
        (None, None, "", 3),
        ("website", None, "", 3),
        ("other", None, "", 0),
        (None, "held", "", 1),
        (None, None, "HOME", 1),
    ],
)
def test_filters(live: Path, source: str | None, status: str | None, text: str, left: int) -> None:
    receive(live)
    with cdp.open(live) as ws:
        found = view.lately(ws, reveal=False)
    assert "ann@example.org" not in str(found.events.select("who", "payload").rows())
    assert view.chosen(found.events, source, status, text).height == left


def test_a_filter_that_leaves_nothing_says_so(live: Path) -> None:
    receive(live)
    at = drawn("live", live)
    at.text_input(key="find").set_value("nothing like it").run()
    assert "Nothing like that" in words(at)
