"""Every page for every role; what a masked role is shown; the reason for a reveal; who is let in at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from streamlit.testing.v1 import AppTest
from test_pages import app, drawn, words

import cdp_core as cdp
from cdp_core.cli import execute
from cdp_core.cli.server import Dashboard, has_login, is_loopback
from cdp_core.dashboard import jobs, login, session
from cdp_core.dashboard.main import SECTIONS
from cdp_core.dashboard.views import audit as view

pytestmark = pytest.mark.usefixtures("fresh_caches")
PAGES = [name for names in SECTIONS.values() for name in names]


def with_role(root: Path, role: str) -> Path:
    text = (root / "cdp.yaml").read_text()
    (root / "cdp.yaml").write_text(f"{text}\naccess:\n  local: {role}\n")
    return root


def everything(at: AppTest) -> str:
    """All text of a page, its tables too."""
    frames = [frame.value.to_json(default_handler=str, force_ascii=False) for frame in at.dataframe]
    return " ".join([words(at), *frames, *(str(each.value) for each in at.get("json"))])


@pytest.mark.parametrize("role", ["viewer", "marketer", "analyst", "privacy_officer"])
def test_every_page_is_there_for_every_role(shop: Path, role: str) -> None:
    with cdp.open(shop) as ws:
        person = ws.polars(ws.table("profiles").filter(lambda t: t.email.notnull() & t.first_name.notnull()).limit(1))
        row = person.row(0, named=True)
        emails = ws.polars(ws.table("profiles").select("email"))["email"].drop_nulls().to_list()
    with_role(shop, role)
    for name in PAGES:
        said = everything(drawn(name, shop))
        assert "does not permit" not in said, name
        assert not [email for email in emails if "@" in email and email in said], name
    at = drawn("customers", shop, profile=row["profile_id"])
    said = everything(at)
    assert row["email"] not in said
    assert f'"{row["first_name"]}"' not in said
    assert "•" in said, "the page is about the person"
    assert "does not permit" not in said
    assert ("does not see it" in everything(drawn("audit", shop))) == (role != "privacy_officer")


@pytest.mark.parametrize("role", ["viewer", "marketer", "analyst"])
def test_parts_of_identity_for_who_reads_identifiers_masked(shop: Path, role: str) -> None:
    with cdp.open(shop) as ws:
        first = ws.identity.suspects().row(0, named=True)
        ws.identity.split(first["profile_id"], at=(first["cut_left"], first["cut_right"]), reason="two people")
        assert ws.run().status == "succeeded"
        known = ws.polars(ws.table("user_identifiers").filter(lambda t: t.type.isin(["email", "phone"])))["value"]
    with_role(shop, role)
    for part in ("Suspects", "Changes", "Decisions", "Review"):
        at = drawn("identity", shop, part=part)
        said = everything(at)
        assert "does not permit" not in said, part
        assert not [value for value in known if value in said], part


def test_personal_data_are_shown_to_who_says_why(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = app(shop, monkeypatch)
    assert not at.exception
    at.toggle(key="reveal").set_value(True).run()
    assert not at.session_state["revealed"], "nothing is shown before the reason"
    at.button(key="reveal_show").click().run()
    assert "a reason is missing" in words(at)
    at.text_input(key="reveal_reason").set_value("ticket 7, call 0163 2960 123")
    at.button(key="reveal_show").click().run()
    assert at.session_state["revealed"]
    at.toggle(key="reveal").set_value(False).run()
    assert not at.session_state["revealed"]
    with cdp.open(shop) as ws:
        told = ws.audit.entries(action="reveal").select("outcome", "details").rows()
        assert [(outcome, json.loads(details)) for outcome, details in told] == [
            ("done", {"reason": "ticket 7, call 01•• •••• •23"}), ("failed", {"error": "UsageError", "reason": ""}),
        ]  # fmt: skip


def test_a_viewer_has_nothing_to_switch_on(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = app(with_role(shop, "viewer"), monkeypatch)
    assert not at.exception
    assert not [each for each in at.toggle if each.key == "reveal"]
    assert at.button(key="run_now").disabled
    at.session_state["revealed"] = True
    at.run()
    assert not at.exception
    with cdp.open(shop) as ws:
        assert ws.masked


def test_what_is_cached_for_one_role_is_not_shown_to_another(shop: Path) -> None:
    """The same view with the same arguments, at the same snapshot."""

    def first(ws: cdp.Workspace) -> Any:
        return ws.polars(ws.table("profiles").order_by("profile_id").limit(3).select("email"))["email"].to_list()

    with cdp.open(shop) as ws:
        plain, masked = ws.reader(), ws.reader(masked=True)
        viewer = ws.reader(cdp.Actor(name="vic", role="viewer"))
        for reader in (plain, masked, viewer, masked, plain):
            assert session.cached(first, reader) == first(reader)
        assert first(plain) != first(masked)


def test_what_is_cached_about_whoever_is_erased_is_forgotten(shop: Path) -> None:
    """Under every key: those of older snapshots too, which nobody asks for any more."""
    asked: list[str] = []

    def answer(ws: cdp.Workspace) -> str:
        asked.append("again")
        return "about a person"

    with cdp.open(shop) as ws:
        profile_id = ws.polars(ws.table("profiles").order_by("profile_id").limit(1))["profile_id"].item()
        for _ in range(2):
            drawn("requests", shop)
            session._computed(("of an older snapshot",), (), _view=answer, _ws=ws)
        assert len(asked) == 1
        assert ws.privacy.erase(f"profile_id:{profile_id}", reason="asked for it").status == "done"
        drawn("requests", shop)
        session._computed(("of an older snapshot",), (), _view=answer, _ws=ws)
        assert len(asked) == 2


def test_the_page_of_the_audit_log(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with cdp.open(shop) as ws:
        ws.sql("SELECT 1 AS one")
        with pytest.raises(cdp.Forbidden):
            ws.reader(cdp.Actor(name="vic", role="viewer")).sql("SELECT email FROM profiles")
    at = drawn("audit", shop)
    frame = at.dataframe[0].value
    assert frame["actor"][0] == "vic"
    assert list(frame["outcome"])[:2] == ["Refused", "Done"]
    at.selectbox(key="audit_outcome").set_value("Refused").run()
    assert len(at.dataframe[0].value) == 1
    at.selectbox(key="audit_outcome").set_value("Failed").run()
    assert "No entry is like that" in words(at)
    at.text_input(key="audit_about").set_value("nonsense:1").run()
    assert "no identifier" in words(at)
    verify = ["privacy", "audit", "--verify", "--workspace", str(shop)]
    assert execute(verify) == 0
    log = shop / "data/privacy/audit.jsonl"
    number = 1 + next(n for n, line in enumerate(log.read_text().splitlines()) if '"vic"' in line)
    log.write_text(log.read_text().replace('"vic"', '"eve"'))
    assert "not what was written" in words(drawn("audit", shop))
    capsys.readouterr()
    assert execute(verify) == 1
    assert f"broken at line {number}: its content is not what was written" in capsys.readouterr().out


def test_entries_of_some_days(shop: Path) -> None:
    from datetime import UTC, datetime, timedelta

    with cdp.open(shop) as ws:
        today = datetime.now(UTC).date()
        ws.sql("SELECT 1 AS one")
        assert view.entries(ws, view.Wanted(days=(today - timedelta(days=1), today))).height >= 1
        assert view.entries(ws, view.Wanted(days=(today - timedelta(days=9), today - timedelta(days=5)))).is_empty()
        assert isinstance(view.shown(view.entries(ws, view.Wanted())), pl.DataFrame)


def test_a_job_may_no_more_than_who_started_it(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "actor", lambda: cdp.Actor(name="vic@example.org", role="viewer"))
    monkeypatch.setattr(login, "configured", lambda: True)
    job = jobs.start(shop, "who", "Run", "run")
    assert job.process.wait(60) == 2
    assert "your role viewer does not permit run" in job.message()
    with cdp.open(shop) as ws:
        assert ws.audit.entries(action="run", outcome="refused")["actor"][0].startswith("vic@example.org (")


def test_nothing_in_the_dashboard_works_as_somebody_else() -> None:
    """A workspace that is opened without an actor is that of whoever has the folder."""
    for path in Path(session.__file__).parent.rglob("*.py"):
        for line in path.read_text().splitlines():
            if "cdp.open(" in line and path.name != "session.py":
                assert "actor=session.actor()" in line, f"{path.name}: {line.strip()}"


def test_without_a_login_it_is_for_this_machine_alone(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(shop))
    for host in ("0.0.0.0", "::", "10.0.0.7", "", "no.such.host.invalid"):
        assert not is_loopback(host)
        with pytest.raises(cdp.UsageError, match="this machine alone"):
            Dashboard(shop, host=host, port=8700)
    for host in ("127.0.0.1", "localhost"):
        assert Dashboard(shop, host=host, port=8700).host == host
    secrets = shop / ".streamlit" / "secrets.toml"
    secrets.parent.mkdir(exist_ok=True)
    for text, there in (("", False), ("[auth]\n", False), ("[auth", False), ('[auth]\nclient_id = "x"\n', True)):
        secrets.write_text(text)
        assert has_login(shop) is there
    assert Dashboard(shop, host="0.0.0.0", port=8700).port


def test_somebody_from_elsewhere_is_refused_however_it_was_started(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "_local", lambda: False)
    at = app(shop, monkeypatch)
    assert not at.exception
    assert "this machine alone" in words(at)
    assert not at.dataframe
    assert not at.metric
