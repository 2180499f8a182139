"""Stored events checked again say what they would say if they came today, and still what was omitted from them before."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import plan_worlds
import polars as pl
import pytest

from cdp_core.engine import json_protocols
from cdp_core.engine.staging import Staging
from cdp_core.quality.plan.correct import correct
from cdp_core.quality.plan.enforce import enforce
from cdp_core.quality.plan.spec import Plan
from cdp_core.tracking import Controls, Step, unsettled

COLUMNS = ("source", "message_id", "type", "event", "user_id", "anonymous_id", "group_id", "previous_id",
           "properties", "traits", "context")  # fmt: skip
STEPS = [
    Step(drop="properties.b"), Step(hash="properties.sku"), Step(rename="properties.a", to="sku"), Step(hash="traits.a"),
    Step(event="Viewed", rename_event="Paid"), Step(type="identify", move="traits.b", to="traits.deep.b"),
]  # fmt: skip
HELD = "SELECT DISTINCT message_id FROM plan_failures WHERE severity = 'quarantine'"
Rules = tuple[Plan, Controls, list[Step]]


@pytest.fixture
def staging(tmp_path: Path) -> Iterator[Staging]:
    made = Staging(tmp_path / "batch.duckdb")
    yield made
    made.discard()


def random_rules(rng: random.Random, *, omits: bool, steps: bool = True) -> tuple[dict[str, Any], Rules]:
    written = plan_worlds.random_plan(rng)
    kinds = ["allow", "omit", "block"] if omits else ["allow", "block"]
    controls = Controls(
        unplanned_events=rng.choice(["allow", "block"]),
        unplanned_properties=rng.choice(["allow", "omit"]) if omits else "allow",
        violations=rng.choice(kinds),
        common=rng.choice(kinds[:2]),
    )
    named = Plan.model_validate(written).model_copy(update={"name": rng.choice(["shop", "site"])})
    return written, (named, controls, rng.sample(STEPS, rng.randint(0, 2)) if steps else [])


def stage(staging: Staging, events: list[dict[str, Any]]) -> None:
    rows = [
        {"source": "web", "message_id": f"m{n:03}", "type": e["type"], "event": e.get("event") or e.get("name"),
         "user_id": e.get("userId"), "anonymous_id": e.get("anonymousId"), "group_id": e.get("groupId"), "previous_id": None,
         **{b: json.dumps(e[b], ensure_ascii=False) if e.get(b) else None for b in ("properties", "traits", "context")}}
        for n, e in enumerate(events)
    ]  # fmt: skip
    staging.drop("events")
    staging.append("events", pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String)))


def check(staging: Staging, rules: Rules) -> set[str]:
    plan, controls, steps = rules
    correct(staging, "web", steps)
    name = enforce(staging, {"web": (plan, controls)})
    return set(staging.raw(HELD)["message_id"]) if name else set()


def check_again(staging: Staging, rules: Rules) -> set[str]:
    json_protocols.forget(staging)
    held = check(staging, rules)
    json_protocols.remember(staging)
    return held


def rows(staging: Staging, but: set[str] = frozenset()) -> list[dict[str, Any]]:  # type: ignore[assignment]
    found = staging.raw("FROM events").sort("message_id").to_dicts()
    return [row for row in found if row["message_id"] not in but]


def parsed(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**r, **{c: json.loads(r[c]) if r[c] else None for c in ("properties", "traits", "context")}} for r in found
    ]


def leave(staging: Staging, held: set[str]) -> None:
    """What was held is not stored."""
    staging.replace("events", staging.table("events").filter(lambda t: ~t.message_id.isin(sorted(held) or ["none"])))


def test_the_same_rules_change_no_byte(staging: Staging) -> None:
    worlds = omitted = said = 0
    for seed in range(80):
        rng = random.Random(seed)
        written, (plan, controls, steps) = random_rules(rng, omits=False)
        calls = (*plan.events.values(), *plan.calls().values())
        if plan.common is None and not any(_beneath(call) for call in calls):
            # What a schema counts may be what is omitted: it could say something else the second time.
            controls = controls.model_copy(update={"unplanned_properties": "omit"})
        if unsettled(steps):
            continue
        worlds += 1
        stage(staging, [plan_worlds.random_event(rng, written) for _ in range(20)])
        leave(staging, check(staging, (plan, controls, steps)))
        before = rows(staging)
        assert check_again(staging, (plan, controls, steps)) == set(), seed
        assert rows(staging) == before, (seed, steps)
        omitted += sum('"omitted":["' in (row["context"] or "") for row in before)
        said += sum('"violations":[{' in (row["context"] or "") for row in before)
    assert worlds > 50
    assert omitted > 20
    assert said > 80


def _beneath(call: Any) -> bool:
    return any(inner.beneath is not None for inner in call.by_version().values())


def test_other_rules_say_what_they_say_of_events_that_come_today(staging: Staging) -> None:
    held = told = 0
    for seed in range(60):
        rng = random.Random(seed)
        written, rules = random_rules(rng, omits=True)
        _, earlier = random_rules(rng, omits=False, steps=False)
        events = [plan_worlds.random_event(rng, written) for _ in range(25)]
        stage(staging, events)
        fresh_held = check(staging, rules)
        fresh = rows(staging)
        stage(staging, events)
        never = check(staging, earlier)
        leave(staging, never)
        again_held = check_again(staging, rules)
        assert again_held == fresh_held - never, seed
        expected = [row for row in fresh if row["message_id"] not in never | fresh_held]
        assert parsed(rows(staging, again_held)) == parsed(expected), (seed, rules)
        held += len(again_held)
        told += sum("violations" in (row["context"] or "") for row in expected)
    assert held > 60
    assert told > 100


def test_what_was_omitted_stays_told_for_good(staging: Staging) -> None:
    strict = Plan.model_validate({"events": {"Paid": {"properties": {"a": "number"}}}}).model_copy(
        update={"name": "old"}
    )
    mild = Plan.model_validate({"events": {"Paid": {"properties": {"b": "string"}}}}).model_copy(update={"name": "new"})
    omit = Controls(unplanned_properties="omit", violations="omit")
    stage(
        staging,
        [
            {"type": "track", "event": "Paid", "properties": {"a": "x", "b": 1, "c": 2}},
            {"type": "track", "event": "Paid", "properties": {"a": 1}},
        ],
    )
    check(staging, (strict, omit, []))
    first = parsed(rows(staging))
    assert first[0]["properties"] == {}
    assert first[0]["context"]["protocols"]["omitted"] == ["properties.b", "properties.c"]
    assert first[1]["context"] is None
    check_again(staging, (mild, Controls(), []))
    second = parsed(rows(staging))
    assert second[0]["context"] == {
        "protocols": {"plan": "old", "omitted": ["properties.b", "properties.c"],
                      "omitted_on_violation": ["properties.a"], "violations": []}
    }  # fmt: skip
    assert second[1]["context"] is None
    check_again(staging, (mild, omit, []))
    third = parsed(rows(staging))
    assert third[0]["context"] == second[0]["context"]
    assert third[1]["properties"] == {}
    assert third[1]["context"]["protocols"]["plan"] == "new"
    assert third[1]["context"]["protocols"]["omitted"] == ["properties.a"]


def test_what_others_say_in_the_same_place_stays(staging: Staging) -> None:
    other = {"protocols": {"sourceId": "s", "violations": ["theirs"]}, "ip": None}
    own = {
        "protocols": {"event_version": 2, "plan": "p", "omitted": [], "omitted_on_violation": [], "violations": [{}]}
    }
    stage(staging, [{"type": "page", "context": c} for c in (other, own, {"protocols": {"plan": "p"}}, {"ip": "::1"})])
    json_protocols.forget(staging)
    json_protocols.remember(staging)
    contexts = [row["context"] for row in parsed(rows(staging))]
    assert contexts == [other, {"protocols": {"event_version": 2}}, None, {"ip": "::1"}]


def test_an_omitted_trait_leaves_the_context_too(staging: Staging) -> None:
    plan = Plan.model_validate({"identify": {"traits": {"plan": "string"}}}).model_copy(update={"name": "p"})
    omit = Controls(unplanned_properties="omit", violations="omit")
    traits = {"plan": "pro", "ssn": "078-05-1120"}
    stage(staging, [
        {"type": "identify", "traits": traits, "context": {"traits": traits, "ip": "::1"}},
        {"type": "identify", "traits": {"ssn": "x"}},
        {"type": "page", "traits": traits, "context": {"traits": traits}},
    ])  # fmt: skip
    assert check(staging, (plan, omit, [])) == set()
    contexts = [row["context"] for row in parsed(rows(staging))]
    assert contexts[0]["traits"] == {"plan": "pro"}
    assert contexts[0]["protocols"]["omitted"] == ["traits.ssn"]
    assert set(contexts[1]) == {"protocols"}
    assert contexts[2] == {"traits": traits}
