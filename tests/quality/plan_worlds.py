"""Random tracking plans and events, and a third opinion on them: plain Python that shares no code with the package."""

from __future__ import annotations

import calendar
import random
import re
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft7Validator

KEYS = ["a", "b", "sku", "a.b", 'q"r', "it's", "é", "a/b", "~t", "0", "$", "", "x y", "back\\slash", "A"]
EVENTS = ["Paid", "paid", 'Said "hi"', "it's", "été", "Viewed"]
BIG = [2**53 - 1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63, 2**64, 10**30, -(10**30), 1e300, 9007199254740993.0]
VALUES: list[Any] = [
    None, True, False, 0, 1, 1.0, -1, 1.5, 0.1, -0.0, 100.0, 3, 12, *BIG, "1", "", "abc", "ABC", "cd-12", "cd-12\n", "a\nb", "é", "日本", "👍🏽",
    "null", "true", "٣", "1998-07-01T00:00:00Z", "1998-02-30T00:00:00Z", "1998-07-31T23:59:59.5+02:00", "1998-07-01", "ann@example.org",
    "no mail", [], [1], [{"a": 1}], {}, {"a": 1}, {"a": None, "b": "x"}, {"0": {"a": "y"}}, {"a": {"b": 1, "zip": 2}}, [[{"a": 2}]],
]  # fmt: skip
PATTERNS = [
    r"^cd-[0-9]+$",
    r"^\d+$",
    r"\w",
    r"^a.b$",
    r"[^a-z]",
    r"^(?:abc|é)$",
    r"\s",
    "é",
    r"^(abc|1)?$",
    r"(?!a)b",
    r"^[\w-]+$",
    r"^.{2,3}$",
]
MAILS = {"ann@example.org": True}
TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
NUMERIC = ("integer", "number")
SCHEMAS: list[dict[str, Any]] = [
    {"required": ["a"]},
    {"properties": {"a": {"type": "string"}, "b": {"minimum": 2}}, "required": ["sku"]},
    {"properties": {"a": {"items": {"type": "object", "properties": {"a": {"type": "string"}}}}}},
    {"minProperties": 2},
    {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
    {"properties": {"a": {"$ref": "#/definitions/x"}}, "definitions": {"x": {"enum": [1, "abc"]}}},
    {"additionalProperties": False, "properties": {"a": {}, "b": {"const": 1}}},
    {"properties": {"é": {"not": {}}, "0": {"type": ["null", "integer"]}}},
]
COMMON: list[dict[str, Any]] = [
    {"required": ["userId"]},
    {
        "properties": {
            "context": {"required": ["ip"], "properties": {"library": {"type": "object", "required": ["name"]}}}
        }
    },
    {
        "properties": {
            "type": {"enum": ["track", "identify"]},
            "event": {"pattern": "^P"},
            "traits": {"minProperties": 1},
        }
    },
    {
        "properties": {"properties": {"properties": {"a": {"type": "integer"}}}, "name": {"type": "string"}},
        "required": ["context", "properties"],
    },
    {"anyOf": [{"required": ["userId"]}, {"required": ["anonymousId"]}]},
    {"maxProperties": 4},
]


def random_rule(rng: random.Random, depth: int = 0) -> dict[str, Any]:
    rule: dict[str, Any] = {}
    if rng.random() < 0.7:
        kinds = ["array", "object", "boolean", "integer", "number", "string", "null", "date-time", "any"]
        rule["type"] = rng.choice(kinds) if rng.random() < 0.6 else rng.sample(kinds[:-1], 2)
    if rng.random() < 0.3:
        rule["required"] = True
    scalars = [v for v in VALUES if not isinstance(v, (list, dict))]
    facets: dict[str, Any] = {
        "enum": lambda: rng.sample(scalars, rng.randint(1, 4)),
        "pattern": lambda: rng.choice(PATTERNS),
        "format": lambda: rng.choice(["email", "date-time"]),
        "minimum": lambda: rng.choice([0, 1, 1.5, -1, 2**53, 10**20, 0.1]),
        "maximum": lambda: rng.choice([0, 1, 1.5, 3, 2**53, 2**53 + 1, 2**70]),
        "min_length": lambda: rng.randint(1, 6),
        "max_length": lambda: rng.randint(0, 4),
    }
    for name in rng.sample(list(facets), rng.choice([0, 0, 1, 1, 2])):
        rule[name] = facets[name]()
    for low, high in (("minimum", "maximum"), ("min_length", "max_length")):
        if low in rule and high in rule and rule[low] > rule[high]:
            rule[low], rule[high] = rule[high], rule[low]
    if depth < 2 and rng.random() < 0.25:
        rule["properties"] = random_rules(rng, depth + 1)
    return rule


def random_rules(rng: random.Random, depth: int = 0) -> dict[str, Any]:
    return {name(k): random_rule(rng, depth) for k in rng.sample(KEYS, rng.randint(0, 4 if depth else 7))}


def name(key: str) -> str:
    return key.replace("\\", "\\\\").replace(".", "\\.")


def random_call(rng: random.Random, bucket: str, *, inner: bool = False) -> dict[str, Any]:
    call: dict[str, Any] = {}
    if not inner and rng.random() < 0.25:
        return {"versions": {v: random_call(rng, bucket, inner=True) for v in rng.sample([1, 2, 3, 10], 2)}}
    if rng.random() < 0.9:
        call[bucket] = random_rules(rng)
        if rng.random() < 0.3:
            call[bucket]["deep.er.a"] = random_rule(rng)
    if rng.random() < 0.3:
        call["schema"] = rng.choice(SCHEMAS)
    return call


def random_plan(rng: random.Random) -> dict[str, Any]:
    plan: dict[str, Any] = {
        "name": "world",
        "events": {e: random_call(rng, "properties") for e in rng.sample(EVENTS, rng.randint(1, 3))},
    }
    for kind in ("identify", "group", "page", "screen"):
        if rng.random() < 0.4:
            plan[kind] = random_call(rng, "traits" if kind in ("identify", "group") else "properties")
    if rng.random() < 0.5:
        plan["common"] = {"schema": rng.choice(COMMON)}
    return plan


def random_object(rng: random.Random, rules: dict[str, Any], depth: int = 0) -> dict[str, Any]:
    """Often with the keys that the plan knows, sometimes with others."""
    keys = [key_of(k) for k in rules if "deep" not in k]
    chosen = [k for k in keys if rng.random() < 0.8] + [k for k in KEYS if rng.random() < 0.06]
    made = {}
    for key in dict.fromkeys(chosen):
        inner = rules.get(name(key), {}).get("properties")
        made[key] = random_object(rng, inner, depth + 1) if inner and rng.random() < 0.7 else rng.choice(VALUES)
    if rng.random() < 0.2:
        made["deep"] = rng.choice(
            [{}, {"er": {}}, {"er": {"a": rng.choice(VALUES)}}, {"er": [1]}, 5, None, {"er": {"zz": 1}}]
        )
    return made


def key_of(spelled: str) -> str:
    return re.sub(r"\\(.)", r"\1", spelled)


def random_event(rng: random.Random, plan: dict[str, Any]) -> dict[str, Any]:
    kind = rng.choice(["track"] * 5 + ["identify", "group", "page", "screen", "alias"])
    event: dict[str, Any] = {"type": kind}
    if kind == "track":
        event["event"] = rng.choice([*plan["events"], rng.choice(EVENTS)])
    elif kind in ("page", "screen") and rng.random() < 0.6:
        event[rng.choice(["name", "name", "event"])] = "Home"
    call = plan["events"].get(event["event"], {}) if kind == "track" else plan.get(kind, {})
    if "versions" in call:
        call = call["versions"][rng.choice(list(call["versions"]))]
    for bucket in ("properties", "traits"):
        if rng.random() < 0.85:
            event[bucket] = random_object(rng, call.get(bucket, {}))
    for field, values in (("userId", ["u1", "u2"]), ("anonymousId", ["x"]), ("groupId", ["g"])):
        if rng.random() < 0.6:
            event[field] = rng.choice(values)
    if rng.random() < 0.7:
        event["context"] = rng.choice(
            [{}, {"ip": "1"}, {"library": {"name": "a"}}, {"library": 5}, {"ip": None, "library": {}}]
        )
        if rng.random() < 0.5:
            event["context"] = {
                **event["context"],
                "protocols": {"event_version": rng.choice([1, 2, 3, 10, 2.0, "2", None, 99])},
            }
    return event


Told = tuple[str, str, str]


def judged(plan: dict[str, Any], event: dict[str, Any]) -> set[Told]:
    """(rule, field, words that matter) of everything that does not keep to the plan."""
    found: set[Told] = set()
    kind = event["type"]
    call = plan["events"].get(event["event"]) if kind == "track" else plan.get(kind)
    if call is not None:
        bucket = "traits" if kind in ("identify", "group") else "properties"
        found |= set(_call(_version(call, event), event.get(bucket) or {}, bucket))
    elif kind == "track":
        found.add(("plan.unplanned_event", "event", ""))
    if kind != "track" and "event" in event:
        event = {**{k: v for k, v in event.items() if k != "event"}, "name": event["event"]}
    common = plan.get("common", {}).get("schema")
    if common:
        found |= set(_schema(common, event, "plan.common", []))
    return found


def _version(call: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
    if "versions" not in call:
        return call
    stated = event.get("context", {}).get("protocols", {}).get("event_version")
    known = call["versions"]
    return known[stated] if type(stated) is int and stated in known else known[min(known)]


def _call(call: dict[str, Any], values: dict[str, Any], bucket: str) -> Iterator[Told]:
    rules = {}
    for spelled, rule in call.get(bucket, {}).items():
        if spelled == "deep.er.a":
            rules["deep"] = {"properties": {"er": {"properties": {"a": rule}, "implied": True}}, "implied": True}
        else:
            rules[key_of(spelled)] = rule
    extra = set(call.get("schema", {}).get("properties", {}))
    yield from _object(rules, values, [bucket], extra)
    if "schema" in call:
        yield from _schema(call["schema"], values, "plan.schema", [bucket])


def _object(rules: dict[str, Any], values: dict[str, Any], path: list[str], extra: set[str]) -> Iterator[Told]:
    own = {key_of(k) if path[1:] and "deep" not in path else k: r for k, r in rules.items()}
    for key in values:
        if key not in own and key not in extra:
            yield "plan.unplanned_property", spell([*path, key]), ""
    for key, rule in own.items():
        if key not in values:
            if rule.get("required"):
                yield "plan.required", spell([*path, key]), ""
            continue
        for rule_name, facet in _value(rule, values[key]):
            yield rule_name, spell([*path, key]), facet
        if rule.get("properties") and isinstance(values[key], dict):
            yield from _object(rule["properties"], values[key], [*path, key], set())


def _value(rule: dict[str, Any], value: Any) -> Iterator[tuple[str, str]]:
    types = rule.get("type", [])
    types = [types] if isinstance(types, str) else list(types)
    if not types and rule.get("properties") and not rule.get("implied"):
        types = ["object"]
    if types and "any" not in types and not any(_is(value, t) for t in types):
        yield "plan.type", "type"
        return
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if "enum" in rule and not any(_same(value, v) for v in rule["enum"]):
        yield "plan.enum", "enum"
    if isinstance(value, str):
        if "pattern" in rule and not _matches(rule["pattern"], value):
            yield "plan.pattern", "pattern"
        if "format" in rule and not (MAILS.get(value, False) if rule["format"] == "email" else _is_time(value)):
            yield "plan.pattern", "format"
        if len(value) < rule.get("min_length", 0):
            yield "plan.range", "min_length"
        if len(value) > rule.get("max_length", 99):
            yield "plan.range", "max_length"
    if number and "minimum" in rule and value < rule["minimum"]:
        yield "plan.range", "minimum"
    if number and "maximum" in rule and value > rule["maximum"]:
        yield "plan.range", "maximum"


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if isinstance(value, (int, float)):
        return kind == "number" or (kind == "integer" and value == int(value))
    if isinstance(value, str):
        return kind == "string" or (kind == "date-time" and _is_time(value))
    return {"null": type(None), "array": list, "object": dict}.get(kind) is type(value)


def _is_time(text: str) -> bool:
    found = TIME.fullmatch(text)
    if not found:
        return False
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    return (
        1 <= month <= 12
        and 1 <= day <= calendar.monthrange(year, month)[1]
        and hour < 24
        and minute < 60
        and second < 60
    )


def _same(left: Any, right: Any) -> bool:
    return (
        isinstance(left, bool) == isinstance(right, bool)
        and left == right
        and (type(left) is str) == (type(right) is str)
    )


def _matches(pattern: str, text: str) -> bool:
    return re.search(pattern.replace("$", r"\Z"), text, 0 if pattern == r"\s" else re.ASCII) is not None


def _schema(schema: dict[str, Any], value: Any, rule: str, prefix: list[str]) -> Iterator[Told]:
    for error in Draft7Validator(schema).iter_errors(value):
        path = [*prefix, *("$" if isinstance(p, int) else p for p in error.absolute_path)]
        keyword = str([p for p in error.absolute_schema_path if isinstance(p, str)][-1])
        if keyword == "required":
            path.append(re.match(r"'(.*)' is a required", error.message)[1])  # type: ignore[index]
        keyword = "" if keyword == "required" else keyword
        yield rule, spell(path) or "event", keyword


def spell(path: list[str]) -> str:
    return ".".join(name(key) for key in path)
