"""Alerts after runs and syncs, received by a real HTTP server and a real SMTP server."""

from __future__ import annotations

import email
import email.policy
import json
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

import cdp_core as cdp
from cdp_core.alerts.judge import failure, jump, news, refused
from cdp_core.alerts.spec import AlertSpec
from cdp_core.cli import execute

OWN = """
import cdp_core as cdp

def forget(keys):
    pass

@cdp.destination(remove=forget)
def moody(rows, *, root):
    if (root / "down").exists():
        raise cdp.DestinationError("the service is down")
    bad = int((root / "refuse").read_text()) if (root / "refuse").exists() else 0
    return {key: "no such list" for key in rows["id"][:bad]}
"""
YAML = """
name: alerts & co
today: 1998-07-01
dashboard_url: https://cdp.example.org
sources:
  people:
    type: file
    path: people*.csv
    map: {{type: identify, key: [id, at], time: at, identifiers: {{user_id: id}}, traits: {{tier: tier}}}}
traits: {{tier: {{pick: latest}}}}
audiences:
  gold: {{where: {{trait: tier, equals: gold}}}}
destinations: {{own: {{type: moody}}}}
syncs:
  people: {{model: profiles, destination: own, key: id, mapping: {{id: profile_id, tier: tier}}, schedule: {{after: run}}}}
alerts:
{alerts}
"""


