"""The rules of a call as a flat list of checks, each with its facets: what can be wrong with one value, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cdp_core.quality.plan.spec import CallPlan, PropertyRule

RULES = {
    "required": "plan.required",
    "type": "plan.type",
    "enum": "plan.enum",
    "pattern": "plan.pattern",
    "format": "plan.pattern",
    "minimum": "plan.range",
    "maximum": "plan.range",
    "min_length": "plan.range",
    "max_length": "plan.range",
}
_SHOWN = 12


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that does not keep to the plan. `path` is what an omission takes out; () when nothing can be."""

    rule: str
    field: str
    description: str
    path: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Check:
    """One property. `parent` is the place of the check around it in the list, None at the top; `closed` are the names
    that the plan knows inside it, None when it says nothing about them.
    """

    path: tuple[str, ...]
    parent: int | None
    rule: PropertyRule
    facets: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    closed: tuple[str, ...] | None = None

    @property
    def key(self) -> str:
        return self.path[-1]

    def finding(self, facet: str, bucket: str) -> Finding:
        path = () if facet == "required" else (bucket, *self.path)
        return Finding(
            rule=RULES[facet], field=spelled((bucket, *self.path)), description=_words(facet, self.rule), path=path
        )


@dataclass
class _Node:
    rule: PropertyRule | None = None
    inner: dict[str, _Node] = field(default_factory=dict)


def checks_of(call: CallPlan) -> list[Check]:
    """Every check of a call, parents first. Raises ValueError for a property that is described twice."""
    root = _Node()
    _grow(root, call.properties or call.traits)
    for name in (call.beneath or {}).get("properties", {}):
        root.inner.setdefault(name, _Node())
    return list(_flat(root))


def _grow(node: _Node, rules: Mapping[str, PropertyRule]) -> None:
    for name, rule in rules.items():
        place = node
        for part in parts(name):
            place = place.inner.setdefault(part, _Node())
        if place.rule is not None:
            raise ValueError(f"{name!r} is described twice")
        place.rule = rule
        _grow(place, rule.properties)


def _flat(root: _Node) -> Iterator[Check]:
    waiting: list[tuple[tuple[str, ...], int | None, _Node]] = [((k,), None, n) for k, n in root.inner.items()]
    number = 0
    while waiting:
        path, parent, node = waiting.pop(0)
        rule = node.rule or PropertyRule.model_validate({})
        closed = tuple(node.inner) if node.inner else None
        yield Check(path=path, parent=parent, rule=rule, facets=facets_of(rule), closed=closed)
        waiting += [((*path, k), number, n) for k, n in node.inner.items()]
        number += 1


def facets_of(rule: PropertyRule) -> dict[str, dict[str, Any]]:
    """JSON Schema of every facet, `type` first: when that fails the others say nothing."""
    found: dict[str, dict[str, Any]] = {}
    if rule.types:
        found["type"] = type_schema(rule.types)
    if rule.enum is not None:
        found["enum"] = {"enum": list(rule.enum)}
    for name, keyword in (
        ("pattern", "pattern"), ("format", "format"), ("minimum", "minimum"), ("maximum", "maximum"),
        ("min_length", "minLength"), ("max_length", "maxLength"),
    ):  # fmt: skip
        value = getattr(rule, name)
        if value is not None:
            found[name] = {keyword: value}
    return found


def type_schema(types: tuple[str, ...]) -> dict[str, Any]:
    """
    >>> type_schema(("number", "null")), type_schema(("date-time",))
    ({'type': ['number', 'null']}, {'type': 'string', 'format': 'date-time'})
    """
    plain = [t for t in dict.fromkeys(types) if t != "date-time"]
    time = {"type": "string", "format": "date-time"}
    if "date-time" not in types or "string" in plain:
        return {"type": plain[0] if len(plain) == 1 else plain}
    return {"anyOf": [{"type": plain}, time]} if plain else time


def _words(facet: str, rule: PropertyRule) -> str:
    value = getattr(rule, facet)
    if facet == "required":
        return "is required"
    if facet == "type":
        return f"must be {' or '.join(rule.types)}"
    if facet == "enum":
        shown = ", ".join("null" if v is None else str(v) for v in value[:_SHOWN])
        return f"must be one of: {shown}{', …' if len(value) > _SHOWN else ''}"
    said = {
        "pattern": "must match {}", "format": "must have the format {}", "minimum": "must be at least {}",
        "maximum": "must be at most {}", "min_length": "must have at least {} characters",
        "max_length": "must have at most {} characters",
    }  # fmt: skip
    return said[facet].format(value)


def unplanned(bucket: str, path: tuple[str, ...]) -> Finding:
    whole = (bucket, *path)
    what = "is not in the plan"
    return Finding(rule="plan.unplanned_property", field=spelled(whole), description=what, path=whole)


def unplanned_event(plan: str) -> Finding:
    return Finding(rule="plan.unplanned_event", field="event", description=f"the plan {plan!r} has no such event")


def parts(name: str) -> tuple[str, ...]:
    r"""The keys that a dotted name leads through; a dot that belongs to a key has a backslash before it.

    >>> parts("address.city"), parts("v1\\.0")
    (('address', 'city'), ('v1.0',))
    """
    found, text = [""], iter(name)
    for letter in text:
        if letter == "\\":
            found[-1] += next(text, "\\")
        elif letter == ".":
            found.append("")
        else:
            found[-1] += letter
    return tuple(found)


def spelled(path: tuple[str, ...]) -> str:
    """The dotted name of a path of keys: the opposite of `parts`."""
    return ".".join(key.replace("\\", "\\\\").replace(".", "\\.") for key in path)
