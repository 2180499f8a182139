"""Where a field flows: exactly what cdp.yaml says, value and condition told apart; decisions there and back."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cdp_core as cdp
from cdp_core.cli import execute

CONFIG = """\
# a shop
name: shop
today: 2026-11-28
sources:
  crm:
    type: file
    path: crm.csv
    map:
      type: identify
      key: [id]
      time: at
      identifiers: {user_id: id, email: mail}
      traits: {email: mail, town: town, plan: plan}
      consent: {news: news}
  web: {type: segment, path: web.ndjson}
  app: {type: segment, path: app.ndjson}
identity: {identifiers: {user_id: {}, email: {}, email_sha256: {derive: {from: email, how: sha256}}}}
traits:
  email: {pick: latest, sources: [crm]}
  home: {from: town}
  spent: {sum: Paid.total}
  gifts: {count: Paid, where: {gift: true}}
  genres: {unique_count: Paid.genre}
  paid_page: {last: Paid.page}
  rank: {sql: "SELECT profile_id, CASE WHEN spent > 9 THEN 'gold' END AS rank FROM profiles"}
  note: {sql: "SELECT l.profile_id, max(e.properties->>'note') AS note FROM events e JOIN event_profiles l USING (source, message_id) GROUP BY 1"}
audiences:
  rich: {where: {trait: spent, at_least: 10}}
  rich_here: {where: {and: [{audience: rich}, {trait: home, equals: Bern}, {consent: news}]}}
  quick: {where: {event: Paid, where: {genre: Rock}}}
destinations:
  box: {type: sqlite, path: box.sqlite}
  lake: {type: sqlite, path: lake.sqlite, consent: news, transform: [{drop: properties.note}, {rename: properties.total, to: sum}]}
syncs:
  members: {model: {audience: rich_here}, destination: box, key: id, options: {table: a}, mapping: {id: profile_id, mail: {hash: email}}}
  gold: {model: {sql: "SELECT profile_id, rank FROM profiles"}, destination: box, key: id, options: {table: b}, mapping: {id: profile_id, rank: rank}}
  paid: {model: {events: {event: Paid}}, destination: lake, options: {table: c}, mapping: {sum: properties.sum, note: properties.note, ip: context.ip}}
