"""A sync that a receiver refuses in part: its plan, history, refused rows, ledger, and what its people's pages say."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

import cdp_core as cdp
from cdp_core.dashboard.views import customer, overview, sync_history, sync_plan, sync_rows
from cdp_core.destinations import history
from cdp_core.destinations.sync import alone
from cdp_core.testing.services.webhook import Receiver

pytestmark = pytest.mark.usefixtures("fresh_caches")
HOOK = """
destinations:
  hook: {{type: webhook, url: "{url}/in", private_network: true}}
syncs:
  people_hook:
    model: profiles
    destination: hook
    key: id
    options: {{rows_per_call: 50, errors: {{}}}}
    mapping: {{id: profile_id, mail: email}}
"""


@pytest.fixture(scope="module")
def sent(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Receiver, int]]:
    """A workspace whose sync has run once: every profile without an e-mail address was refused."""
    root = Path(shutil.copytree(built, tmp_path_factory.mktemp("syncs") / "shop"))

    def rule(row: dict[str, Any]) -> str | None:
        return None if row["mail"] else "mail is missing"

    with Receiver(refuses=rule, names_rows=True) as receiver:
        (root / "hook.yaml").write_text(HOOK.format(url=receiver.url))
        (root / "cdp.yaml").write_text("include: [hook.yaml]\n" + (root / "cdp.yaml").read_text())
        with cdp.open(root) as ws:
            done = ws.sync("people_hook").run()
        assert done.failed
        assert done.delivered
        yield root, receiver, done.failed


def one_page(name: str, root: str, tab: str) -> None:
    import importlib
    from pathlib import Path

    import streamlit as st

    from cdp_core.dashboard import session

    session.choose(Path(root))
    if tab:
        st.session_state.setdefault("sync_tab", tab)
    importlib.import_module(f"cdp_core.dashboard.pages.{name}").page(session.workspace())


def drawn(root: Path, tab: str = "", **query: str) -> AppTest:
    at = AppTest.from_function(one_page, args=("destinations", str(root), tab), default_timeout=120)
    for key, value in query.items():
        at.query_params[key] = value
    at.run()
    assert not at.exception, [e.value for e in at.exception]
    return at


def test_views_say_what_happened(sent: tuple[Path, Receiver, int]) -> None:
    root, receiver, failed = sent
    with cdp.open(root) as own:
        ws = own.reader()
        run: dict[str, Any] = sync_history.runs(ws, "people_hook").row(0, named=True)
        assert (run["status"], run["failed"], run["delivered"]) == ("partial", failed, len(receiver.state))
        total, rows = sync_history.rows_of(ws, "people_hook", run["run_id"], 1, 10, False)
        assert total == failed + len(receiver.state)
        assert rows.height == 10
        assert rows["status"][0] == "failed", "what went wrong comes first"
        days = sync_history.by_day(ws, "people_hook", 36_500)
        assert dict(zip(days["outcome"], days["rows"], strict=True)) == {
            "Delivered": len(receiver.state),
            "Refused": failed,
        }
        (reason,) = sync_rows.reasons(ws, "people_hook")
        assert reason.rows == failed
        assert "missing" in reason.text
        count, refused, keys = sync_rows.refused(ws, "people_hook", reason.text, False, 1, 10, False)
        assert count == failed
        assert set(refused["attempts"]) == {1}
        assert not set(keys) & set(receiver.state)
        _, ledger = sync_rows.ledger(ws, "people_hook", "delivered", "", 1, 5, False)
        assert all("•" in text for text in ledger["payload"]), "addresses are masked unless revealed"
        found, one = sync_rows.ledger(ws, "people_hook", None, keys[0], 1, 5, False)
        assert (found, one["key"].to_list()) == (1, [keys[0]])
        card = customer.card(ws, keys[0], False)
        assert card.deliveries.row(0, named=True)["destination"] == "hook"
        assert card.deliveries["status"].to_list() == ["failed"]
        assert any(f"{failed:,} row" in n.text for n in overview.needs(ws) if n.query == (("sync", "people_hook"),))


def test_every_tab_of_the_page(sent: tuple[Path, Receiver, int]) -> None:
    root, _, failed = sent
    at = drawn(root, "History", sync="people_hook")
    assert at.dataframe[0].value["status"].to_list() == ["Some rows refused"]
    at = drawn(root, "Refused", sync="people_hook")
    assert f"{failed:,} row" in at.radio(key="refused_reason").options[0]
    at.button(key="dismiss_rows").click().run()
    assert not at.exception
    with cdp.open(root) as ws:
        assert set(ws.sync("people_hook").failed()["status"]) == {"dead"}
    at.button(key="restore_rows").click().run()
    assert not at.exception
    with cdp.open(root) as ws:
        assert ws.sync("people_hook").failed().filter(pl_status("failed")).height == failed
    at = drawn(root, "Ledger", sync="people_hook")
    assert at.dataframe


def pl_status(name: str) -> Any:
    return pl.col("status") == name


def test_what_was_sent_about_a_person(sent: tuple[Path, Receiver, int]) -> None:
    root, receiver, _ = sent
    at = drawn(root)
    at.text_input(key="sent_about").set_value(next(iter(receiver.state))).run()
    assert not at.exception
    assert at.dataframe[0].value["status"].to_list() == ["Delivered"]
    at.text_input(key="sent_about").set_value("email:nobody@example.org").run()
    assert at.warning


def test_reasons_in_words() -> None:
    assert sync_plan.reason_in_words("remove", "consent: ads (denied)") == "Consent withdrawn: ads (denied)"
    assert sync_plan.reason_in_words("withheld", "consent: ads (denied)") == "No consent: ads (denied)"


def test_a_run_without_an_end_is_running_while_its_lock_is_held(sent: tuple[Path, Receiver, int]) -> None:
    root, _, _ = sent
    with cdp.open(root) as ws:
        assert sync_history.running(ws, "people_hook") is None
        began = {"sync": "people_hook", "run_id": "killed", "status": "running"}
        history._write(ws.engine, {**began, "started_at": ws.now + timedelta(hours=1)})
        with alone(ws.engine, "people_hook"):
            found = sync_history.running(ws, "people_hook")
            assert found is not None
            assert found.run_id == "killed"
            assert sync_history.runs(ws, "people_hook")["status"].to_list() == ["running", "partial"]
        assert sync_history.running(ws, "people_hook") is None
        assert sync_history.runs(ws, "people_hook")["status"].to_list() == ["interrupted", "partial"]
        assert any("broken off" in need.text for need in overview.needs(ws))
