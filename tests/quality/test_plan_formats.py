"""Plans carried over: what a format can say survives, what it cannot is listed."""

from __future__ import annotations

import json
import random
from typing import Any

import plan_worlds
import pytest

from cdp_core.config.plan_text import plan_dict, plan_text
from cdp_core.config.plans import parse_plan
from cdp_core.errors import UsageError
from cdp_core.quality.plan.judge import compile_plan
from cdp_core.quality.plan.rudderstack import from_rudderstack, to_rudderstack
from cdp_core.quality.plan.segment import from_segment, to_segment
from cdp_core.quality.plan.spec import Plan
from cdp_core.quality.plan.table import from_table, to_table

WORLDS = 150


def made(plan: dict[str, Any]) -> Plan:
    """The plan as its file would be read."""
    text = plan_text(plan)
    found, problems = parse_plan(text.encode(), "plan.yaml", "world")
    assert found is not None, f"{problems[0]}\n{text}"
    return found


def world(seed: int, *, simple: bool = False) -> tuple[Plan, list[dict[str, Any]]]:
    rng = random.Random(seed)
    written = plan_worlds.random_plan(rng)
    if simple:
        written.pop("common", None)
        calls = [
            *written["events"].values(),
            *(written[k] for k in ("identify", "group", "page", "screen") if k in written),
        ]
        for call in calls:
            if "versions" in call:
                call |= call.pop("versions").popitem()[1]
    return Plan.model_validate(written), [plan_worlds.random_event(rng, written) for _ in range(30)]


def verdicts(plan: Plan, events: list[dict[str, Any]]) -> list[tuple[bool, bool, bool, set[str]]]:
    """What matters of an event: unplanned, broken, broken in common, and the unplanned fields."""
    judge = compile_plan(plan)
    found = []
    for event in events:
        rules = {f.rule for f in judge.findings(event)}
        strange = {f.field for f in judge.findings(event) if f.rule == "plan.unplanned_property"}
        own = rules - {"plan.unplanned_property", "plan.unplanned_event", "plan.common"}
        found.append(("plan.unplanned_event" in rules, bool(own), "plan.common" in rules, strange))
    return found


@pytest.mark.parametrize("seed", range(WORLDS))
def test_a_file_says_all_of_a_plan(seed: int) -> None:
    plan, _ = world(seed)
    assert made(plan_dict(plan)) == plan


@pytest.mark.parametrize("seed", range(WORLDS))
def test_segment_there_and_back(seed: int) -> None:
    plan, events = world(seed)
    sent, left_out = to_segment(plan)
    taken = from_segment(json.loads(json.dumps({"data": sent})))
    back = made(taken.plan)
    assert (left_out, taken.left_out) == ([], [])
    assert verdicts(back, events) == verdicts(plan, events)
    assert to_segment(back)[0]["rules"] == to_segment(made(from_segment(to_segment(back)[0]).plan))[0]["rules"]


@pytest.mark.parametrize("seed", range(WORLDS))
def test_rudderstack_there_and_back(seed: int) -> None:
    plan, events = world(seed, simple=True)
    sent, left_out = to_rudderstack(plan)
    taken = from_rudderstack(json.loads(json.dumps(sent)))
    assert (left_out, taken.left_out) == ([], [])
    assert verdicts(made(taken.plan), events) == verdicts(plan, events)


@pytest.mark.parametrize("seed", range(60))
def test_csv_there_and_back(seed: int) -> None:
    text, _ = to_table(world(seed)[0])
    assert to_table(made(from_table(text).plan))[0] == text


