"""Segment's tracking plans as JSON: the Public API's rules, and the older Config API's on the way in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cdp_core.errors import UsageError
from cdp_core.quality.plan.convert import rules_of, schema_of
from cdp_core.quality.plan.schemas import DIALECT
from cdp_core.quality.plan.spec import CallPlan, Plan, bucket_of

CALLS = ("identify", "group", "page", "screen")
_PARTS = ("properties", "traits", "context")


@dataclass
class Taken:
    """A plan in the shape of its file, and what could not be said in it."""

    plan: dict[str, Any] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def call(self, kind: str, name: str, version: int, rules: dict[str, Any]) -> None:
        """Put the rules of a call into the plan, beside other versions of it."""
        home: dict[str, Any] = self.plan.setdefault("events", {}) if kind == "track" else self.plan
        key = name if kind == "track" else kind
        before = home.get(key)
        about = {k: rules.pop(k) for k in ("description", "labels") if k in rules}
        if before is None:
            home[key] = {**about, **({"version": version} if version != 1 else {}), **rules}
        elif "versions" in before:
            before["versions"][version] = rules
        else:
            first = before.pop("version", 1)
            kept = {k: before.pop(k) for k in ("properties", "traits", "schema") if k in before}
            before["versions"] = {first: kept, version: rules}


def from_segment(data: Any) -> Taken:
    """Raises UsageError when it is no tracking plan of Segment's."""
    for key in ("data", "tracking_plan"):
        data = data[key] if isinstance(data, Mapping) and isinstance(data.get(key), Mapping) else data
    if not isinstance(data, Mapping):
        raise UsageError("this is no tracking plan of Segment's", hint="it has `rules`")
    inner = data.get("trackingPlan")
    about: Mapping[str, Any] = inner if isinstance(inner, Mapping) else data
    taken = Taken()
    if about.get("description"):
        taken.plan["description"] = str(about["description"])
    rules = data.get("rules", about.get("rules"))
    if isinstance(rules, list):
        for rule in rules:
            _public_rule(rule, taken)
    elif isinstance(rules, Mapping):
        _config_rules(rules, taken)
    else:
        raise UsageError("this is no tracking plan of Segment's", hint="it has `rules`")
    return taken


def _public_rule(rule: Any, taken: Taken) -> None:
    if not isinstance(rule, Mapping):
        raise UsageError("a rule is an object with type, key, version and jsonSchema")
    kind = str(rule.get("type", "")).lower()
    schema = rule.get("jsonSchema", rule.get("json_schema")) or {}
    if kind == "common":
        taken.plan["common"] = {"schema": without_idle(schema)}
    elif kind == "track" or kind in CALLS:
        if kind != "track" and rule.get("key"):
            taken.left_out.append(f"{kind}: rules for the name {rule['key']!r} alone")
            return
        add_call(taken, kind, str(rule.get("key") or ""), _version(rule), schema)
    else:
        taken.left_out.append(f"rules of type {rule.get('type')!r}")


def _config_rules(rules: Mapping[str, Any], taken: Taken) -> None:
    for event in rules.get("events", []):
        schema = {"description": event.get("description"), **(event.get("rules") or {})}
        add_call(taken, "track", str(event.get("name", "")), _version(event), schema)
    for kind in ("identify", "group"):
        if rules.get(kind):
            add_call(taken, kind, "", 1, rules[kind])
        for trait in rules.get(f"{kind}_traits", []):
            found, rest = rules_of({"properties": {trait["name"]: {**trait.get("rules", {}), **_described(trait)}}})
            taken.plan.setdefault(kind, {}).setdefault("traits", {}).update(found)
            taken.left_out += [f"{kind}: the schema of trait {trait['name']!r}"] if rest else []
    if without_idle(rules.get("global") or {}):
        taken.plan["common"] = {"schema": without_idle(rules["global"])}


def _described(trait: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": trait["description"]} if trait.get("description") else {}


def _version(rule: Mapping[str, Any]) -> int:
    version = rule.get("version") or 1
    return int(version) if str(version).isdigit() and int(version) > 0 else 1


def add_call(taken: Taken, kind: str, name: str, version: int, schema: Mapping[str, Any]) -> None:
    """One call whose schema is about the whole event; only what is about its own data can be kept."""
    bucket = bucket_of(kind)
    inner = schema.get("properties") or {}
    rules, beneath = rules_of(inner.get(bucket) or {})
    made: dict[str, Any] = {"description": str(schema["description"])} if schema.get("description") else {}
    if schema.get("labels"):
        made["labels"] = {str(name): str(value) for name, value in schema["labels"].items()}
    made |= {bucket: rules} if rules else {}
    made |= {"schema": beneath} if beneath else {}
    taken.call(kind, name, version, made)
    called = repr(name) if name else kind
    taken.left_out += [f"{called}: {what}" for what in _elsewhere(schema, bucket)]


def _elsewhere(schema: Mapping[str, Any], bucket: str) -> Iterator[str]:
    inner = schema.get("properties") or {}
    for part, rules in inner.items():
        if part != bucket and isinstance(rules, Mapping) and set(rules) - {"type"}:
            yield f"rules about {part}"
    needed = [name for name in schema.get("required", []) if name != bucket]
    if needed:
        yield f"{', '.join(needed)} being required"
    known = {"$schema", "$id", "type", "title", "description", "labels", "properties", "required"}
    more = sorted(key for key in set(schema) - known if not (key == "additionalProperties" and schema[key] is True))
    if more:
        yield f"{', '.join(more)} over the whole event"


def without_idle(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A common schema without what says nothing."""
    kept = {key: value for key, value in schema.items() if key not in ("$schema", "labels")}
    inner = {k: v for k, v in (schema.get("properties") or {}).items() if v != {} or k not in _PARTS}
    if "properties" in kept:
        kept["properties"] = inner
        if not inner:
            del kept["properties"]
    return {} if kept == {"type": "object"} else kept


def to_segment(plan: Plan) -> tuple[dict[str, Any], list[str]]:
    """The Public API's JSON, and what it cannot say."""
    rules = []
    for name, call in plan.events.items():
        rules += [_rule("TRACK", name, version, call, rules_) for version, rules_ in call.by_version().items()]
    for kind, call in plan.calls().items():
        rules += [_rule(kind.upper(), None, version, call, rules_) for version, rules_ in call.by_version().items()]
    if plan.common is not None:
        schema = {"$schema": DIALECT, **(plan.common.beneath or {})}
        rules.append({"type": "COMMON", "key": None, "version": 1, "jsonSchema": schema})
    about = {"name": plan.name, "type": "LIVE", **({"description": plan.description} if plan.description else {})}
    left_out = ["labels of the plan"] if plan.labels else []
    left_out += ["description of the common schema"] if plan.common is not None and plan.common.description else []
    return {"trackingPlan": about, "rules": rules}, left_out


def _rule(kind: str, key: str | None, version: int, call: CallPlan, rules: CallPlan) -> dict[str, Any]:
    bucket = bucket_of(kind.lower())
    parts: dict[str, Any] = {part: {} for part in ("context", "traits", "properties")}
    schema: dict[str, Any] = {"$schema": DIALECT, "type": "object", "labels": dict(call.labels or rules.labels)}
    description = call.description or rules.description
    schema |= {"description": description} if description else {}
    return {
        "type": kind,
        "key": key,
        "version": version,
        "jsonSchema": {**schema, "properties": {**parts, bucket: schema_of(rules)}},
    }
