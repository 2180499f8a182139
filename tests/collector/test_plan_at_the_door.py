"""A tracking plan on live events: the answer says what is blocked, and loading decides the same."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from serving import Collector

PLAN = """
description: what the site may send
events:
  Bought:
    properties:
      total: {type: number, required: true, minimum: 0}
      sku: {type: string, pattern: "^cd-[0-9]+$"}
identify:
  traits:
    email: {type: string, required: true}
"""
USE = """
    plan: {name: site, unplanned_events: block, unplanned_properties: omit, violations: block}
    transform:
      - {event: Paid, rename_event: Bought}
"""


@pytest.fixture(scope="module")
def planned(collector: Collector) -> Collector:
    folder = collector.root / "expectations" / "tracking_plan"
    folder.mkdir(parents=True)
    (folder / "site.yaml").write_text(PLAN)
    config = collector.root / "cdp.yaml"
    text = config.read_text()
    assert text.count("type: collector") == 1
    config.write_text(text.replace("type: collector", "type: collector" + USE.rstrip(), 1))
    until = time.monotonic() + 15
    while time.monotonic() < until:
        probe = {"type": "track", "event": "Unknown", "userId": "probe"}
        if collector.post("/v1/batch", {"batch": [probe]}).json()["quarantined"]:
            return collector
        time.sleep(0.2)
    raise AssertionError((collector.root / "collector.log").read_text())


CASES: dict[str, tuple[dict[str, Any], str | None]] = {
    "good": ({"type": "track", "event": "Bought", "properties": {"total": 1, "sku": "cd-1"}}, None),
    "renamed": ({"type": "track", "event": "Paid", "properties": {"total": 2.5}}, None),
    "unplanned property": ({"type": "track", "event": "Bought", "properties": {"total": 1, "more": 1}}, None),
    "missing": ({"type": "track", "event": "Bought", "properties": {}}, "plan.required"),
    "type": ({"type": "track", "event": "Bought", "properties": {"total": "1"}}, "plan.type"),
    "range": ({"type": "track", "event": "Bought", "properties": {"total": -1}}, "plan.range"),
    "pattern": ({"type": "track", "event": "Bought", "properties": {"total": 1, "sku": "x"}}, "plan.pattern"),
    "unplanned event": ({"type": "track", "event": "Other"}, "plan.unplanned_event"),
    "traits": ({"type": "identify", "traits": {"email": "a@b.example"}}, None),
    "traits in context": ({"type": "identify", "context": {"traits": {"email": "a@b.example"}}}, None),
    "no traits": ({"type": "identify"}, "plan.required"),
    "spec first": ({"type": "track"}, "spec.event"),
}


def test_the_answer_and_the_lake_agree(planned: Collector) -> None:
    events = [{**one, "userId": "p", "messageId": f"case-{name}"} for name, (one, _) in CASES.items()]
    answer = planned.post("/v1/batch", {"batch": events}).json()
    told = {row["index"]: row["rule"] for row in answer["rejected"]}
    wanted = {i: rule for i, (_, rule) in enumerate(CASES.values()) if rule is not None}
    assert told == wanted
    assert answer["accepted"] == len(CASES) - len(wanted)
    held = planned.table("quarantine").filter(pl.col("payload").str.contains('"case-', literal=True))
    found = {
        json.loads(r["payload"])["messageId"]: json.loads(r["reasons"])[0]["rule"] for r in held.iter_rows(named=True)
    }
    assert found == {f"case-{name}": rule for name, (_, rule) in CASES.items() if rule is not None}
    stored = {
        r["message_id"]: r for r in planned.table("events").filter(pl.col("user_id") == "p").iter_rows(named=True)
    }
    assert stored.keys() == {f"case-{name}" for name, (_, rule) in CASES.items() if rule is None}
    assert stored["case-renamed"]["event"] == "Bought"
    assert json.loads(stored["case-unplanned property"]["properties"]) == {"total": 1}
    protocols = json.loads(stored["case-unplanned property"]["context"])["protocols"]
    assert protocols["omitted"] == ["properties.more"]


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("1e999", "parse.number"),
        ("9" * 400, "parse.number"),
        ('"\\ud800"', None),
        ("[" * 300 + "]" * 300, "parse.depth"),
        ('{"a":' * 90 + "1" + "}" * 90, None),
    ],
    ids=["1e999", "long number", "half a character", "deep", "not too deep"],
)
def test_what_lies_deep_in_an_event_costs_its_neighbours_nothing(
    planned: Collector, value: str, rule: str | None
) -> None:
    mark = uuid.uuid4().hex
    wrong = '{"type":"track","event":"Bought","userId":"%s","properties":{"total":1,"more":VALUE}}' % mark  # noqa: UP031
    good = {"type": "track", "event": "Bought", "userId": "deep", "messageId": mark, "properties": {"total": 1}}
    body = '{"batch":[' + wrong.replace("VALUE", value) + "," + json.dumps(good) + "]}"
    answer = planned.post("/v1/batch", body.encode())
    assert answer.status_code == 200
    assert answer.json()["accepted"] >= 1
    assert planned.table("events").filter(pl.col("message_id") == mark).height == 1
    held = planned.table("quarantine").filter(pl.col("payload").str.contains(mark, literal=True))
    assert rule is None or json.loads(held["reasons"].item())[0]["rule"] == rule


def test_a_plan_that_is_wrong_leaves_the_old_one_in_force(planned: Collector) -> None:
    path = Path(planned.root / "expectations" / "tracking_plan" / "site.yaml")
    path.write_text("events: 5\n")
    until = time.monotonic() + 15
    while time.monotonic() < until and not planned.client.get("/health").json()["problems"]:
        time.sleep(0.2)
    health = planned.client.get("/health").json()
    assert "site.yaml" in health["problems"][0]
    answer = planned.post("/v1/track", {"event": "Other", "userId": "p"}).json()
    assert answer["quarantined"] == 1
    path.write_text(PLAN)
