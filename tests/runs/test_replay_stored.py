"""Stored events go through today's rules once more: counted, once, and what is held can come back as it was."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import cdp_core as cdp
from cdp_core.runs import replay_stored as module

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
      record: id
      time: at
      identifiers: {email: mail}
      properties: {total: {column: total, type: number}}
  site:
    type: segment
    path: site.ndjson
identity: {identifiers: {user_id: {limit: 1}, email: {}}}
traits: {email: {pick: latest}}
privacy: {controls: {red: allow}}
"""
ORDERS = "id,mail,at,total\n1,ann@example.org,2024-05-01,9.5\n2,bob@example.org,2024-05-02,-3\n"
SITE = [
    {"type": "track", "event": "Viewed", "messageId": "m1", "userId": "u1", "properties": {"price": 1, "note": None},
     "timestamp": "2024-05-04T10:00:00Z"},
    {"type": "track", "event": "Viewed", "messageId": "m2", "userId": "u1", "properties": {"price": "2"},
     "timestamp": "2024-05-05T10:00:00Z", "receivedAt": "2024-05-05T10:00:01.25Z", "version": 2,
     "context": {"ip": "::1", "traits": {"email": "ann@example.org"}}},
    {"type": "identify", "messageId": "m3", "userId": "u2", "timestamp": "2024-05-06T10:00:00Z",
     "traits": {"email": "cat@example.org", "ssn": "078-05-1120"}},
    {"type": "page", "name": "Home", "messageId": "m4", "anonymousId": "a1", "timestamp": "2024-05-07T10:00:00Z"},
]  # fmt: skip
PLAN = "events:\n  Viewed:\n    properties:\n      price: {type: number, required: true}\n"
TOTAL = "events:\n  Bought:\n    properties:\n      total: {type: number, minimum: 0}\n"


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose events were loaded when nobody had made a rule yet."""
    root = tmp_path_factory.mktemp("loaded")
    (root / "cdp.yaml").write_text(CONFIG)
    (root / "orders.csv").write_text(ORDERS)
    (root / "site.ndjson").write_text("\n".join(json.dumps(e) for e in SITE))
    plans = root / "expectations" / "tracking_plan"
    plans.mkdir(parents=True)
    (plans / "site.yaml").write_text(PLAN)
    (plans / "orders.yaml").write_text(TOTAL)
    with cdp.open(root) as ws:
        assert ws.run().status == "succeeded"
    return root


@pytest.fixture
def ws(loaded: Path, tmp_path: Path) -> cdp.Workspace:
    return cdp.open(shutil.copytree(loaded, tmp_path / "ws"))


def rules(ws: cdp.Workspace, **more: str) -> None:
    """Say more about sources, such as their plan."""
    text = CONFIG
    for source, line in more.items():
        text = text.replace(f"  {source}:\n", f"  {source}:\n    {line}\n")
    (ws.root / "cdp.yaml").write_text(text)
    ws.reload()


def events(ws: cdp.Workspace) -> pl.DataFrame:
    return ws.sql("SELECT * FROM events ORDER BY source, message_id")


def counts(found: Any) -> tuple[int, int, int, int]:
    return found.selected, found.unchanged, found.changed, found.held


def test_with_the_rules_of_then_nothing_changes(ws: cdp.Workspace) -> None:
    before, snapshot = events(ws), ws.snapshot()
    found = ws.stored.replay()
    assert counts(found) == (6, 6, 0, 0)
    assert (found.found, found.samples, found.rules) == ([], [], {})
    assert ws.snapshot() == snapshot
    assert events(ws).equals(before)


def test_a_correction_reaches_what_is_stored_and_everything_behind_it(ws: cdp.Workspace) -> None:
    before = events(ws)
    rules(ws, site="transform: [{hash: traits.ssn}, {event: Viewed, rename_event: Product Viewed}]")
    tried = ws.stored.replay(dry_run=True)
    assert counts(tried) == (6, 3, 3, 0)
    assert events(ws).equals(before)
    assert [(f["event"], f["selected"], f["changed"]) for f in tried.found] == [("Viewed", 2, 2), (None, 1, 1)]
    sample = next(s for s in tried.samples if s["message_id"] == "m1")
    assert sample["before"] == {"event": "Viewed", "context": None}
    assert sample["after"]["event"] == "Product Viewed"
    done = ws.stored.replay()
    assert counts(done) == counts(tried)
    row = ws.sql("SELECT * FROM events WHERE message_id = 'm3'").row(0, named=True)
    assert json.loads(row["traits"])["ssn"] == hashlib.sha256(b"078-05-1120").hexdigest()
    assert json.loads(row["context"])["protocols"]["transformed"] == ["hash: traits.ssn"]
    assert not ws.sql("SELECT 1 FROM events WHERE contains(traits, '078-05')").height
    same = [c for c in before.columns if c not in ("event", "traits", "context")]
    assert events(ws).select(same).equals(before.select(same))
    assert counts(ws.stored.replay()) == (6, 6, 0, 0)


def test_what_is_derived_follows(ws: cdp.Workspace) -> None:
    assert ws.run().stages[2].note == "unchanged"
    assert ws.profile("user_id:u2").golden["email"] == "cat@example.org"
    rules(ws, site="transform: [{type: identify, drop: traits.email}]")
    assert ws.stored.replay(source="site").changed == 1
    done = ws.stored.follow()
    assert done.status == "succeeded"
    assert [s.name for s in done.stages if s.note != "unchanged"] == ["identity", "profiles", "audiences"]
    assert ws.profile("user_id:u2").golden["email"] is None
    with pytest.raises(cdp.UsageError):
        ws.profile("email:cat@example.org")
    assert ws.run().stages[2].note == "unchanged"


def test_what_is_held_leaves_and_comes_back_as_it_was(ws: cdp.Workspace) -> None:
    before = events(ws)
    rules(ws, site="plan: {name: site, violations: block}", orders="plan: {name: orders, violations: block}")
    found = ws.stored.replay()
    assert counts(found) == (6, 4, 0, 2)
    assert found.rules == {"plan.range": 1, "plan.type": 1}
    assert set(events(ws)["message_id"]) == set(before["message_id"]) - set(ws.quarantine()["message_id"])
    kept = ws.quarantine()
    assert kept["shape"].to_list() == ["event", "event"]
    content = json.loads(kept.filter(pl.col("message_id") == "m2")["payload"].item())
    assert content["properties"] == {"price": "2"}
    assert content["receivedAt"] == "2024-05-05T10:00:01.250000Z"
    assert content["extra"] == {"version": 2}
    assert ws.held.replay().passed == 0
    for name in ("site", "orders"):
        (ws.root / "expectations" / "tracking_plan" / f"{name}.yaml").write_text("events: {Viewed: {}, Bought: {}}\n")
    assert ws.held.replay().passed == 2
    assert events(ws).drop("run_id").equals(before.drop("run_id"))
    assert ws.run(full_refresh=True).status == "succeeded"
    assert events(ws).drop("run_id").equals(before.drop("run_id"))


def test_what_is_corrected_and_held_all_the_same_is_held_as_it_was_stored(ws: cdp.Workspace) -> None:
    rules(ws, site="plan: {name: site, violations: block}\n    transform: [{drop: traits.email}]")
    found = ws.stored.replay()
    assert counts(found) == (6, 4, 1, 1)
    content = json.loads(ws.quarantine()["payload"].item())
    assert content["traits"] == {"email": "ann@example.org"}
    assert "protocols" not in content["context"]
    assert "m2" not in events(ws)["message_id"]


def test_what_was_omitted_stays_told(ws: cdp.Workspace) -> None:
    rules(ws, site="plan: {name: site, unplanned_properties: omit}")
    assert ws.stored.replay(events=["Viewed"]).changed == 2
    rules(ws, site="plan: {name: site}")
    assert counts(ws.stored.replay(events=["Viewed"])) == (2, 2, 0, 0)
    row = ws.sql("SELECT properties, context FROM events WHERE message_id = 'm1'").row(0)
    assert row[0] == '{"price":1}'
    assert json.loads(row[1])["protocols"]["omitted"] == ["properties.note"]
    rules(ws)
    assert ws.stored.replay(events=["Viewed"]).changed == 1
    said = json.loads(ws.sql("SELECT context FROM events WHERE message_id = 'm1'").item())["protocols"]
    assert (said["plan"], said["omitted"], said["violations"]) == ("site", ["properties.note"], [])


def test_the_balance_stays_and_what_is_held_is_not_loaded_again(ws: cdp.Workspace) -> None:
    rules(ws, orders="plan: {name: orders, violations: block}")
    assert ws.stored.replay(source="orders").held == 1
    total = (
        "SELECT sum(rows_read) AS r, sum(events) AS e, sum(duplicates) AS d, sum(quarantined) AS q FROM source_loads"
    )
    assert ws.sql(total).row(0) == (6, 5, 0, 1)
    assert ws.sql("SELECT count(*) AS n FROM events").item() == 5
    with pytest.raises(cdp.UsageError):
        ws.stored.follow() and ws.profile("email:bob@example.org")
    ws.run(full_refresh=True)
    read, made, again, held = ws.sql(total).row(0)
    assert (read, made, held) == (12, 5, 1)
    assert read == made + again + held
    assert ws.sql("SELECT count(*) AS n FROM events").item() == 5
    row = ws.sql("SELECT kind, status FROM runs WHERE kind = 'source replay'").row(0)
    assert row == ("source replay", "succeeded")


def test_a_held_event_is_corrected_in_the_form_it_is_shown_in(ws: cdp.Workspace) -> None:
    rules(ws, orders="plan: {name: orders, violations: block}")
    ws.stored.replay()
    (row,) = ws.quarantine().rows(named=True)
    content = json.loads(row["payload"])
    for wrong, rule in (
        ({"type": "purchase"}, "spec.type"),
        ({"event": None}, "spec.event"),
        ({"timestamp": "soon"}, "map.time"),
        ({"properties": [1]}, "spec.object"),
    ):
        ws.held.fix("orders", row["message_id"], {**content, **wrong})
        found = ws.held.replay()
        assert (found.passed, found.rules) == (0, {rule: 1})
    rule = {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "mail"}, "meta": {"severity": "quarantine",
            "rule": "mail_given", "description": "An order has an address"}}  # fmt: skip
    suite = ws.root / "expectations" / "sources" / "orders.json"
    suite.parent.mkdir()
    suite.write_text(json.dumps({"name": "orders", "meta": {}, "expectations": [rule]}))
    ws.held.fix("orders", row["message_id"], {**content, "properties": {"total": 3}})
    assert ws.held.replay().passed == 1, "a suite of the source's rows has nothing to say of a stored event"
    stored = ws.sql(f"SELECT * FROM events WHERE message_id = '{row['message_id']}'").row(0, named=True)
    assert (stored["properties"], stored["record_id"]) == ('{"total":3}', "2")
    assert stored["row_key"] == content["rowKey"]


@pytest.mark.parametrize(
    ("chosen", "ids"),
    [
        ({"source": "site"}, {"m1", "m2", "m3", "m4"}),
        ({"since": "2024-05-05", "source": "site"}, {"m2", "m3", "m4"}),
        ({"since": "2024-05-05T12:00:00+02:00", "until": "2024-05-07T10:00:00Z", "source": "site"}, {"m2", "m3"}),
        ({"since": datetime(2024, 5, 6), "source": "site"}, {"m3", "m4"}),
        ({"events": ["Viewed", "Home"]}, {"m1", "m2", "m4"}),
        ({"where": "type = 'identify' OR properties->>'price' = '2'"}, {"m2", "m3"}),
        ({"where": "TRY_CAST(properties->>'price' AS INT) > 1 -- dear"}, {"m2"}),
        ({"where": "context IS NULL", "until": "2024-05-04"}, set()),
        ({"where": "true) OR (true", "events": ["nothing"]}, None),
    ],
)
def test_only_what_is_meant_is_gone_over(ws: cdp.Workspace, chosen: dict[str, Any], ids: set[str] | None) -> None:
    names = [{"event": "Viewed"}, {"event": "Home", "type": "page"}]
    steps = [*({**n, "rename_event": "Seen"} for n in names), {"type": "identify", "drop": "traits.email"}]
    rules(ws, site=f"transform: {json.dumps(steps)}")
    if ids is None:
        with pytest.raises(cdp.SpecError):
            ws.stored.replay(**chosen)
        return
    found = ws.stored.replay(**chosen)
    assert found.selected == len(ids)
    assert set(ws.sql("SELECT message_id FROM events WHERE context LIKE '%transformed%'")["message_id"]) == ids


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"source": "stie"}, "did you mean 'site'"),
        ({"since": "yesterday"}, "from is neither a date nor a time"),
        ({"until": "2024-13-01"}, "to is neither a date nor a time"),
        ({"since": "2024-05-05", "until": "2024-05-05"}, "empty"),
        ({"where": "price > 1"}, "unknown column 'price'"),
        ({"where": "evnt = 'x'"}, "did you mean 'event'"),
        ({"where": "message_id IN (SELECT message_id FROM quarantine)"}, "no SELECT"),
        ({"where": "count(*) > 1"}, "no totals"),
        ({"where": "1; DROP TABLE events"}, "no SQL condition"),
        ({"where": ""}, "no SQL condition"),
        ({"where": "'"}, "no SQL condition"),
        ({"where": "CAST(message_id AS INT) = 1"}, "TRY_CAST"),
    ],
)
def test_mistakes_are_told_and_cost_nothing(ws: cdp.Workspace, chosen: dict[str, Any], words: str) -> None:
    before = ws.snapshot()
    with pytest.raises(cdp.CDPError, match=words) as error:
        ws.stored.replay(**chosen)
    assert error.value.exit_code == 2
    assert "m1" not in str(error.value)
    assert ws.snapshot() == before


def test_a_suite_of_events_holds_and_a_gate_stops(ws: cdp.Workspace) -> None:
    rule = {
        "type": "expect_column_values_to_not_be_null",
        "kwargs": {"column": "user_id"},
        "meta": {"severity": "quarantine", "rule": "known", "description": "Somebody is logged in"},
    }
    path = ws.root / "expectations" / "tables" / "events.json"
    path.parent.mkdir()
    for severity in ("stop", "quarantine"):
        rule["meta"]["severity"] = severity  # type: ignore[index]
        path.write_text(json.dumps({"name": "events", "meta": {}, "expectations": [rule]}))
        if severity == "stop":
            before = events(ws)
            with pytest.raises(cdp.QualityStop, match="known"):
                ws.stored.replay()
            assert events(ws).equals(before)
            assert not ws.quarantine().height
    found = ws.stored.replay(source="site")
    assert (found.held, found.rules) == (1, {"known": 1})
    assert ws.quarantine()["message_id"].to_list() == ["m4"]
    assert ws.sql("SELECT rule, count FROM violations").rows() == [("known", 1)]


def test_an_event_lost_on_the_way_publishes_nothing(ws: cdp.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    rules(ws, site="transform: [{hash: traits.ssn}]")
    plain = module.apply_plans

    def loses(staging, *more):  # type: ignore[no-untyped-def]
        staging.replace("events", staging.table("events").filter(lambda t: t.message_id != "m2"))
        return plain(staging, *more)

    before = events(ws)
    monkeypatch.setattr(module, "apply_plans", loses)
    with pytest.raises(cdp.CDPError, match="lost on the way"):
        ws.stored.replay()
    assert events(ws).equals(before)


def test_what_fails_in_the_middle_of_publishing_publishes_nothing(
    ws: cdp.Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules(ws, site="plan: {name: site, violations: block}\n    transform: [{hash: traits.ssn}]")
    before, kept = events(ws), ws.quarantine()

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "append_results", fails)
    with pytest.raises(OSError, match="space"):
        ws.stored.replay()
    with cdp.open(ws.root) as fresh:
        assert events(fresh).equals(before)
        assert fresh.quarantine().equals(kept)


def test_a_replay_is_taken_back(ws: cdp.Workspace) -> None:
    before, kept = events(ws), ws.quarantine()
    rules(ws, site="plan: {name: site, violations: block}\n    transform: [{hash: traits.ssn}]")
    first = ws.stored.replay()
    assert counts(first) == (6, 4, 1, 1)
    assert ws.stored.follow().status == "succeeded"
    undone = ws.stored.undo(first.run_id)
    assert (undone.restored, undone.left) == (2, 0)
    assert events(ws).equals(before)
    assert ws.quarantine().equals(kept)
    assert [s.name for s in ws.stored.follow().stages if s.note == "unchanged"] == []
    assert ws.sql("SELECT sum(events) AS e, sum(quarantined) AS q FROM source_loads").row(0) == (6, 0)
    assert ws.stored.undo(first.run_id).restored == 0


def test_what_has_changed_since_is_not_taken_back(ws: cdp.Workspace) -> None:
    before = events(ws)
    rules(ws, site="plan: {name: site, violations: block}\n    transform: [{hash: traits.ssn}]")
    first = ws.stored.replay()
    rules(ws, site="transform: [{hash: traits.ssn}, {drop: traits.email}]")
    second = ws.stored.replay()
    assert counts(second)[2] == 1
    content = json.loads(ws.quarantine()["payload"].item())
    ws.held.fix("site", "m2", {**content, "properties": {"price": 2}})
    assert ws.held.replay().passed == 1
    now = events(ws)
    undone = ws.stored.undo(first.run_id)
    assert (undone.restored, undone.left) == (0, 2)
    assert events(ws).equals(now)
    assert ws.stored.undo(second.run_id).restored == 1
    assert ws.stored.undo(first.run_id).restored == 1
    assert events(ws).filter(pl.col("message_id") == "m3").equals(before.filter(pl.col("message_id") == "m3"))
    for wrong in ("r1", ws.sql("SELECT run_id FROM runs WHERE kind = 'run' LIMIT 1").item()):
        with pytest.raises(cdp.UsageError, match="no replay"):
            ws.stored.undo(wrong)


def test_what_somebody_works_on_is_not_taken_back(ws: cdp.Workspace) -> None:
    rules(ws, site="plan: {name: site, violations: block}", orders="plan: {name: orders, violations: block}")
    first = ws.stored.replay()
    assert first.held == 2
    order = ws.quarantine().filter(pl.col("source") == "orders")["message_id"].item()
    ws.held.fix("site", "m2", "{}")
    ws.held.discard("orders", [order])
    undone = ws.stored.undo(first.run_id)
    assert (undone.restored, undone.left) == (0, 2)
    assert ws.quarantine()["status"].sort().to_list() == ["discarded", "held"]
    ws.held.restore("orders", [order])
    assert ws.stored.undo(first.run_id).restored == 1