def test_the_config_api_and_what_it_says_elsewhere() -> None:
    schema = {
        "type": "object",
        "required": ["product"],
        "properties": {"product": {"type": ["string"]}, "when": {"type": "string", "format": "date-time"}},
    }
    context = {"type": "object", "required": ["app"]}
    old = {"tracking_plan": {"name": "workspaces/x/tracking-plans/rs_1", "display_name": "Kicks", "rules": {
        "identify_traits": [{"name": "plan", "description": "Tariff"}], "group_traits": [],
        "events": [{"name": "Order Completed", "description": "Who bought what", "version": 2,
                    "rules": {"properties": {"context": context, "traits": {}, "properties": schema}, "required": ["userId"]}}],
        "global": {"$schema": "http://json-schema.org/draft-04/schema#", "properties": {"context": context, "traits": {}, "properties": {}}, "type": "object"},
        "identify": {"properties": {"traits": {"properties": {"age": {"type": ["number"]}}, "type": "object"}, "properties": {}, "context": {}}},
    }}}  # fmt: skip
    taken = from_segment(old)
    plan = made(taken.plan)
    order = plan.events["Order Completed"]
    assert (order.version, order.description) == (2, "Who bought what")
    assert order.properties["product"].required
    assert order.properties["when"].types == ("date-time",)
    assert plan.identify is not None
    assert {name: rule.types for name, rule in plan.identify.traits.items()} == {"age": ("number",), "plan": ()}
    assert plan.common is not None
    assert plan.common.beneath == {"properties": {"context": context}, "type": "object"}
    assert taken.left_out == ["'Order Completed': rules about context", "'Order Completed': userId being required"]


def test_what_the_public_api_says_of_one_page_is_listed() -> None:
    taken = from_segment({"rules": [{"type": "PAGE", "key": "Home", "jsonSchema": {}}, {"type": "ODD"}]})
    assert taken.left_out == ["page: rules for the name 'Home' alone", "rules of type 'ODD'"]


def test_rudderstack_keeps_traits_in_the_context() -> None:
    traits = {
        "type": "object",
        "properties": {"email": {"type": "string"}},
        "required": ["email"],
        "additionalProperties": False,
    }
    event = {"name": "", "eventType": "identify", "identitySection": "context.traits",
             "rules": {"type": "object", "properties": {"context": {"properties": {"traits": traits}}}, "required": ["context"]}}  # fmt: skip
    taken = from_rudderstack({"name": "p", "events": [event, {"eventType": "alias"}]})
    identify = made(taken.plan).identify
    assert identify is not None
    assert identify.traits["email"].required
    assert identify.beneath == {"additionalProperties": False, "properties": {"email": {}}}
    assert taken.left_out == ["events of type 'alias'"]


def test_what_a_format_cannot_say_is_listed() -> None:
    plan = Plan.model_validate({
        "name": "p", "labels": {"a": "b"}, "description": "d", "common": {"schema": {"required": ["userId"]}},
        "events": {"Paid": {"labels": {"x": "y"}, "versions": {
            1: {"properties": {"n": {"minimum": 1, "max_length": 3, "enum": [1, 2]}}}, 2: {"schema": {"minProperties": 1}},
        }}},
    })  # fmt: skip
    assert to_segment(plan)[1] == ["labels of the plan"]
    assert to_rudderstack(plan)[1] == ["Paid: version 1", "the common schema", "labels"]
    assert to_table(plan)[1] == [
        "Paid: the choices of n", "Paid: the minimum of n", "Paid: the max length of n", "Paid: the schema beneath",
        "description of the plan", "labels of the plan", "the common schema",
    ]  # fmt: skip


def test_a_csv_of_the_editor_s_columns() -> None:
    text = "Event Name,Property Name,Status,Data Type,Permitted Values\nPaid,season,required,string,^(fall|winter)$\nPaid,when,,Date time,\nPaid,sku,optional,any,^cd\n"
    rules = made(from_table(text).plan).events["Paid"].properties
    assert rules["season"].enum == ("fall", "winter")
    assert rules["season"].required
    assert (rules["when"].types, rules["sku"].pattern) == (("date-time",), "^cd")


@pytest.mark.parametrize(
    ("take", "said"),
    [
        (lambda: from_segment([]), "no tracking plan of Segment's"),
        (lambda: from_segment({"rules": 5}), "no tracking plan of Segment's"),
        (lambda: from_segment({"rules": ["x"]}), "a rule is an object"),
        (lambda: from_rudderstack({"events": 5}), "no tracking plan of RudderStack's"),
        (lambda: from_table("a,b\n"), "columns are missing: Event Name, Property Name"),
        (lambda: from_table("Event Name,Property Name,Data Type\nPaid,a,strng\n"), "line 2: unknown data type 'strng'"),
        (lambda: from_table("Event Name,Property Name,Type\nPaid,a,odd\n"), "line 2: unknown type 'odd'"),
    ],
)
def test_another_file_is_refused_in_one_line(take: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("'", ".")):
        take()
