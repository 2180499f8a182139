"""A plan to begin with, from what a source has sent: types, what is always there, choices where there are few.

No customer's value comes into it: choices are kept only of texts that many events share and that look like no
identifier, address or number of a phone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cdp_core.engine import json_profile
from cdp_core.quality.plan.spec import bucket_of

if TYPE_CHECKING:
    from cdp_core.engine.staging import Staging

_TYPES = {"VARCHAR": "string", "UBIGINT": "integer", "BIGINT": "integer", "DOUBLE": "number", "BOOLEAN": "boolean",
          "ARRAY": "array", "OBJECT": "object", "NULL": "null"}  # fmt: skip
_PRIVATE = re.compile(
    r"(^|[_.\s-])(id|ids|uuid|guid|key|token|hash|sha\d*|md5|name|first|last|surname|mail|e-?mail|phone|mobile|tel|fax|"
    r"address|street|city|town|zip|postcode|postal|plz|birth\w*|dob|age|ip|url|uri|path|href|user|username|login|"
    r"password|ssn|passport|card|iban|device|session|cookie|lat|lon|lng|gender|sex|religion|ethnicity|query|search|"
    r"text|comment|message|title|note|notes)($|[_.\s-])"
)
FEW, EACH = 10, 20


def infer(staging: Staging) -> dict[str, Any]:
    """A plan in the shape of its file, from staged `events` of one source."""
    calls: dict[tuple[str, str | None], dict[str, Any]] = {}
    for kind, event, count in json_profile.calls(staging).iter_rows():
        calls[kind, event] = {"description": f"{count:,} events seen", bucket_of(kind): {}}
    for row in json_profile.profile(staging, few=FEW).iter_rows(named=True):
        call = calls[row["type"], row["event"]]
        call[bucket_of(row["type"])][row["path"]] = _rule(row)
    plan: dict[str, Any] = {}
    for (kind, event), call in calls.items():
        made = {key: value for key, value in call.items() if value}
        if kind == "track":
            plan.setdefault("events", {})[event] = made
        else:
            plan[kind] = made
    return plan


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A `rule` for what is seen and not planned, to stand at `path` of the plan: a property, or a whole event."""

    path: tuple[str, ...]
    rule: Mapping[str, Any]


def unplanned(seen: Mapping[str, Any], plan: Mapping[str, Any]) -> list[Suggestion]:
    """What `infer` gives that the plan, in the shape of its file, does not have. Versions are left as they are.

    >>> plan = {"events": {"Paid": {"properties": {"total": "number"}}}}
    >>> seen = {"events": {"Paid": {"properties": {"total": {}, "tip": {"type": "number"}}}}}
    >>> [suggestion.path for suggestion in unplanned(seen, plan)]
    [('events', 'Paid', 'properties', 'tip')]
    """
    calls: list[tuple[tuple[str, ...], Any]] = [
        (("events", name), call) for name, call in seen.get("events", {}).items()
    ]
    calls += [((name,), call) for name, call in seen.items() if name != "events"]
    found = []
    for path, call in calls:
        planned = _at(plan, path)
        if planned is _NOTHING:
            found.append(Suggestion(path=path, rule=call))
            continue
        planned = planned if isinstance(planned, Mapping) else {}
        if planned.get("versions"):
            continue
        bucket = bucket_of(path[0])
        known = _names(planned.get(bucket))
        for name, rule in call.get(bucket, {}).items():
            if name not in known:
                found.append(Suggestion(path=(*path, bucket, name), rule=rule))
    return found


_NOTHING = object()


def _at(plan: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        if not isinstance(plan, Mapping) or part not in plan:
            return _NOTHING
        plan = plan[part]
    return plan


def _names(rules: Any, before: str = "") -> set[str]:
    """Dotted names of all that is planned, also of what is inside of objects."""
    found: set[str] = set()
    for name, rule in rules.items() if isinstance(rules, Mapping) else ():
        found.add(before + name)
        if isinstance(rule, Mapping):
            found |= _names(rule.get("properties"), f"{before}{name}.")
    return found


def _rule(row: dict[str, Any]) -> dict[str, Any]:
    rule: dict[str, Any] = {}
    types = _types(row)
    if types:
        rule["type"] = types[0] if len(types) == 1 else types
    if row["present"] == row["holders"]:
        rule["required"] = True
    elif row["holders"]:
        rule["description"] = f"in {_share(row['present'] / row['holders'])} of them"
    if row["texts"] and row["mails"] == row["texts"]:
        rule["format"] = "email"
    elif _is_choice(row, types):
        rule["enum"] = [*row["values"], *([None] if "null" in types else [])]
    return rule


def _types(row: dict[str, Any]) -> list[str]:
    types = {_TYPES[kind] for kind in row["kinds"] if kind in _TYPES}
    if "number" in types:
        types.discard("integer")
    if "string" in types and row["times"] == row["texts"]:
        types = (types - {"string"}) | {"date-time"}
    return sorted(types, key=lambda name: (name == "null", name))


def _is_choice(row: dict[str, Any], types: list[str]) -> bool:
    """Texts alone, few of them, each in many events, and none that may be about somebody."""
    return (
        "string" in types
        and set(types) <= {"string", "null"}
        and bool(row["values"])
        and len(row["values"]) <= FEW
        and row["texts"] >= EACH * row["different"]
        and not row["personal"]
        and not is_private(row["path"])
    )


def is_private(path: str) -> bool:
    """Whether the name of a property says that its values may be somebody's own.

    >>> is_private("customerEmail"), is_private("address.city"), is_private("genre")
    (True, True, False)
    """
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", path).lower()
    return bool(_PRIVATE.search(snake))


def _share(share: float) -> str:
    """
    >>> _share(0.5), _share(0.0001), _share(0.9999)
    ('50%', 'under 1%', 'over 99%')
    """
    return "under 1%" if share < 0.01 else "over 99%" if share > 0.99 else f"{share:.0%}"
