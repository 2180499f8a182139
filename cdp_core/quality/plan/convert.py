"""Rules of a call ↔ JSON Schema of its properties. Nothing is lost: what rules cannot say stays in a schema beneath."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cdp_core.quality.plan.checks import parts, spelled
from cdp_core.quality.plan.spec import FORMATS, TYPES, CallPlan, PropertyRule

_KEYWORDS = {"pattern": "pattern", "minimum": "minimum", "maximum": "maximum", "minLength": "min_length",
             "maxLength": "max_length", "description": "description"}  # fmt: skip
_TOGETHER = {"$ref", "additionalProperties", "patternProperties", "if", "then", "else", "dependencies", "propertyNames"}
"""Keywords that mean something only beside the others."""
_IDLE = ("$schema", "$id", "title", "labels")
Rules = dict[str, Any]


def rules_of(schema: Mapping[str, Any]) -> tuple[Rules, dict[str, Any] | None]:
    """Rules as a plan has them, and the schema beneath for what they cannot say.

    >>> rules_of({"properties": {"a": {"type": "string", "items": {}}}, "required": ["a"]})
    ({'a': {'type': 'string', 'required': True}}, {'properties': {'a': {'items': {}}}})
    """
    rules: Rules = {}
    beneath = {key: value for key, value in schema.items() if _is_beneath(key, value)}
    inner = schema.get("properties", {})
    required = schema.get("required", [])
    for name, found in inner.items():
        rule, rest = _rule_of(found)
        if name in required:
            rule["required"] = True
        rules[spelled((name,))] = rule
        if rest is not None:
            beneath.setdefault("properties", {})[name] = rest
    if _TOGETHER & set(beneath):
        known = beneath.setdefault("properties", {})
        beneath["properties"] = {name: known.get(name, {}) for name in inner}
    missing = [name for name in required if name not in inner]
    if missing:
        beneath["required"] = missing
    return rules, beneath or None


def _is_beneath(key: str, value: Any) -> bool:
    idle = key in ("properties", "required", "type", "description", *_IDLE)
    return not idle and not (key == "additionalProperties" and value is True)


def _rule_of(schema: Any) -> tuple[Rules, Any]:
    """A rule, and what it leaves unsaid: None when nothing."""
    if not isinstance(schema, Mapping):
        return {}, None if schema is True else schema
    said = {"description": schema["description"]} if schema.get("description") else {}
    if _TOGETHER & {key for key, value in schema.items() if _is_beneath(key, value)}:
        return said, {key: value for key, value in schema.items() if key != "description"}
    rule: Rules = {}
    rest = dict(schema)
    for key in _IDLE:
        rest.pop(key, None)
    if rest.get("additionalProperties") is True:
        del rest["additionalProperties"]
    _take_type(rule, rest)
    for keyword, name in _KEYWORDS.items():
        if keyword in rest and _fits(keyword, rest[keyword]):
            value = rest.pop(keyword)
            rule |= {name: value} if value != "" else {}
    if "enum" in rest and rest["enum"] and all(not isinstance(v, (list, dict)) for v in rest["enum"]):
        rule["enum"] = rest.pop("enum")
    if rest.get("format") in FORMATS:
        rule["format"] = rest.pop("format")
    _take_inside(rule, rest)
    return rule, rest or None


def _take_type(rule: Rules, rest: dict[str, Any]) -> None:
    types = rest.get("type", [])
    types = [types] if isinstance(types, str) else list(types)
    if not types or not set(types) <= set(TYPES):
        return
    del rest["type"]
    if rest.get("format") == "date-time" and "string" in types:
        del rest["format"]
        types = ["date-time" if t == "string" else t for t in types]
    rule["type"] = types[0] if len(types) == 1 else types


def _take_inside(rule: Rules, rest: dict[str, Any]) -> None:
    if not isinstance(rest.get("properties"), Mapping):
        return
    nested, beneath = rules_of({"properties": rest.pop("properties"), "required": rest.pop("required", [])})
    if nested:
        rule["properties"] = nested
        rule.setdefault("type", "any")
    rest |= beneath or {}


def _fits(keyword: str, value: Any) -> bool:
    if keyword in ("pattern", "description"):
        return isinstance(value, str)
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole if keyword.endswith("Length") else whole or isinstance(value, float)


def schema_of(call: CallPlan) -> dict[str, Any]:
    """JSON Schema of a call's properties or traits: its rules, merged with what stands beneath them."""
    schema, beneath = _object(call.properties or call.traits), call.beneath or {}
    inner = beneath.get("properties", {})
    if _TOGETHER & set(beneath) and not set(schema["properties"]) <= set(inner):
        # Such keywords look at the properties beside them, which must stay those that they have.
        named: dict[str, Any] = {name: {} for name in inner}
        return {**_merged(schema, {"properties": named}), "allOf": [dict(beneath)]}
    return _merged(schema, beneath)


def _object(rules: Mapping[str, PropertyRule]) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "object", "properties": {}}
    for name, rule in rules.items():
        keys = parts(name)
        place = made
        for key in keys[:-1]:
            place = place.setdefault("properties", {}).setdefault(key, {})
        properties = place.setdefault("properties", {})
        properties[keys[-1]] = _merged(properties.get(keys[-1], {}), _value(rule))
        if rule.required:
            place.setdefault("required", []).append(keys[-1])
    return made


def _value(rule: PropertyRule) -> dict[str, Any]:
    made: dict[str, Any] = {"description": rule.description} if rule.description else {}
    if rule.types:
        made |= _types(rule.types)
    if rule.enum is not None:
        made["enum"] = list(rule.enum)
    for keyword, name in (*_KEYWORDS.items(), ("format", "format")):
        value = getattr(rule, name)
        if value is not None and name != "description":
            made = _merged(made, {keyword: value})
    if rule.properties:
        made |= {key: value for key, value in _object(rule.properties).items() if key != "type"}
    return made


def _types(types: Sequence[str]) -> dict[str, Any]:
    named = list(dict.fromkeys("string" if t == "date-time" else t for t in types))
    time = {"format": "date-time"} if "date-time" in types and "string" not in types else {}
    return {"type": named[0] if len(named) == 1 else named, **time}


def _merged(first: dict[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Both schemas hold. Where they say the same thing in two ways they stand side by side."""
    made = dict(first)
    for key, value in second.items():
        if key not in made or made[key] == value:
            made[key] = value
        elif key == "properties":
            made[key] = {**made[key], **{k: _both(made[key].get(k), v) for k, v in value.items()}}
        elif key == "required":
            made[key] = list(dict.fromkeys([*made[key], *value]))
        else:
            made["allOf"] = [*made.get("allOf", []), {key: value}]
    return made


def _both(first: Any, second: Any) -> Any:
    if first is None or first == {} or not isinstance(first, dict):
        return second
    if isinstance(second, Mapping) and not _TOGETHER & set(second):
        return _merged(first, second)
    return {**first, "allOf": [*first.get("allOf", []), second]}
