"""Plans in a run: what is held, omitted and told; corrections; and that a change of plan loads nothing again."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

import cdp_core as cdp
from cdp_core.runs.plans import apply_plans

PLAN = """
events:
  Paid:
    properties:
      order: {type: string, required: true}
      total: {type: number, minimum: 0}
      address: {properties: {city: string}}
identify:
  traits: {email: {type: string, format: email}}
common: {schema: {properties: {context: {properties: {ip: {type: string}}}}}}
"""
SECRET = "s3cr3t-of-a-customer"
EVENTS = [
    ("good", {"event": "Paid", "properties": {"order": "1", "total": 5}}),
    ("low", {"event": "Paid", "properties": {"order": "2", "total": -1, "extra": SECRET, "address": {"city": "Ulm", "zip": "1"}}}),
    ("typed", {"event": "Paid", "properties": {"total": SECRET, "keep": None}}),
    ("unknown", {"event": "Bought", "properties": {}}),
    ("ip", {"event": "Paid", "properties": {"order": "3"}, "context": {"ip": 5, "library": {"name": "x"}}}),
    ("mail", {"type": "identify", "traits": {"email": "no mail", "age": 5}}),
    ("page", {"type": "page", "name": "Home", "properties": {"anything": 1}}),
]  # fmt: skip


def workspace(root: Path, source: str, plan: str = PLAN) -> Path:
    folder = root / "expectations" / "tracking_plan"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shop.yaml").write_text(plan)
    lines = [
        {"type": "track", "messageId": key, "anonymousId": "a", "timestamp": "1998-07-01T00:00:00Z", **event}
        for key, event in EVENTS
    ]
    (root / "web.ndjson").write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    configure(root, source)
    return root


def configure(root: Path, source: str) -> None:
    (root / "cdp.yaml").write_text(
        f"name: t\ntoday: 1998-07-02\nsources:\n  web: {{type: segment, path: web.ndjson, {source}}}\n"
    )


def run(root: Path) -> dict[str, Any]:
    with cdp.open(root) as ws:
        done = ws.run(select=["web"])
        assert done.status == "succeeded", done.error
        tables = {
            name: ws.polars(ws.table(name)).to_dicts()
            for name in ("events", "quarantine", "violations", "source_loads")
        }
    held = {
        row["message_id"]: {(r["rule"], r["field"]) for r in json.loads(row["reasons"])} for row in tables["quarantine"]
    }
    return {**tables, "held": held, "kept": {row["message_id"]: row for row in tables["events"]}}


def test_allowed_is_only_told(tmp_path: Path) -> None:
    found = run(workspace(tmp_path, "plan: shop"))
    assert found["held"] == {}
    low = found["kept"]["low"]
    assert json.loads(low["properties"]) == dict(EVENTS[1][1]["properties"])
    assert json.loads(low["context"])["protocols"] == {
        "plan": "shop", "omitted": [], "omitted_on_violation": [],
        "violations": [{"type": "plan.range", "field": "properties.total", "description": "must be at least 0"}],
    }  # fmt: skip
    assert found["kept"]["good"]["context"] is None
    assert found["kept"]["unknown"]["context"] is None
    counted = {(v["event"], v["rule"], v["field"]): v for v in found["violations"]}
    assert {v["severity"] for v in counted.values()} == {"warn"}
    assert counted["Paid", "plan.required", "properties.order"]["count"] == 1
    assert counted["Paid", "plan.unplanned_property", "properties.address.zip"]["sample"] == '["low"]'
    assert counted["Bought", "plan.unplanned_event", "event"]["count"] == 1
    assert counted[None, "plan.pattern", "traits.email"]["description"] == "must have the format email"
    assert SECRET not in json.dumps(found["violations"], default=str)


def test_blocked_events_are_held_with_every_reason(tmp_path: Path) -> None:
    found = run(workspace(tmp_path, "plan: {name: shop, unplanned_events: block, violations: block, common: block}"))
    assert found["held"] == {
        "low": {("plan.range", "properties.total")},
        "typed": {("plan.type", "properties.total"), ("plan.required", "properties.order")},
        "unknown": {("plan.unplanned_event", "event")},
        "ip": {("plan.common", "context.ip")},
        "mail": {("plan.pattern", "traits.email")},
    }
    assert sorted(found["kept"]) == ["good", "page"]
    (load,) = found["source_loads"]
    assert (load["rows_read"], load["events"], load["quarantined"]) == (7, 2, 5)
    payload = next(row["payload"] for row in found["quarantine"] if row["message_id"] == "typed")
    assert json.loads(payload)["properties"] == {"total": SECRET, "keep": None}
    assert SECRET not in json.dumps([row["reasons"] for row in found["quarantine"]])


def test_omitted_values_leave_the_event(tmp_path: Path) -> None:
    found = run(workspace(tmp_path, "plan: {name: shop, unplanned_properties: omit, violations: omit, common: omit}"))
    assert found["held"] == {}
    kept = {
        key: {c: json.loads(row[c] or "{}") for c in ("properties", "traits", "context")}
        for key, row in found["kept"].items()
    }
    assert kept["low"]["properties"] == {"order": "2", "address": {"city": "Ulm"}}
    assert kept["low"]["context"]["protocols"]["omitted"] == ["properties.address.zip", "properties.extra"]
    assert kept["low"]["context"]["protocols"]["omitted_on_violation"] == ["properties.total"]
    assert kept["typed"]["properties"] == {}
    assert [v["type"] for v in kept["typed"]["context"]["protocols"]["violations"]] == ["plan.required", "plan.type"]
    assert kept["mail"]["traits"] == {}
    assert kept["ip"]["context"]["library"] == {"name": "x"}
    assert "ip" not in kept["ip"]["context"]
    assert kept["page"]["properties"] == {"anything": 1}


def test_corrections_come_before_the_plan_and_the_original_stays(tmp_path: Path) -> None:
    steps = "transform: [{event: Bought, rename_event: Paid}, {event: Paid, rename: properties.extra, to: order}, {type: identify, hash: traits.email}]"
    found = run(workspace(tmp_path, f"plan: {{name: shop, violations: block}}, {steps}"))
    assert found["held"]["unknown"] == {("plan.required", "properties.order")}
    assert (
        json.loads(next(r["payload"] for r in found["quarantine"] if r["message_id"] == "unknown"))["event"] == "Bought"
    )
    assert found["held"]["mail"] == {("plan.pattern", "traits.email")}
    assert found["held"]["low"] == {("plan.range", "properties.total")}


def test_a_change_of_plan_loads_nothing_again(tmp_path: Path) -> None:
    root = workspace(tmp_path, "plan: shop")
    assert len(run(root)["kept"]) == 7
    configure(root, "plan: {name: shop, violations: block}, transform: [{drop: properties.total}]")
    again = run(root)
    assert (len(again["kept"]), again["held"]) == (7, {})
    assert len(again["source_loads"]) == 1


def test_a_broken_plan_stops_the_run_before_anything_is_read(tmp_path: Path) -> None:
    root = workspace(tmp_path, "plan: shop", "evnts: {}\n")
    with cdp.open(root) as ws:
        done = ws.run()
    assert (done.status, done.exit_code) == ("failed", 2)
    assert str(done.error).startswith("expectations/tracking_plan/shop.yaml:1: unknown key 'evnts'")
    assert any("shop.yaml:1" in finding.what for finding in cdp.doctor(root))


def test_a_source_without_a_plan_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = workspace(tmp_path, "encoding: utf-8")
    staging: Any = None  # nothing may be asked of it
    for name in [n for n in sys.modules if n.startswith("cdp_core.quality.plan.")]:
        monkeypatch.delitem(sys.modules, name)
    with cdp.open(root) as ws:
        assert apply_plans(staging, ws.config, ["web"], {}) is None
    assert not any(n.startswith("cdp_core.quality.plan.enforce") for n in sys.modules)
