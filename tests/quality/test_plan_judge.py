"""Single events: what the controls make of findings, and events that are nothing like one."""

from __future__ import annotations

from typing import Any

import pytest

from cdp_core.quality.plan.checks import Finding
from cdp_core.quality.plan.judge import action_of, compile_plan
from cdp_core.quality.plan.schemas import findings, schema_error, validator
from cdp_core.quality.plan.spec import Plan
from cdp_core.tracking import Controls

PLAN = Plan.model_validate(
    {
        "name": "shop",
        "events": {
            "Paid": {"properties": {"total": {"type": "number", "required": True}, "currency": {"enum": ["USD"]}}}
        },
        "identify": {"traits": {"email": {"format": "email"}}},
        "common": {
            "schema": {"required": ["userId"], "properties": {"context": {"properties": {"ip": {"type": "string"}}}}}
        },
    }
)
SECRET = "s3cr3t-of-a-customer"


def controls(**said: str) -> Controls:
    return Controls.model_validate(said)


def actions(said: Controls, event: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {(d.rule, d.field): d.action for d in compile_plan(PLAN, said)(event)}


def test_each_control_speaks_about_its_own_findings() -> None:
    event = {"type": "track", "event": "Paid", "properties": {"currency": SECRET, "more": 1}, "context": {"ip": 5}}
    missing, choice, more = (
        ("plan.required", "properties.total"),
        ("plan.enum", "properties.currency"),
        ("plan.unplanned_property", "properties.more"),
    )
    user, ip = ("plan.common", "userId"), ("plan.common", "context.ip")
    assert actions(controls(), event) == dict.fromkeys((missing, choice, more, user, ip), "allow")
    assert actions(controls(violations="block"), event) == {
        missing: "block",
        choice: "block",
        more: "allow",
        user: "allow",
        ip: "allow",
    }
    assert actions(controls(violations="omit"), event) == {
        missing: "allow",
        choice: "omit",
        more: "allow",
        user: "allow",
        ip: "allow",
    }
    assert actions(controls(unplanned_properties="omit"), event)[more] == "omit"
    assert actions(controls(common="omit"), event) == {
        missing: "allow",
        choice: "allow",
        more: "allow",
        user: "allow",
        ip: "omit",
    }
    unknown = {"type": "track", "event": "Bought", "userId": "u"}
    assert actions(controls(unplanned_events="block"), unknown) == {("plan.unplanned_event", "event"): "block"}


def test_no_decision_holds_a_value() -> None:
    event = {
        "type": "track",
        "event": "Paid",
        "properties": {"currency": SECRET, "total": SECRET},
        "context": {"ip": [SECRET]},
    }
    assert SECRET not in repr(compile_plan(PLAN)(event))


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"type": None},
        {"type": []},
        {"type": "track"},
        {"type": "track", "event": []},
        {"type": "track", "event": {}},
    ],
)
def test_an_event_without_its_name_is_not_in_the_plan(event: dict[str, Any]) -> None:
    found = {d.rule for d in compile_plan(PLAN)(event)}
    assert found == {"plan.common"} | ({"plan.unplanned_event"} if event.get("type") == "track" else set())


@pytest.mark.parametrize("values", [None, [], "x", 5, [{"total": 1}]])
def test_properties_that_are_no_object_count_as_none(values: Any) -> None:
    event = {"type": "track", "event": "Paid", "userId": "u", "properties": values}
    assert [d.rule for d in compile_plan(PLAN)(event) if d.rule != "plan.common"] == ["plan.required"]


def test_what_cannot_be_taken_out_is_let_through() -> None:
    finding = Finding(rule="plan.required", field="properties.a", description="is required")
    assert action_of(finding, controls(violations="omit")) == "allow"
    assert action_of(finding, controls(violations="block")) == "block"


def test_a_schema_that_is_false_says_not() -> None:
    (found,) = findings(
        validator({"properties": {"a": False}}), {"a": SECRET}, rule="plan.schema", prefix=("properties",)
    )
    assert (found.field, found.description, found.path) == (
        "properties.a",
        "breaks 'not' of the schema",
        ("properties", "a"),
    )


@pytest.mark.parametrize(
    ("schema", "where"),
    [
        ({"properties": {"a": {"type": "strng"}}}, ("properties", "a", "type")),
        ({"$ref": "http://example.org/a.json"}, ()),
        ({"$ref": "#/definitions/nowhere"}, ()),
        ([], ()),
    ],
)
def test_no_schema(schema: Any, where: tuple[str, ...]) -> None:
    wrong = schema_error(schema)
    assert wrong is not None
    assert wrong[0] == where
