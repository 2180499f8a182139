"""Somebody who was suppressed does not come back: not by file, by collector, by replay, and rows still add up."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest
from live_posts import post

import cdp_core as cdp
from cdp_core.identity.single import identifiers_of
from cdp_core.identity.spec import IdentitySpec
from cdp_core.inbox.packed import unpack
from cdp_core.privacy.store import PATH
from cdp_core.runs import load
from cdp_core.tables import CANONICAL

SHOP = """
name: shop
region: US
sources:
  crm:
    type: file
    path: crm.csv
    map: {type: identify, key: [id], time: at, identifiers: {user_id: id, email: email}, traits: {phone: phone}}
  site: {type: collector}
  archive: {type: segment, path: archive.ndjson}
"""
HEAD = "id,at,email,phone\n"
BEN = "2,2026-11-01,ben@barred.example,+14155550102\n"
OTHERS = "1,2026-11-01,ann@example.org,+14155550101\n3,2026-11-01,cy@example.org,+14155550103\n"
TRACES = ("ben@barred.example", "ben@barred", "4155550102", "device-ben", "secret-wish")


def track(number: int, **more: Any) -> dict[str, Any]:
    said = {"type": "track", "event": "Wish", "messageId": f"m{number}", "timestamp": "2026-11-02"}
    return said | {"properties": {"w": "secret-wish"}} | more


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[cdp.Workspace]:
    """Ben was known by user id, address, phone and device before he was suppressed; the lake is then built anew."""
    root = tmp_path_factory.mktemp("shop")
    (root / "cdp.yaml").write_text(SHOP)
    (root / "crm.csv").write_text(HEAD + BEN + OTHERS + "2,no day,ben@barred.example,x\n")
    (root / "archive.ndjson").write_text(json.dumps(track(1, userId="2", anonymousId="device-ben")) + "\n")
    with cdp.open(root) as ws:
        assert ws.run().status == "succeeded"
        ws.privacy.suppress("email:ben@barred.example", reason="asked for it")
        yield ws


def traces(ws: cdp.Workspace, since: int) -> set[str]:
    """What is told of him in rows of runs behind the first ones, and in the inbox."""
    runs = ws.polars(ws.table("runs").order_by("started_at").select("run_id"))["run_id"][since:]
    texts = []
    for name in CANONICAL:
        rows = ws.table(name)
        if "run_id" in rows.columns and name != "runs":
            texts.append(ws.polars(rows.filter(rows.run_id.isin(runs.to_list()))).write_json())
    for path in (ws.root / "data/collector").rglob("inbox-*.sqlite"):
        with sqlite3.connect(path) as inbox:
            texts += [str(unpack(body)) for (body,) in inbox.execute("SELECT body FROM requests")]
    return {trace for trace in TRACES for text in texts if trace in text}


def balance(ws: cdp.Workspace, run_id: str) -> dict[str, tuple[int, ...]]:
    loads = ws.polars(ws.table("source_loads").filter(lambda t: t.run_id == run_id))
    columns = ("rows_read", "events", "duplicates", "quarantined", "suppressed")
    return {row["source"]: tuple(row[c] for c in columns) for row in loads.to_dicts()}


@pytest.mark.timeout(300)
def test_he_does_not_come_back(shop: cdp.Workspace) -> None:
    before = shop.polars(shop.table("events").count().name("n").as_table()).item()
    assert before == 4, "what is stored stays until it is erased"
    row = shop.polars(shop.table("quarantine"))["message_id"][0]
    shop.held.fix("crm", row, {"id": "2", "at": "2026-11-02", "email": "new@example.org"})
    replayed = shop.held.replay()
    assert (replayed.selected, replayed.suppressed, replayed.passed) == (1, 1, 0)
    assert shop.polars(shop.table("quarantine")).is_empty(), "nor is he held"
    (shop.root / "crm.csv").write_text(
        HEAD
        + "9,2026-11-03, BEN@barred.example ,\n"
        + "8,2026-11-03,eve@example.org,+1 (415) 555-0102\n"
        + "2,no day,,x\n"
        + "7,2026-11-03,dan@example.org,\n"
    )
    (shop.root / "archive.ndjson").write_text(
        "\n".join(
            json.dumps(each)
            for each in (
                track(2, anonymousId="device-ben"),
                track(3, userId="7", context={"traits": {"email": "Ben@Barred.example"}}),
                track(4, userId="7", context={"externalIds": [{"id": "2", "type": "user_id"}]}),
                {"type": "track", "timestamp": "2026-11-02", "userId": "2", "properties": {"w": "secret-wish"}},
                track(5, userId="7", properties={"w": "mine"}),
            )
        )
    )
    said: list[bytes] = []
    mine = track(6, userId="7", properties={"w": "mine"})
    bodies = [
        {"batch": [track(7, userId="2"), mine, track(8, userId="7", traits={"email": "ben@barred.example"})]},
        {"batch": [track(9, userId="7")], "context": {"traits": {"email": "ben@barred.example"}}},
    ]
    assert post(shop.root, "site", [json.dumps(body).encode() for body in bodies], said=said) == [200, 200]
    assert [json.loads(each)["accepted"] for each in said] == [3, 1], "who is suppressed cannot be asked"
    run = shop.run()
    assert run.status == "succeeded", run.error
    assert balance(shop, run.run_id) == {"crm": (4, 1, 0, 0, 3), "archive": (5, 1, 0, 0, 4), "site": (1, 1, 0, 0, 0)}
    full = shop.run(full_refresh=True)
    assert full.status == "succeeded", full.error
    assert traces(shop, since=1) == set()


def test_what_waited_before_he_was_suppressed_is_not_loaded(shop: cdp.Workspace) -> None:
    late = {"batch": [track(21, userId="77", traits={"email": "late@example.org"}), track(22, userId="7")]}
    assert post(shop.root, "site", [json.dumps(late).encode()]) == [200]
    shop.privacy.suppress("email:late@example.org", reason="asked for it")
    run = shop.run(select=["load"])
    assert balance(shop, run.run_id)["site"] == (2, 1, 0, 0, 1)


def test_a_lost_row_is_noticed(shop: cdp.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "counted", lambda found: found.clear().select("source", suppressed=pl.lit(0, pl.Int64)))
    (shop.root / "crm.csv").write_text(HEAD + "2,2026-11-05,,\n7,2026-11-05,dan@example.org,\n")
    run = shop.run(select=["load"])
    assert run.status == "failed"
    assert "rows do not add up" in str(run.error)


def test_a_line_from_before_bars_nobody(shop: cdp.Workspace) -> None:
    path = shop.root / PATH
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({k: v for k, v in line.items() if k != "door"}) + "\n" for line in lines))
    (shop.root / "crm.csv").write_text(HEAD + "2,2026-11-06,,\n")
    run = shop.run(select=["load"])
    assert balance(shop, run.run_id)["crm"] == (1, 1, 0, 0, 0)


def test_who_one_event_is_about() -> None:
    spec = IdentitySpec.model_validate({"identifiers": {"user_id": {}, "anonymous_id": {}, "work_email": {}}})
    event = {
        "type": "alias",
        "userId": 7,
        "previousId": " old ",
        "traits": {"workEmail": "A@x.org", "email": "b@x.org"},
        "context": {"externalIds": [{"id": "c@x.org", "type": "work_email"}, {"id": "d", "collection": "accounts"}]},
    }
    found = [("user_id", "7"), ("user_id", "old"), ("anonymous_id", "old"), ("work_email", "c@x.org")]
    assert list(identifiers_of(event, spec)) == [*found, ("work_email", "a@x.org")]
