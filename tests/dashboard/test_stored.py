"""Stored events on the quality page: what today's rules would change, a replay, and the way back."""

from __future__ import annotations

import json
import time
from pathlib import Path

import polars as pl
import pytest
from streamlit.testing.v1 import AppTest
from test_pages import drawn, words

import cdp_core as cdp
from cdp_core.dashboard import jobs
from cdp_core.dashboard.views import stored as view

pytestmark = pytest.mark.usefixtures("fresh_caches")
CONFIG = """
name: t
region: US
sources:
  site: {type: segment, path: site.ndjson}
identity: {identifiers: {user_id: {limit: 1}}}
"""
STRICT = (
    "{type: segment, path: site.ndjson, plan: {name: site, violations: block}, transform: [{hash: properties.email}]}"
)
PLAN = "events:\n  Viewed:\n    properties:\n      price: {type: number}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "cdp.yaml").write_text(CONFIG)
    events = [
        {"type": "track", "event": "Viewed", "userId": f"u{n}", "messageId": f"m{n}", "timestamp": f"2024-05-0{n + 1}",
         "properties": {"price": n if n else "0", "email": f"ann{n}@example.org"}}
        for n in range(4)
    ]  # fmt: skip
    (tmp_path / "site.ndjson").write_text("\n".join(map(json.dumps, events)))
    plan = tmp_path / "expectations" / "tracking_plan" / "site.yaml"
    plan.parent.mkdir(parents=True)
    plan.write_text(PLAN)
    with cdp.open(tmp_path) as ws:
        assert ws.run().status == "succeeded"
    (tmp_path / "cdp.yaml").write_text(CONFIG.replace("{type: segment, path: site.ndjson}", STRICT))
    return tmp_path


def stored(root: Path) -> pl.DataFrame:
    with cdp.open(root) as ws:
        return ws.sql("SELECT message_id, properties, context FROM events ORDER BY message_id")


def metrics(at: AppTest) -> dict[str, str]:
    return {m.label: m.value for m in at.metric}


def finished(root: Path) -> None:
    job = jobs.current(root, "run")
    assert job is not None
    until = time.monotonic() + 300
    while job.running:
        assert time.monotonic() < until
        time.sleep(0.2)
    assert job.succeeded, job.lines()


def test_what_would_change_is_shown_then_done_then_taken_back(root: Path) -> None:
    before = stored(root)
    at = drawn("quality", root, view="Stored events")
    at.button(key="stored_try").click().run(timeout=120)
    assert not at.error
    shown = metrics(at)
    assert (shown["Selected"], shown["Unchanged"], shown["Would change"], shown["Would be held"]) == (
        "4",
        "0",
        "3",
        "1",
    )
    assert "Held by plan.type (1)." in words(at)
    samples = at.dataframe[-1].value
    assert "ann1@" not in samples.to_csv()
    assert stored(root).equals(before)
    at.button(key="stored_replay").click().run(timeout=60)
    finished(root)
    after = stored(root)
    assert after["message_id"].to_list() == ["m1", "m2", "m3"]
    assert not after["properties"].str.contains("ann").any()
    at = drawn("quality", root, view="Stored events")
    assert "4 events gone over, 1 held" in words(at)
    undo = next(b for b in at.button if b.label == "Take it back")
    undo.click().run(timeout=60)
    finished(root)
    assert stored(root).equals(before)


def test_a_choice_is_asked_as_it_stands_and_a_stale_answer_is_not_shown(root: Path) -> None:
    at = drawn("quality", root, view="Stored events")
    at.text_input(key="replay_where").set_value("user_id = 'u2'").run()
    at.button(key="stored_try").click().run(timeout=120)
    assert metrics(at)["Selected"] == "1"
    at.text_input(key="replay_where").set_value("nothing = 1").run()
    assert "Selected" not in metrics(at)
    at.button(key="stored_try").click().run(timeout=120)
    assert "unknown column 'nothing'" in at.error[0].value
    assert "stored_replay" not in {b.key for b in at.button}


def under_the_strip(root: str) -> None:
    """The script of the page below the strip that every page has."""
    from pathlib import Path

    from cdp_core.dashboard import session, strip
    from cdp_core.dashboard.pages import quality

    session.choose(Path(root))
    strip.draw_state()
    quality.page(session.workspace())


def test_a_click_counts_though_something_was_published_meanwhile(root: Path) -> None:
    at = AppTest.from_function(under_the_strip, args=(str(root),), default_timeout=120)
    at.query_params["view"] = "Stored events"
    at.run()
    with cdp.open(root) as ws:
        before = ws.snapshot()
        ws.run()
        assert ws.snapshot() != before
    at.button(key="stored_try").click().run()
    assert metrics(at)["Selected"] == "4"


def test_examples_hide_persons_and_show_hashes() -> None:
    hashed = "ab" * 32
    sample = {
        "message_id": "m",
        "before": {"traits": {"email": "ann@example.org", "name": "Ann", "plan": {"x": 1}}, "context": None},
        "after": {"traits": {"email": hashed, "name": "Ann"}, "context": {"protocols": {"transformed": ["hash: a"]}}},
    }
    masked = {r["place"]: (r["before"], r["after"]) for r in view.changes([sample], reveal=False)}
    assert masked == {
        "traits.email": ("a••@e••••••.org", hashed),
        "traits.plan.x": ("1", "–"),
        "context.protocols.transformed": ("–", '["hash: a"]'),
    }
    shown = {r["place"]: r["before"] for r in view.changes([sample], reveal=True)}
    assert shown["traits.email"] == "ann@example.org"
