"""One plan, two ways to check it: event by event and set-wise. Both must say what plain Python says."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import plan_worlds
import polars as pl
import pytest

from cdp_core.engine.staging import Staging
from cdp_core.quality.plan.batch import find
from cdp_core.quality.plan.checks import Finding
from cdp_core.quality.plan.judge import compile_plan
from cdp_core.quality.plan.spec import Plan

WORLDS, EVENTS = 520, 30
COLUMNS = ("source", "message_id", "type", "event", "user_id", "anonymous_id", "group_id", "previous_id",
           "properties", "traits", "context")  # fmt: skip
FACETS = {"must be one of": "enum", "must match": "pattern", "must have the format": "format", "must be at least": "minimum",
          "must be at most": "maximum", "must have at least": "min_length", "must have at most": "max_length"}  # fmt: skip


def staged(events: list[dict[str, Any]], rng: random.Random) -> pl.DataFrame:
    rows = []
    for number, event in enumerate(events):
        texts = {
            b: json.dumps(event[b], ensure_ascii=rng.random() < 0.5) if b in event else None
            for b in ("properties", "traits", "context")
        }
        rows.append({"source": "web", "message_id": f"m{number}", "type": event["type"], "event": event.get("event") or event.get("name"),
                     "user_id": event.get("userId"), "anonymous_id": event.get("anonymousId"), "group_id": event.get("groupId"),
                     "previous_id": None, **texts})  # fmt: skip
    return pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String))


def told(finding: Finding) -> plan_worlds.Told:
    words = finding.description
    if finding.rule in ("plan.schema", "plan.common"):
        return finding.rule, finding.field, words.split("'")[1] if "'" in words else ""
    if finding.rule == "plan.type":
        return finding.rule, finding.field, "type"
    facet = next((name for start, name in FACETS.items() if words.startswith(start)), "")
    return (
        finding.rule,
        finding.field,
        "" if finding.rule in ("plan.required",) or finding.rule.startswith("plan.un") else facet,
    )


def set_wise(
    staging: Staging, plan: Plan, events: list[dict[str, Any]], rng: random.Random
) -> list[set[plan_worlds.Told]]:
    staging.drop("events")
    staging.append("events", staged(events, rng))
    found = find(staging, "web", plan).findings
    rows = staging.con.con.execute("SELECT message_id, kind FROM plan_found").fetchall()
    assert len(rows) == len(set(rows)), "a finding is told twice"
    per_event: dict[str, set[plan_worlds.Told]] = {}
    for message_id, kind in rows:
        per_event.setdefault(message_id, set()).add(told(found[kind]))
    return [per_event.get(f"m{number}", set()) for number in range(len(events))]


@pytest.mark.parametrize("part", range(4))
def test_both_ways_say_what_plain_python_says(tmp_path: Path, part: int) -> None:
    staging = Staging(tmp_path / "batch.duckdb")
    seen: dict[str, int] = {}
    try:
        for world in range(part, WORLDS, 4):
            rng = random.Random(world)
            written = plan_worlds.random_plan(rng)
            plan = Plan.model_validate(written)
            judge = compile_plan(plan)
            events = [plan_worlds.random_event(rng, written) for _ in range(EVENTS)]
            set_said = set_wise(staging, plan, events, rng)
            for event, by_set in zip(events, set_said, strict=True):
                expected = plan_worlds.judged(written, event)
                alone = [told(f) for f in judge.findings(event)]
                where = f"world {world}: {json.dumps(written)}\n{json.dumps(event)}"
                assert len(alone) == len(set(alone)), where
                assert set(alone) == expected, where
                assert by_set == expected, where
                for rule, _, facet in expected:
                    seen[f"{rule} {facet}"] = seen.get(f"{rule} {facet}", 0) + 1
    finally:
        staging.discard()
    assert {key for key, count in seen.items() if count > 5} >= {
        "plan.unplanned_event ", "plan.unplanned_property ", "plan.required ", "plan.type type", "plan.enum enum", "plan.pattern pattern",
        "plan.pattern format", "plan.range minimum", "plan.range maximum", "plan.range min_length", "plan.range max_length",
        "plan.common ", "plan.common type", "plan.schema ",
    }  # fmt: skip
