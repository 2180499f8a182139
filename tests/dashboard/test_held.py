"""Held rows on the quality page: what would pass, tried again, corrected, let go."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from streamlit.testing.v1 import AppTest
from test_pages import drawn, words

import cdp_core as cdp
from cdp_core.dashboard import session
from cdp_core.dashboard.pages import held as page
from cdp_core.dashboard.views import quality
from cdp_core.dashboard.views.quality import Held

pytestmark = pytest.mark.usefixtures("fresh_caches")
CONFIG = """
name: t
region: US
sources:
  site: {type: segment, path: site.ndjson, plan: {name: site, violations: block}}
identity: {identifiers: {user_id: {limit: 1}}}
"""
PLAN = "events:\n  Viewed:\n    properties:\n      price: {type: number}\n"
EVENT = {"type": "track", "event": "Viewed", "userId": "u1", "timestamp": "2024-05-05", "properties": {"price": "2"}}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "cdp.yaml").write_text(CONFIG)
    (tmp_path / "site.ndjson").write_text("\n".join(json.dumps({**EVENT, "messageId": f"m{n}"}) for n in range(3)))
    plan = tmp_path / "expectations" / "tracking_plan" / "site.yaml"
    plan.parent.mkdir(parents=True)
    plan.write_text(PLAN)
    with cdp.open(tmp_path) as ws:
        assert ws.run().status == "succeeded"
    return tmp_path


def statuses(root: Path) -> dict[str, str]:
    with cdp.open(root) as ws:
        return dict(ws.quarantine().select("message_id", "status").iter_rows())


def correcting(root: str, message_id: str) -> None:
    """The script of the part that corrects a row."""
    from pathlib import Path

    import streamlit as st

    import cdp_core as cdp
    from cdp_core.dashboard import session
    from cdp_core.dashboard.pages import held
    from cdp_core.dashboard.views import quality

    session.choose(Path(root))
    st.session_state[session.REVEALED] = True
    with cdp.open(root) as ws:
        rows = quality.quarantine(ws, None, None, 1, 20, True)[1]
    for row in rows:
        if row.message_id == message_id:
            held.correct(row)


def test_nothing_passes_before_the_plan_is_right(root: Path) -> None:
    at = drawn("quality", root, view="Quarantine")
    at.button(key="held_try").click().run(timeout=60)
    assert "**0** of 3 rows would pass, 3 would stay held." in words(at)
    assert "held_replay" not in {button.key for button in at.button}


def test_a_corrected_plan_lets_them_pass(root: Path) -> None:
    (root / "expectations" / "tracking_plan" / "site.yaml").write_text(PLAN.replace("number", "string"))
    at = drawn("quality", root, view="Quarantine")
    at.button(key="held_try").click().run(timeout=60)
    assert "**3** of 3 rows would pass, 0 would stay held." in words(at)
    assert set(statuses(root).values()) == {"held"}
    at.button(key="held_replay").click().run(timeout=60)
    assert not at.error
    assert set(statuses(root).values()) == {"replayed"}
    assert "Nothing is held" in words(at)


def test_a_row_is_corrected_and_let_go(root: Path) -> None:
    at = AppTest.from_function(correcting, args=(str(root), "m1"), default_timeout=60).run()
    right = json.dumps({**EVENT, "messageId": "m1", "properties": {"price": 2}})
    at.text_area(key="fix_m1").set_value(right).run()
    at.button(key="held_fix").click().run()
    assert not at.exception
    with cdp.open(root) as ws:
        row = ws.quarantine().filter(pl.col("message_id") == "m1").row(0, named=True)
        assert (row["fixed"], row["status"]) == (right, "held")
    at = AppTest.from_function(correcting, args=(str(root), "m2"), default_timeout=60).run()
    at.button(key="held_discard").click().run()
    assert statuses(root) == {"m0": "held", "m1": "held", "m2": "discarded"}


def test_what_is_wrong_is_said(root: Path) -> None:
    at = AppTest.from_function(correcting, args=(str(root), "m1"), default_timeout=60).run()
    at.text_area(key="fix_m1").set_value("no json").run()
    at.button(key="held_fix").click().run()
    assert "no JSON object" in at.error[0].value


def test_what_is_masked_cannot_be_edited(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(session, "revealed", lambda: False)
    monkeypatch.setattr(page.st, "caption", said.append)
    page.correct(Held("site", "m1", None, [], "{}", "held"))
    assert said == ["Switch on 'Show personal data' to correct this row."]


def test_why_rows_are_held_says_since_when_and_which(root: Path) -> None:
    with cdp.open(root) as ws:
        (row,) = quality.held_by(ws).to_dicts()
    assert (row["source"], row["event"], row["rule"], row["rows"]) == ("site", "Viewed", "plan.type", 3)
    assert row["first_seen"] == row["last_seen"] == datetime(2024, 5, 5)
    assert row["sample"] == "m0, m1, m2"
