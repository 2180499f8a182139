"""Held rows are corrected and tried again: counted, once, and with everything that their source told."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

import cdp_core as cdp
from cdp_core.inbox.packed import pack
from cdp_core.inbox.writer import InboxWriter, Received
from cdp_core.runs import replay as module
from cdp_core.runs.lock import run_lock
from cdp_core.workspace import held as workspace_held

CONFIG = """
name: shop
region: US
sources:
  orders:
    type: file
    path: orders.csv
    map:
      type: track
      event: Bought
      key: [id]
      time: at
      identifiers: {user_id: customer}
      properties: {total: {column: total, type: number}}
  site:
    type: segment
    path: site.ndjson
    plan: {name: site, violations: block}
identity: {identifiers: {user_id: {limit: 1}, email: {}}}
"""
PLAN = "events:\n  Viewed:\n    properties:\n      price: {type: number, required: true}\n"
ORDERS = "id,customer,at,total\n1,u1,2024-05-01,9.5\n2,u2,2024-05-02,free\n3,,2024-05-03,1\n4,u4,2024-05-04,4\n"
SITE = [
    {"type": "track", "event": "Viewed", "messageId": "m1", "userId": "u1", "properties": {"price": 1},
     "timestamp": "2024-05-04T10:00:00Z"},
    {"type": "track", "event": "Viewed", "messageId": "m2", "userId": "u1", "properties": {"price": "2"},
     "timestamp": "2024-05-05T10:00:00Z", "receivedAt": "2024-05-05T10:00:01Z", "version": 2},
    {"type": "track", "event": "Viewed", "messageId": "m3", "userId": "u2", "timestamp": "2024-05-06T10:00:00Z"},
]  # fmt: skip


@pytest.fixture
def ws(tmp_path: Path) -> cdp.Workspace:
    (tmp_path / "cdp.yaml").write_text(CONFIG)
    (tmp_path / "orders.csv").write_text(ORDERS)
    (tmp_path / "site.ndjson").write_text("\n".join(json.dumps(e) for e in SITE) + "\nnonsense\n")
    plans = tmp_path / "expectations" / "tracking_plan"
    plans.mkdir(parents=True)
    (plans / "site.yaml").write_text(PLAN)
    workspace = cdp.open(tmp_path)
    assert workspace.run().status == "succeeded"
    return workspace


def held(ws: cdp.Workspace, status: str = "held") -> dict[str, str]:
    """Message id → first rule."""
    rows = ws.quarantine().filter(pl.col("status") == status)
    return {row["message_id"]: json.loads(row["reasons"])[0]["rule"] for row in rows.iter_rows(named=True)}


def of_row(ws: cdp.Workspace, text: str) -> str:
    (found,) = ws.quarantine().filter(pl.col("payload").str.contains(text, literal=True))["message_id"]
    return str(found)


def test_nothing_has_changed_and_nothing_changes(ws: cdp.Workspace) -> None:
    before, events = held(ws), ws.sql("SELECT * FROM events ORDER BY ALL")
    assert len(before) == 5
    found = ws.held.replay()
    assert (found.selected, found.passed, found.held, found.known) == (5, 0, 5, 0)
    assert held(ws) == before
    assert ws.sql("SELECT * FROM events ORDER BY ALL").equals(events)


def test_a_plan_that_is_corrected_lets_them_pass(ws: cdp.Workspace) -> None:
    path = ws.root / "expectations" / "tracking_plan" / "site.yaml"
    path.write_text(PLAN.replace("type: number, required: true", "type: [number, string]"))
    assert ws.held.replay(source="site", dry_run=True).passed == 2
    assert "m2" in held(ws)
    found = ws.held.replay(source="site")
    assert (found.selected, found.passed, found.held) == (3, 2, 1)
    assert found.rules == {"parse.json": 1}
    assert set(held(ws, "replayed")) == {"m2", "m3"}
    row = ws.sql("SELECT * FROM events WHERE message_id = 'm2'").row(0, named=True)
    assert row["timestamp"] == datetime(2024, 5, 5, 10)
    assert row["received_at"] == datetime(2024, 5, 5, 10, 0, 1)
    assert json.loads(row["extra"]) == {"version": 2}
    again = ws.held.replay(source="site")
    assert (again.selected, again.passed) == (1, 0)
    assert ws.sql("SELECT count(*) AS n FROM events WHERE source = 'site'").item() == 3
    run = ws.run()
    assert run.status == "succeeded"
    assert ws.profile("user_id:u2").profile_id
    loads = ws.sql(
        "SELECT sum(rows_read) AS r, sum(events) AS e, sum(duplicates) AS d, sum(quarantined) AS q FROM source_loads"
    )
    assert loads.row(0) == (8, 5, 0, 3)


def test_the_same_rows_read_again_are_duplicates(ws: cdp.Workspace) -> None:
    (ws.root / "expectations" / "tracking_plan" / "site.yaml").write_text("events:\n  Viewed: {}\n")
    ws.held.replay(source="site")
    before = ws.sql("SELECT count(*) AS n FROM events").item()
    assert ws.run(full_refresh=True).status == "succeeded"
    assert ws.sql("SELECT count(*) AS n FROM events").item() == before
    assert ws.sql("SELECT count(*) AS n, count(DISTINCT source || message_id) AS d FROM events").row(0) == (
        before,
        before,
    )


def test_a_row_that_is_corrected(ws: cdp.Workspace) -> None:
    wrong = of_row(ws, "free")
    ws.held.fix("orders", wrong, {"id": "2", "customer": "u2", "at": "2024-05-02", "total": "3.5"})
    assert ws.held.replay(rule="map.type").passed == 1
    row = ws.quarantine().filter(pl.col("message_id") == wrong).row(0, named=True)
    assert row["status"] == "replayed"
    assert "free" in row["payload"]
    stored = ws.sql("SELECT event, user_id, timestamp, properties FROM events WHERE user_id = 'u2'").row(0)
    assert stored == ("Bought", "u2", datetime(2024, 5, 2), '{"total":3.5}')


def test_a_correction_that_is_still_wrong_stays_held_under_its_id(ws: cdp.Workspace) -> None:
    wrong = of_row(ws, "nonsense")
    ws.held.fix("site", wrong, '{"type": "track", "event": "Viewed", "userId": "u9", "timestamp": "2024-05-07"}')
    found = ws.held.replay(ids=[wrong])
    assert (found.selected, found.passed, found.held) == (1, 0, 1)
    assert held(ws)[wrong] == "plan.required"
    ws.held.fix(
        "site",
        wrong,
        '{"type": "track", "event": "Viewed", "userId": "u9", "timestamp": "2024-05-07", "properties": {"price": 2}}',
    )
    assert ws.held.replay(ids=[wrong]).passed == 1
    assert ws.sql("SELECT message_id FROM events WHERE user_id = 'u9'").item() == wrong


def test_letting_go_and_taking_it_back(ws: cdp.Workspace) -> None:
    ids = list(held(ws))[:2]
    sources = dict(ws.quarantine().select("message_id", "source").iter_rows())
    for one in ids:
        assert ws.held.discard(sources[one], [one]) == 1
    assert ws.held.replay().selected == 3
    assert ws.held.restore(sources[ids[0]], [ids[0]]) == 1
    assert ws.held.replay().selected == 4


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda ws: ws.held.replay(source="stie"), "did you mean 'site'"),
        (lambda ws: ws.held.fix("site", "m9", "{}"), "no row 'm9' of source 'site' is held"),
        (lambda ws: ws.held.fix("site", "m2", "[1]"), "no JSON object"),
        (lambda ws: ws.held.fix("site", "m2", "{"), "no JSON object"),
        (lambda ws: ws.held.discard("site", []), "is held"),
    ],
)
def test_mistakes_are_told(ws: cdp.Workspace, call, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(cdp.UsageError, match=words):
        call(ws)


def test_a_lost_row_publishes_nothing(ws: cdp.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    (ws.root / "expectations" / "tracking_plan" / "site.yaml").write_text("events:\n  Viewed: {}\n")
    plain = module.drop_known

    def loses(engine, staging, sources, **more):  # type: ignore[no-untyped-def]
        found = plain(engine, staging, sources, **more)
        events = staging.table("events")
        staging.replace("events", events.filter(events.message_id != "m2"))
        return found

    monkeypatch.setattr(module, "drop_known", loses)
    with pytest.raises(cdp.CDPError, match="tried again"):
        ws.held.replay()
    assert "m3" in held(ws)


def test_what_a_key_or_a_limit_forbade_is_not_let_in_by_trying_again(tmp_path: Path) -> None:
    config = "name: t\nregion: US\nsources: {site: {type: collector}}\nidentity: {identifiers: {user_id: {}, anonymous_id: {}}}\n"
    (tmp_path / "cdp.yaml").write_text(config)
    alias = b'{"type":"alias","userId":"victim","previousId":"stranger","messageId":"a"}'
    long = b'{"type":"page","userId":"u","messageId":"l","x":"' + b"x" * 40_000 + b'"}'
    plain = b'{"type":"page","userId":"u","messageId":"p"}'
    inbox = InboxWriter(tmp_path, lambda waiters, error: None)
    for envelope, events in (
        (b'{"kind":"browser"}', [alias]), (b"{}", [long]), (b'{"problem":"spec.envelope"}', [plain]),
    ):  # fmt: skip
        inbox.put(Received("site", 1, envelope, 1, 100, pack(events)), None)
    inbox.close()
    with cdp.open(tmp_path) as ws:
        ws.run(select=["load"])
        rules = {"key.alias": 1, "limit.event_size": 1, "spec.envelope": 1}
        for _ in range(2):
            found = ws.held.replay()
            assert (found.selected, found.passed, found.held, found.rules) == (3, 0, 3, rules)
        wrong = ws.sql("SELECT message_id FROM quarantine WHERE payload LIKE '%stranger%'").item()
        ws.held.fix("site", wrong, alias.decode())
        assert ws.held.replay().passed == 1
        assert ws.sql("SELECT type, previous_id FROM events").rows() == [("alias", "stranger")]


def test_a_line_that_was_no_row_keeps_its_reason(ws: cdp.Workspace) -> None:
    (ws.root / "orders.csv").write_text(ORDERS + "5,u5,2024-05-05,1,too,many,fields\n")
    ws.run(select=["load"])
    wrong = of_row(ws, "too,many")
    rule = held(ws)[wrong]
    assert rule.startswith("parse.")
    assert ws.held.replay(ids=[wrong]).rules == {rule: 1}
    assert held(ws)[wrong] == rule
    ws.held.fix("orders", wrong, {"id": "5", "customer": "u5", "at": "2024-05-05", "total": "1"})
    assert ws.held.replay(ids=[wrong]).passed == 1


def test_a_correction_does_not_get_lost_in_a_replay(ws: cdp.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace_held, "_PATIENCE_SECONDS", 0.1)
    with run_lock(ws.root / "data" / "lake"), cdp.open(ws.root) as other, pytest.raises(cdp.WorkspaceBusy):
        other.held.fix("site", "m2", "{}")
    assert ws.quarantine()["fixed"].null_count() == 5
    ws.held.fix("site", "m2", "{}")
    assert ws.quarantine()["fixed"].null_count() == 4