class Hook:
    """A web server that keeps what it was sent; `answer` is its status."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.answer = 200
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if hook.answer < 400:
                    hook.got.append(body)
                self.send_response(hook.answer)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook/secret-path"
        self.here = f"{{webhook: '{self.url}', private_network: true}}"

    def texts(self) -> list[str]:
        """What was told since the last call."""
        found = [item["text"] for body in self.got for item in body["alerts"]]
        self.got.clear()
        return found


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.server.shutdown()
    made.server.server_close()


def workspace(root: Path, alerts: str) -> Path:
    (root / "cdp.yaml").write_text(YAML.format(alerts=alerts))
    (root / "destinations.py").write_text(OWN)
    people(root, 1, range(1, 21), "gold")
    return root


def people(root: Path, number: int, ids: Any, tier: str) -> None:
    rows = "".join(f"{i},{tier},1998-06-{number:02}\n" for i in ids)
    (root / f"people{number}.csv").write_text(f"id,tier,at\n{rows}")


def test_each_condition_is_told_once_until_it_is_over(tmp_path: Path, hook: Hook, capsys: Any) -> None:
    root = workspace(tmp_path, f"  - {{on: [failure, failed_share, size_jump], to: {hook.here}}}")
    with cdp.open(root) as ws:
        first = ws.run()
        assert first.status == "succeeded", first.error
        assert hook.texts() == []
        assert (first.stages[-1].name, first.stages[-1].note) == ("alerts", "nothing new to tell")

        (root / "down").touch()
        people(root, 2, range(1, 21), "tin")
        failed = ws.run()
        assert failed.exit_code == 1
        assert hook.got[0]["workspace"] == "alerts & co"
        assert hook.got[0]["dashboard_url"] == "https://cdp.example.org"
        assert len(hook.got) == 1, "one message for all that a run has to tell"
        told = hook.texts()
        assert [re.sub(r": .*", "", text) for text in told] == ["run failed", "audience gold", "sync people failed"]
        assert told[1:] == [
            "audience gold: members went from 20 to 0 (−100%)",
            "sync people failed: the service is down",
        ]

        assert ws.run().exit_code == 1
        assert hook.texts() == [], "it goes on, and was told"
        with pytest.raises(cdp.DestinationError):
            ws.sync("people").run()
        assert hook.texts() == []
        open_ = ws.alerts()
        assert open_["about"].to_list() == ["failure:run", "failure:sync people"], "the jump is over"

        (root / "down").unlink()
        (root / "refuse").write_text("2")
        people(root, 3, range(1, 21), "silver")
        assert ws.run().status == "succeeded"
        assert hook.texts() == ["sync people: 2 of 20 rows were refused (10.0%)"]
        (root / "refuse").write_text("0")
        assert ws.run().status == "succeeded"
        assert ws.alerts()["about"].to_list() == [None]

        (root / "down").touch()
        people(root, 4, range(1, 21), "gold")
        hook.answer = 500
        ws.run()
        hook.answer = 200
        record = json.loads(ws.runs(1)["stages"][0])[-1]
        assert record["note"] == "an alert was not sent: webhook 127.0.0.1: it answered 500"
        assert "secret-path" not in json.dumps(ws.runs()["stages"].to_list())
        assert ws.run().exit_code == 1
        assert "sync people failed: the service is down" in hook.texts(), "what did not arrive is told again"
    assert execute(["-w", str(root), "alerts", "list", "-o", "json"]) == 0
    assert {row["about"] for row in json.loads(capsys.readouterr().out)} == {"failure:run", "failure:sync people"}
    hook.server.shutdown()
    hook.server.server_close()
    (root / "down").unlink()
    people(root, 5, range(1, 21), "tin")
    with cdp.open(root) as ws:
        assert ws.run().status == "succeeded", "who cannot be told ends no run"


def test_a_sync_alone_tells_too_and_says_when_it_cannot(tmp_path: Path, hook: Hook, capfd: Any) -> None:
    root = workspace(tmp_path, f"  - {{on: [failed_share, size_jump], threshold: 0.2, to: {hook.here}}}")
    with cdp.open(root) as ws:
        assert ws.run(select=["load", "identity", "profiles", "audiences"]).status == "succeeded"
        hook.got.clear()
        (root / "refuse").write_text("4")
        people(root, 2, range(1, 21), "tin")
        ws.run(select=["load", "identity", "profiles"])
        hook.got.clear()
        ws.sync("people").run()
        assert hook.texts() == ["sync people: 4 of 20 rows were refused (20.0%)"], "at the threshold it is told"
        (root / "refuse").write_text("3")
        people(root, 3, range(1, 21), "silver")
        ws.run(select=["load", "identity", "profiles"])
        hook.answer = 503
        assert ws.sync("people").run().failed == 3
        people(root, 4, range(1, 21), "gold")
        ws.run(select=["load", "identity", "profiles"])
        (root / "refuse").write_text("9")
        result = ws.sync("people").run()
        assert result.note == "an alert was not sent: webhook 127.0.0.1: it answered 503"


def test_mail_and_slack_arrive(tmp_path: Path, hook: Hook, monkeypatch: Any, capsys: Any) -> None:
    kept: list[Any] = []

    class Keep:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            kept.append((session.auth_data, envelope))
            return "250 OK"

    def login(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        good = (data.login, data.password) == (b"cdp", b"geheim")
        return AuthResult(success=good, auth_data=data.login if good else None, handled=good)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    needs = {"authenticator": login, "auth_required": True, "auth_require_tls": False}
    controller = Controller(Keep(), hostname="127.0.0.1", port=port, **needs)
    controller.start()
    try:
        monkeypatch.setenv("SMTP_PASSWORD", "geheim")
        mail = f"{{host: 127.0.0.1, port: {port}, starttls: false, user: cdp, password: '${{SMTP_PASSWORD}}', from: cdp@example.org, to: [ops@example.org, boss@example.org]}}"
        slack = hook.here.replace("webhook", "slack")
        root = workspace(tmp_path, f"  - on: failure\n    to: {{email: {mail}}}\n  - on: failure\n    to: {slack}")
        (root / "down").touch()
        with cdp.open(root) as ws:
            assert "geheim" not in repr(ws.config)
            assert "secret-path" not in repr(ws.config)
            ws.run()
        ((user, envelope),) = kept
        assert (user, envelope.rcpt_tos) == (b"cdp", ["ops@example.org", "boss@example.org"])
        got = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert got["Subject"].startswith("[alerts & co] run failed: ")
        assert got["Subject"].endswith("(and 1 more)")
        assert got["From"] == "cdp@example.org"
        lines = got.get_content().splitlines()
        assert lines[1:] == ["sync people failed: the service is down", "https://cdp.example.org"]
        (slack,) = hook.got
        assert set(slack) == {"text"}
        assert slack["text"].startswith("*[alerts &amp; co] run failed")
        assert execute(["-w", str(root), "alerts", "test", "-o", "json"]) == 0
        assert [one["ok"] for one in json.loads(capsys.readouterr().out)] == [True, True]
        assert "Nothing is wrong" in kept[-1][1].content.decode()
        monkeypatch.setenv("SMTP_PASSWORD", "wrong")
        assert execute(["-w", str(root), "alerts", "test", "-o", "json"]) == 1
        said = json.loads(capsys.readouterr().out)
        assert [one["ok"] for one in said] == [False, True]
        assert said[0]["said"] == "it answered 535"
    finally:
        controller.stop()


@pytest.mark.parametrize(
    ("alert", "said"),
    [
        ("{on: [fail], to: 'https://h/x'}", "did you mean 'failure'"),
        ("{on: failure, to: {webhok: 'https://h/x'}}", "unknown key 'webhok'"),
        ("{on: failure, to: 'h/x'}", "an address of a webhook begins with https://"),
        ("{on: failure, to: {webhook: 'https://h/x', slack: 'https://h/x'}}", "give one of"),
        ("{on: failure, to: {email: {host: h.example, from: a@b.c, to: a@b.c, user: u}}}", "go together"),
        (
            "{on: failure, to: {email: {host: h.example, from: a@b.c, to: a@b.c, user: u, password: p, starttls: false}}}",
            "starttls only",
        ),
    ],
)
def test_a_wrong_alert_is_told_with_its_line(tmp_path: Path, alert: str, said: str) -> None:
    root = workspace(tmp_path, f"  - {alert}")
    with pytest.raises(cdp.SpecError, match=r"^cdp.yaml:\d+: ") as caught:
        cdp.open(root)
    assert said in str(caught.value)
    assert ":18: " in str(caught.value) or ":17: " in str(caught.value)


def test_thresholds_and_small_numbers() -> None:
    alert = AlertSpec.model_validate({"on": ["failed_share", "size_jump"], "to": "https://h/x"})
    seen = [refused("a", 5, 100), refused("b", 4, 100), jump("x", "members", 100, 150), jump("y", "members", 100, 151)]
    assert [one.about for one in news(alert, seen, {})[0]] == ["sync a", "y"]
    assert news(alert, [jump("z", "members", 3, 9), jump("z", "members", 0, 500), refused("c", 0, 0)], {}) == ([], [])
    assert news(alert, [failure("run", "down")], {}) == ([], [])
