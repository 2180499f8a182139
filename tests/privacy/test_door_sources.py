"""Controls at batch sources: columns and what they are mapped to, nested cells, types, and what is stored already."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest

import cdp_core as cdp
from cdp_core.privacy.key import PATH as KEY
from cdp_core.runs.doctor import diagnose

CONFIG = """
name: shop
sources:
  crm:
    type: file
    path: crm.csv
    map:
      type: identify
      key: id
      identifiers: {user_id: id, email: mail}
      traits: {email: mail, born: {column: born, type: date}, age: age, plan: plan, card_number: card, extra: extra}
  lake:
    type: file
    path: lake.parquet
    map: {type: identify, key: id, identifiers: {user_id: id}}
  web: {type: segment, path: web.ndjson, plan: {name: web, violations: block}}
identity: {identifiers: {user_id: {limit: 1}, email: {}}}
"""
PRIVACY = """
privacy:
  controls: {yellow: mask}
  fields:
    "*.user_id": {class: yellow, control: hash}
    crm.traits.email: {class: yellow, control: hash}
    crm.traits.born: {class: yellow, control: generalise}
    crm.age: {class: yellow, control: generalise}
    crm.traits.card_number: {class: green}
    crm.traits.extra.street: yellow
    lake.traits.salary: {class: yellow, control: truncate}
    lake.traits.home.city: yellow
    web.properties.email: {class: yellow, control: hash}
"""
CSV = (
    "id,mail,born,age,plan,card,extra,iban\n"
    '1,Ann@X.org,1961-04-09,34,pro,4111,"{""street"": ""Elm 1"", ""ssn"": 1, ""x"": 2}",DE1\n'
    "2,b@x.org,no day,7,pro,,,DE2\n"
)
PLAN = "events:\n  Paid:\n    properties:\n      total: {type: number, required: true}\n"


def hashed(ws: cdp.Workspace, text: str) -> str:
    key = bytes.fromhex((ws.root / KEY).read_text())
    return "hmac:" + hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def track(number: int, total: Any) -> dict[str, Any]:
    told = {"type": "track", "event": "Paid", "messageId": f"m{number}", "timestamp": "2026-11-01", "userId": "1"}
    return told | {"properties": {"total": total, "email": "ann@x.org"}}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[cdp.Workspace]:
    root = tmp_path_factory.mktemp("shop")
    (root / "cdp.yaml").write_text(CONFIG + PRIVACY)
    (root / "crm.csv").write_text(CSV)
    pl.DataFrame(
        {
            "id": [1],
            "salary": [52300],
            "Password": ["x"],
            "home": [{"city": "Leeds", "cvv": 1, "flat": 2}],
            "vip": [True],
        }
    ).write_parquet(root / "lake.parquet")
    (root / "web.ndjson").write_text("\n".join(json.dumps(track(n, n)) for n in (1, 2)))
    (root / "expectations/tracking_plan").mkdir(parents=True)
    (root / "expectations/tracking_plan/web.yaml").write_text(PLAN)
    with cdp.open(root) as ws:
        run = ws.run(select=["load"])
        assert run.status == "succeeded", run.error
        yield ws


def events(ws: cdp.Workspace, source: str) -> list[dict[str, Any]]:
    rows = ws.polars(ws.table("events").filter(lambda t: t.source == source).order_by("message_id")).to_dicts()
    return [row | {c: json.loads(row[c] or "{}") for c in ("traits", "properties", "context")} for row in rows]


def test_columns_go_by_what_they_are_mapped_to(shop: cdp.Workspace) -> None:
    (row,) = events(shop, "crm")
    mail = hashed(shop, "ann@x.org")
    assert row["user_id"] == hashed(shop, "1")
    assert row["context"]["externalIds"][0]["id"] == mail
    assert row["traits"] == {
        "email": mail, "born": "1961-01-01", "age": 30, "plan": "pro", "card_number": 4111,
        "extra": '{"street":"E•••", "x": 2}',
    }  # fmt: skip
    assert "1" not in row["record_id"][:1]


def test_typed_and_nested_columns(shop: cdp.Workspace) -> None:
    (row,) = events(shop, "lake")
    assert row["traits"] == {"salary": 50000, "home": {"city": "L•••", "flat": 2}, "vip": True}
    known = shop.polars(shop.table("source_columns").filter(lambda t: t.source == "lake"))
    assert dict(known.select("column", "type").rows()) == {
        "id": "string", "salary": "integer", "home": "json", "vip": "boolean",
    }  # fmt: skip


def test_a_row_that_is_held_is_under_controls_too(shop: cdp.Workspace) -> None:
    held = shop.polars(shop.table("quarantine").filter(lambda t: t.source == "crm"))
    (payload,) = map(json.loads, held["payload"])
    assert payload == {
        "id": hashed(shop, "2"),
        "mail": hashed(shop, "b@x.org"),
        "born": "n•••",
        "age": "0",
        "plan": "pro",
    }


def test_a_decision_reaches_what_is_stored_when_it_is_replayed(shop: cdp.Workspace) -> None:
    assert [row["properties"]["email"] for row in events(shop, "web")] == [hashed(shop, "ann@x.org")] * 2
    plan = shop.root / "expectations/tracking_plan/web.yaml"
    config = (shop.root / "cdp.yaml").read_text()
    try:
        (shop.root / "cdp.yaml").write_text(CONFIG.replace("path: web.ndjson", "path: more.ndjson"))
        (shop.root / "more.ndjson").write_text("\n".join(json.dumps(track(n, n)) for n in (3, 4)))
        shop.reload()
        assert shop.run(select=["load"]).status == "succeeded"
        assert [row["user_id"] for row in events(shop, "web")][2:] == ["1", "1"]
        (shop.root / "cdp.yaml").write_text(config)
        plan.write_text(PLAN.replace("type: number", "enum: [1, 2, 3]"))
        shop.reload()
        done = shop.stored.replay(source="web")
    finally:
        (shop.root / "cdp.yaml").write_text(config)
    assert (done.selected, done.unchanged, done.changed, done.held) == (4, 2, 1, 1)
    stored = events(shop, "web")
    assert {row["user_id"] for row in stored} == {hashed(shop, "1")}
    assert {row["properties"]["email"] for row in stored} == {hashed(shop, "ann@x.org")}
    (payload,) = shop.polars(shop.table("quarantine").filter(lambda t: t.source == "web"))["payload"]
    assert "ann@x.org" not in payload
    assert shop.stored.replay(source="web").changed == 0, "a second time changes nothing"
    assert shop.stored.undo(done.run_id).restored == 2
    assert {row["user_id"] for row in events(shop, "web")} == {hashed(shop, "1")}, "controls are not undone"


def test_the_doctor_says_who_is_not_recognised_any_more(shop: cdp.Workspace) -> None:
    words = "\n".join(found.what for found in diagnose(shop.root) if found.level == "warn")
    assert "source 'crm': identifier 'email' is under 'hash'" in words
    assert "source 'web': identifier 'email'" not in words
    assert "user_id" not in words, "it is hashed everywhere, so it still joins"


def test_it_says_why(shop: cdp.Workspace) -> None:
    found = shop.privacy.why("lake.traits.Password")
    assert (found.control, found.class_, found.decided) == ("drop", "red", None)
    assert shop.privacy.why("web.user_id").decided == "*.user_id"
    with pytest.raises(cdp.UsageError, match="unknown source"):
        shop.privacy.why("cmr.traits.email")
