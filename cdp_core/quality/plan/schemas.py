"""JSON Schema (draft-07): validators, what a schema looks at, and what broke in words that hold no value."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cdp_core.quality.plan.checks import Check, Finding, spelled

if TYPE_CHECKING:
    from jsonschema_rs import Draft7Validator

DIALECT = "http://json-schema.org/draft-07/schema#"
PAYLOAD = ("type", "event", "name", "userId", "anonymousId", "groupId", "previousId")
OBJECTS = ("properties", "traits", "context")
_SILENT = ("$schema", "$id", "$comment", "title", "description", "default", "examples", "type", "required")
_SHALLOW = {*_SILENT} - {"required"}
Reading = dict[str, bool] | None
"""The keys of an object that a schema looks at, and whether only at the type of the value; None: all of it."""


def validator(schema: Mapping[str, Any]) -> Draft7Validator:
    """Raises ValueError when it is no schema; `path` of that error leads to the place in it."""
    import jsonschema_rs

    return jsonschema_rs.Draft7Validator(dict(schema), validate_formats=True, retriever=_nothing)


def _nothing(uri: str) -> Any:
    """Schemas refer to themselves and to nothing that would have to be fetched."""
    raise ValueError("references lead within the schema, such as #/definitions/name")


def schema_error(schema: Any) -> tuple[tuple[str | int, ...], str] | None:
    """What is wrong with a schema and where in it; None when nothing is."""
    import jsonschema_rs

    if not isinstance(schema, Mapping):
        return (), "a JSON Schema is an object"
    try:
        validator(schema)
    except jsonschema_rs.ValidationError as error:
        return tuple(error.instance_path), f"it is no JSON Schema (draft-07): {_reason(error)}"
    except (ValueError, TypeError) as error:
        return (), f"it is no JSON Schema (draft-07): {' '.join(str(error).split())[:120]}"
    return None


def _reason(error: Any) -> str:
    text = " ".join(str(error.message).split())
    return text if len(text) <= 120 else f"{keyword(error)!r} is not kept"


def whole_schema(checks: Sequence[Check]) -> dict[str, Any]:
    """One schema for all checks of a call, without the one that stands beneath them."""
    root: dict[str, Any] = {}
    made: list[dict[str, Any]] = []
    for check in checks:
        around = root if check.parent is None else made[check.parent]
        own = merged(check.facets.values())
        around.setdefault("properties", {})[check.key] = own
        made.append(own)
        if check.rule.required:
            around.setdefault("required", []).append(check.key)
    return root


def merged(schemas: Any) -> dict[str, Any]:
    """
    >>> merged([{"type": "string"}, {"pattern": "^a"}]), merged([{"format": "date"}, {"format": "time"}])
    ({'type': 'string', 'pattern': '^a'}, {'allOf': [{'format': 'date'}, {'format': 'time'}]})
    """
    parts = list(schemas)
    keys = [key for part in parts for key in part]
    if len(keys) == len(set(keys)):
        return {key: value for part in parts for key, value in part.items()}
    return {"allOf": parts}


def facet_validators(rule_facets: Mapping[str, dict[str, Any]]) -> dict[str, Draft7Validator]:
    return {name: validator(schema) for name, schema in rule_facets.items()}


def broken(found: Mapping[str, Draft7Validator], value: Any) -> list[str]:
    """The facets that a value breaks; one of a wrong type breaks that alone."""
    failed = [name for name, check in found.items() if not check.is_valid(value)]
    return ["type"] if "type" in failed else failed


def findings(check: Draft7Validator, value: Any, *, rule: str, prefix: tuple[str, ...] = ()) -> list[Finding]:
    """What breaks a schema, once for each place and keyword; positions in lists are written $."""
    found: dict[Finding, None] = {}
    for error in check.iter_errors(value):
        names = _names(value, error.instance_path)
        missing = getattr(error.kind, "property", None) if keyword(error) == "required" else None
        path = (*prefix, *names)
        words = "is required by the schema" if missing else f"breaks {keyword(error)!r} of the schema"
        place = spelled((*path, str(missing)) if missing else path) or "event"
        removable = len(path) > 1 and path[0] in OBJECTS
        found[Finding(rule=rule, field=place, description=words, path=path[:2] if removable else ())] = None
    return list(found)


def _names(value: Any, path: Sequence[str | int]) -> list[str]:
    """Keys that a path leads through. The value tells them from positions in lists: a key of digits is told as one."""
    found = []
    for part in path:
        inside = isinstance(value, Mapping)
        found.append(str(part) if inside else "$")
        value = value.get(str(part)) if inside else value[int(part)]
    return found


def keyword(error: Any) -> str:
    """The keyword of the schema that is broken; a schema that is just `false` has none and counts as `not`."""
    names = [str(part) for part in error.schema_path if isinstance(part, str)]
    return "not" if not names or type(error.kind).__name__.endswith("FalseSchema") else names[-1]


def reading(schema: Any) -> Reading:
    """The keys that a schema of an object looks at, when it tells: only `properties` and `required` may be in it.

    >>> reading({"required": ["a"], "properties": {"b": {"minimum": 0}}}), reading({"minProperties": 1})
    ({'a': True, 'b': False}, None)
    """
    if not isinstance(schema, Mapping) or set(schema) - {*_SILENT, "properties", "definitions"} or _has_ref(schema):
        return None
    inner = schema.get("properties", {})
    return {key: _is_shallow(inner.get(key, True)) for key in sorted({*schema.get("required", ()), *inner})}


def _is_shallow(schema: Any) -> bool:
    return isinstance(schema, bool) or not set(schema) - _SHALLOW


def _has_ref(schema: Mapping[str, Any]) -> bool:
    """A reference may come back to the top and look at more."""
    return '"$ref"' in json.dumps(schema, default=str)


def payload_reading(schema: Mapping[str, Any]) -> dict[str, Reading | bool]:
    """What a common schema looks at: keys of the event, with the reading of an object or whether a type is enough."""
    top = reading(schema)
    if top is None:
        return {**dict.fromkeys(PAYLOAD, False), **dict.fromkeys(OBJECTS)}
    inner = schema.get("properties", {})
    scalars = {key: top[key] for key in PAYLOAD if key in top}
    return {**scalars, **{key: reading(inner.get(key, {})) for key in OBJECTS if key in top}}


def payload(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event as a common schema sees it: what was said, without what is not kept in `events`."""
    kept = {key: event[key] for key in (*PAYLOAD, *OBJECTS) if event.get(key) is not None}
    if kept.get("type") == "track":
        kept.pop("name", None)
    elif "event" in kept:
        kept["name"] = kept.pop("event")
    return kept