# the end
"""
V, C = "value", "condition"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("flow") / "shop"
    root.mkdir()
    (root / "cdp.yaml").write_text(CONFIG)
    with (root / "crm.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "at", "mail", "town", "plan", "news", "secret_name"])
        for n in range(9):
            rows.writerow([f"u{n}", "2026-01-05", f"ann{n}@example.org", "Ulm", "free", "true", "Ann"])
    common = {"userId": "u1", "context": {"ip": "192.0.2.7"}}
    paid = {"total": 12, "gift": True, "genre": "Rock", "note": "ok"}
    events: list[dict[str, Any]] = [
        {"type": "track", "event": "Paid", "messageId": "a", "timestamp": "2026-02-01", "properties": paid, **common},
        {"type": "track", "event": "Seen", "messageId": "b", "timestamp": "2026-02-01", "properties": {"genre": "Pop", "page": "x"}, **common},
        {"type": "track", "event": "Seen", "messageId": "c", "timestamp": "2026-11-26", "properties": {"late": "z"}, **common},
        {"type": "identify", "messageId": "d", "timestamp": "2026-02-01", "traits": {"email": "ben@example.org", "town": "Bern"}, **common},
        {"type": "track", "messageId": "e", "properties": {"pwd": "hunter2"}},
    ]  # fmt: skip
    (root / "web.ndjson").write_text("\n".join(map(json.dumps, events)))
    young = {
        "type": "track",
        "event": "Opened",
        "messageId": "y",
        "timestamp": "2026-11-27",
        "properties": {"first": "z"},
    }
    (root / "app.ndjson").write_text(json.dumps(young | {"userId": "u1"}))
    with cdp.open(root) as ws:
        run = ws.run(sync=True)
        assert run.status == "succeeded", run.error
        ws.inventory.summary()
    return root


@pytest.fixture
def shop(built: Path, tmp_path: Path) -> Iterator[cdp.Workspace]:
    with cdp.open(Path(shutil.copytree(built, tmp_path / "shop"))) as ws:
        yield ws


@pytest.fixture(scope="module")
def ws(built: Path) -> Iterator[cdp.Workspace]:
    with cdp.open(built) as opened:
        yield opened


FLOWS: dict[str, dict[str, str]] = {
    "crm.traits.email": {
        "identifier:email": V, "identifier:email_sha256": V, "trait:email": V, "sync:members": V, "destination:box": V,
    },
    "web.traits.email": {"identifier:email": V, "identifier:email_sha256": V},
    "crm.traits.town": {
        "trait:home": V, "audience:rich_here": C, "sync:members": C, "destination:box": C,
    },
    "crm.traits.plan": {},
    "crm.user_id": {"identifier:user_id": V},
    "crm.context.consent.categoryPreferences.news": {
        "consent:news": V, "audience:rich_here": C, "sync:members": C, "sync:paid": C, "destination:box": C,
        "destination:lake": C,
    },
    "web.properties.total": {
        "trait:rank": V, "trait:spent": V, "audience:rich": C, "audience:rich_here": C, "sync:gold": V, "sync:members": C,
        "sync:paid": V, "destination:box": V, "destination:lake": V,
    },
    "web.properties.gift": {"trait:gifts": C},
    "web.properties.genre": {"trait:genres": C, "audience:quick": C},
    "web.properties.note": {"trait:note": V},
    "web.properties.page": {},
    "web.context.ip": {"sync:paid": V, "destination:lake": V},
    "profiles.email": {"trait:email": V, "sync:members": V, "destination:box": V},
    "user_identifiers.email": {"identifier:email": V, "identifier:email_sha256": V},
    "sync_ledger.members.mail": {"sync:members": V, "destination:box": V},
    "web.quarantine.properties.pwd": {},
}  # fmt: skip


@pytest.mark.parametrize("field", FLOWS)
def test_flow(ws: cdp.Workspace, field: str) -> None:
    assert dict(ws.inventory.flow(field).reached) == FLOWS[field]


def test_flow_says_by_what(ws: cdp.Workspace) -> None:
    said = ws.inventory.flow("crm.traits.email").to_dict()
    assert {"from": "trait:email", "to": "sync:members", "carries": "value", "by": "mail, hashed"} in said["edges"]
    assert said["destinations"] == [{"name": "box", "carries": "value"}]
    with pytest.raises(cdp.UsageError, match="unknown field"):
        ws.inventory.flow("crm.traits.nothing")


def test_table_says_what_waits_and_what_follows(ws: cdp.Workspace) -> None:
    rows = {row["field"]: row for row in ws.inventory.fields().to_dicts()}
    assert [name for name, row in rows.items() if row["inbox"]] == [
        "crm.context.externalIds.email", "crm.traits.email", "crm.traits.town", "web.context.ip",
        "web.properties.late", "web.quarantine.properties.pwd", "web.traits.email", "web.traits.town",
    ]  # fmt: skip
    assert [name for name, row in rows.items() if row["new"]] == ["web.properties.late"]
    assert rows["profiles.email"]["follows"] == ["crm.traits.email"]
    assert rows["profiles.home"]["follows"] == ["crm.traits.town", "web.traits.town"]
    assert rows["sync_ledger.members.mail"]["follows"] == ["crm.traits.email"]
    assert rows["user_identifiers.email"]["follows"] == [
        "crm.context.externalIds.email",
        "crm.traits.email",
        "web.traits.email",
    ]
    unstored = rows["crm.columns.secret_name"]
    assert (unstored["values"], unstored["control"], unstored["inbox"]) == (0, None, False)
    assert rows["crm.traits.email"]["control"] == "allow"
    assert ws.inventory.fields("web")["source"].unique().to_list() == ["web"]
    assert ws.inventory.fields(class_="red")["field"].to_list() == ["web.quarantine.properties.pwd"]
    with pytest.raises(cdp.UsageError, match="unknown source"):
        ws.inventory.fields("nobody")


def test_a_decision_there_and_back(shop: cdp.Workspace) -> None:
    """cdp.yaml keeps every other byte; what follows a field takes its class; undo gives the file back."""
    path = shop.root / "cdp.yaml"
    edit = shop.inventory.classify(["crm.traits.email", "web.traits.email"], "yellow")
    shop.inventory.classify("web.context.ip", "red", "truncate")
    assert path.read_text().startswith(CONFIG.removesuffix("# the end\n"))
    assert "# the end" in path.read_text()
    rows = {row["field"]: row for row in shop.inventory.fields().to_dicts()}
    assert (rows["crm.traits.email"]["class"], rows["crm.traits.email"]["inbox"]) == ("yellow", False)
    assert (rows["profiles.email"]["class"], rows["profiles.email"]["decided_by"]) == ("yellow", "crm.traits.email")
    assert (rows["web.context.ip"]["class"], rows["web.context.ip"]["control"]) == ("red", "truncate")
    with pytest.raises(cdp.UsageError, match="has changed since it was saved"):
        shop.inventory.undo(edit)
    shop.inventory.forget("web.context.ip")
    shop.inventory.undo(edit)
    assert path.read_text().rstrip("\n") == CONFIG.rstrip("\n")
    assert shop.inventory.summary()["decided"] == 0


def test_decisions_that_were_taken_back_leave_nothing(shop: cdp.Workspace) -> None:
    shop.inventory.classify({"crm.traits.town": "green", "*.context.ip": "yellow"})
    rows = {row["field"]: row for row in shop.inventory.fields().to_dicts()}
    assert (rows["web.context.ip"]["decided_by"], rows["crm.traits.town"]["inbox"]) == ("*.context.ip", False)
    shop.inventory.forget(["crm.traits.town", "*.context.ip"])
    assert "privacy" not in (shop.root / "cdp.yaml").read_text()
    with pytest.raises(cdp.UsageError, match="unknown decision"):
        shop.inventory.forget("crm.traits.town")


def test_a_field_that_never_came_is_listed_and_red_is_dropped(shop: cdp.Workspace) -> None:
    shop.inventory.classify("web.properties.card_number", "red")
    row = shop.inventory.fields(class_="red").filter(field="web.properties.card_number").row(0, named=True)
    assert (row["values"], row["control"], row["inbox"]) == (0, "drop", False)


@pytest.mark.parametrize(
    ("field", "class_", "control", "message"),
    [
        ("nobody.traits.email", "red", None, "unknown source"),
        ("crm.email", "red", None, "is no place"),
        ("crm", "red", None, "is no place"),
        ("crm.traits.email", "rod", None, "did you mean 'red'"),
        ("crm.traits.email", "red", "burn", "unknown control"),
        ("profiles.email", "red", "drop", "no field of a source"),
        ("profiles.nothing", "red", None, "unknown field"),
    ],
)
def test_a_wrong_decision_writes_nothing(
    ws: cdp.Workspace, field: str, class_: str, control: str | None, message: str
) -> None:
    with pytest.raises(cdp.UsageError, match=message):
        ws.inventory.classify(field, class_, control)
    assert (ws.root / "cdp.yaml").read_text() == CONFIG


def test_commands(shop: cdp.Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    def done(*arguments: str) -> tuple[int, str, str]:
        code = execute(["privacy", *arguments, "--workspace", str(shop.root)])
        return code, *capsys.readouterr()

    shop.close()
    code, out, _ = done("inventory", "--inbox", "--output", "json")
    assert (code, len(json.loads(out))) == (0, 8)
    assert done("inventory", "--check")[0] == 1
    code, out, err = done("inventory", "--source", "web", "--class", "yellow")
    assert (code, "web.context.ip" in out, "web.user_id" in out) == (0, True, False)
    assert "wait for a decision; all rows were read" in err.replace("\n", " ")
    code, _, err = done("classify", "web.context.ip", "crm.traits.town", "yellow", "--control", "truncate")
    assert (code, "yet" in err) == (0, False)
    code, _, err = done("classify", "crm.traits.towm", "*.context.iq", "*.context.ip", "green")
    said = " ".join(err.split())
    assert (code, said.count("the decision waits for it")) == (0, 2), said
    assert "or is crm.traits.town meant?" in said
    assert "or is *.context.ip meant?" in said
    assert done("forget", "crm.traits.towm", "*.context.iq", "*.context.ip")[0] == 0
    code, out, _ = done("inventory", "--output", "csv")
    assert (code, "web.context.ip,web,context.ip,yellow,yellow,ip," in out) == (0, True)
    code, out, _ = done("flow", "web.context.ip", "--output", "json")
    assert json.loads(out)["destinations"] == [{"name": "lake", "carries": "value"}]
    code, out, err = done("flow", "web.properties.total")
    assert (code, "trait        spent" in out, "reaches box, lake" in err) == (0, True, True)
    assert done("forget", "web.context.ip")[0] == 0
    code, _, err = done("classify", "red")
    assert (code, "a class is missing" in err) == (2, True)
    assert done("forget", "web.context.ip")[0] == 2
