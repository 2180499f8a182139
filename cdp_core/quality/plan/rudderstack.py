"""RudderStack's tracking plans as JSON (Data Catalog API): one list of events, each with JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cdp_core.errors import UsageError
from cdp_core.quality.plan.convert import schema_of
from cdp_core.quality.plan.schemas import DIALECT
from cdp_core.quality.plan.segment import CALLS, Taken, add_call
from cdp_core.quality.plan.spec import CallPlan, Plan, bucket_of


def from_rudderstack(data: Any) -> Taken:
    """Raises UsageError when it is no tracking plan of RudderStack's."""
    events = _events(data)
    if events is None:
        raise UsageError("this is no tracking plan of RudderStack's", hint="it has a list of `events`")
    taken = Taken()
    if isinstance(data, Mapping) and data.get("description"):
        taken.plan["description"] = str(data["description"])
    for event in events:
        _event(event, taken)
    return taken


def _events(data: Any) -> list[Any] | None:
    if isinstance(data, Mapping):
        rules = data.get("rules")
        found = data.get("events", data.get("data", rules.get("events") if isinstance(rules, Mapping) else None))
    else:
        found = data
    return found if isinstance(found, list) and all(isinstance(event, Mapping) for event in found) else None


def _event(event: Mapping[str, Any], taken: Taken) -> None:
    kind = str(event.get("eventType") or "track").lower()
    name = str(event.get("name") or "")
    if kind != "track" and kind not in CALLS:
        taken.left_out.append(f"events of type {kind!r}")
        return
    schema = dict(event.get("rules") or {})
    inner = dict(schema.get("properties") or {})
    context = inner.get("context")
    if bucket_of(kind) == "traits" and isinstance(context, Mapping) and "traits" in context.get("properties", {}):
        # Traits stand in context.traits here; loading moves them to where they belong.
        inner = {key: value for key, value in inner.items() if key != "context"}
        inner["traits"] = context["properties"]["traits"]
    schema["properties"] = inner
    schema["required"] = [key for key in schema.get("required", []) if key in inner and key != "context"]
    if event.get("description"):
        schema["description"] = event["description"]
    add_call(taken, kind, name if kind == "track" else "", 1, schema)


def to_rudderstack(plan: Plan) -> tuple[dict[str, Any], list[str]]:
    """The JSON, and what it cannot say."""
    left_out: list[str] = []
    calls = [("track", name, call) for name, call in plan.events.items()]
    calls += [(kind, "", call) for kind, call in plan.calls().items()]
    events = [_written(kind, name, call, left_out) for kind, name, call in calls]
    if plan.common is not None:
        left_out.append("the common schema")
    if plan.labels or any(call.labels for _, _, call in calls):
        left_out.append("labels")
    about = {"name": plan.name, **({"description": plan.description} if plan.description else {})}
    return {**about, "version": 1, "events": events}, left_out


def _written(kind: str, name: str, call: CallPlan, left_out: list[str]) -> dict[str, Any]:
    by_version = call.by_version()
    newest = list(by_version)[-1]
    unsaid = [v for v in by_version if v != newest or (v != 1 and len(by_version) == 1)]
    left_out += [f"{name or kind}: version {version}" for version in unsaid]
    bucket = bucket_of(kind)
    schema = {"additionalProperties": True, **schema_of(by_version[newest])}
    rules = {"$schema": DIALECT, "type": "object", "properties": {bucket: schema}, "required": [bucket]}
    about = {"description": call.description} if call.description else {}
    return {"name": name, "eventType": kind, "identitySection": bucket, **about, "rules": rules}
