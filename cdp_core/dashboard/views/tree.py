"""An audience's condition as a tree that can be edited: groups of lines, and back to the words of cdp.yaml."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from cdp_core.errors import CDPError

KINDS = {"trait": "Trait", "event": "Event", "audience": "Audience", "consent": "Consent"}
OPERATORS: dict[str, str] = {
    "equals": "is",
    "not_equals": "is not",
    "one_of": "is one of",
    "not_one_of": "is none of",
    "greater_than": "is more than",
    "at_least": "is at least",
    "less_than": "is less than",
    "at_most": "is at most",
    "contains": "contains",
    "not_contains": "does not contain",
    "starts_with": "starts with",
    "ends_with": "ends with",
    "before": "is before",
    "after": "is after",
    "within_last": "was in the last",
    "not_within_last": "was not in the last",
    "within_next": "is in the next",
    "exists": "has a value",
    "missing": "has no value",
}
_SAME = ("equals", "not_equals", "one_of", "not_one_of")
_ORDER = ("at_least", "greater_than", "at_most", "less_than")
_TEXT = ("contains", "not_contains", "starts_with", "ends_with")
_TIME = ("within_last", "not_within_last", "within_next", "before", "after")
_HAS = ("exists", "missing")
FITTING: dict[str, tuple[str, ...]] = {
    "string": (*_SAME, *_TEXT, *_HAS),
    "integer": (*_ORDER, *_SAME, *_HAS),
    "number": (*_ORDER, *_SAME, *_HAS),
    "boolean": ("equals", "not_equals", *_HAS),
    "date": (*_TIME, *_HAS),
    "datetime": (*_TIME, *_HAS),
    "list": ("contains", "not_contains", *_HAS),
}
COUNTS = {"at_least": "at least", "exactly": "exactly", "at_most": "at most"}
STATES = ("granted", "denied", "conflict")
_NO_VALUE = ("exists", "missing")


def _id() -> str:
    return uuid.uuid4().hex[:8]


@dataclass
class Test:
    """One operator on a property of an event."""

    name: str = ""
    op: str = "equals"
    value: Any = None
    id: str = field(default_factory=_id)


@dataclass
class Line:
    """One condition. `value` belongs to traits and consent; count, window and tests to events."""

    kind: str = "trait"
    name: str = ""
    op: str = "equals"
    value: Any = None
    negated: bool = False
    count_op: str = "at_least"
    count: int = 1
    window: str | None = None
    tests: list[Test] = field(default_factory=list)
    id: str = field(default_factory=_id)


@dataclass
class Group:
    """Lines and groups joined by and / or."""

    joiner: str = "and"
    negated: bool = False
    children: list[Line | Group] = field(default_factory=list)
    id: str = field(default_factory=_id)


class NotEditable(CDPError):
    """The condition uses something that the form cannot show; it can be edited as YAML."""


def to_condition(node: Group | Line) -> dict[str, Any] | None:
    """The condition in the words of cdp.yaml; None when nothing is complete yet.

    >>> to_condition(Group(children=[Line(name="total_spent", op="at_least", value=500)]))
    {'trait': 'total_spent', 'at_least': 500}
    """
    if isinstance(node, Line):
        return _line_condition(node)
    parts = [part for child in node.children if (part := to_condition(child)) is not None]
    if not parts:
        return None
    joined = parts[0] if len(parts) == 1 else {node.joiner: parts}
    return {"not": joined} if node.negated else joined


def _line_condition(line: Line) -> dict[str, Any] | None:
    if not line.name:
        return None
    if line.kind == "event":
        condition = _event_condition(line)
    elif line.kind == "audience":
        condition = {"audience": line.name}
    elif line.kind == "consent":
        condition = {"consent": line.name, "equals": line.value or "granted"}
    else:
        tested = _operator(line.op, line.value)
        if tested is None:
            return None
        condition = {"trait": line.name, **tested}
    return {"not": condition} if line.negated else condition


def _event_condition(line: Line) -> dict[str, Any]:
    condition: dict[str, Any] = {"event": line.name}
    if (line.count_op, line.count) != ("at_least", 1):
        condition |= {line.count_op: line.count}
    if line.window:
        condition["window"] = line.window
    where: dict[str, Any] = {}
    for test in line.tests:
        tested = _operator(test.op, test.value)
        if test.name and tested is not None:
            where[test.name] = {**where.get(test.name, {}), **tested}
    if where:
        condition["where"] = where
    return condition


def _operator(op: str, value: Any) -> dict[str, Any] | None:
    if op in _NO_VALUE:
        return {"exists": op == "exists"}
    if value is None or value == "" or value == []:
        return None
    return {op: value}


def from_condition(condition: Mapping[str, Any]) -> Group:
    """The tree of a condition. Raises NotEditable.

    >>> tree = from_condition({"not": {"event": "Order Completed", "window": "60d"}})
    >>> tree.children[0].negated, tree.children[0].window
    (True, '60d')
    """
    node = _node(condition, negated=False)
    return node if isinstance(node, Group) else Group(children=[node])


def _node(condition: Mapping[str, Any], *, negated: bool) -> Group | Line:
    if set(condition) == {"not"}:
        return _node(condition["not"], negated=not negated)
    for joiner in ("and", "or"):
        if set(condition) == {joiner}:
            return Group(joiner, negated, [_node(part, negated=False) for part in condition[joiner]])
    return _line(dict(condition), negated)


def _line(condition: dict[str, Any], negated: bool) -> Line:
    if "event" in condition:
        return _event_line(condition, negated)
    if set(condition) == {"audience"}:
        return Line("audience", condition["audience"], negated=negated)
    if set(condition) == {"consent", "equals"}:
        return Line("consent", condition["consent"], value=condition["equals"], negated=negated)
    if "trait" in condition and len(condition) == 2:
        name = condition.pop("trait")
        (op, value) = next(iter(condition.items()))
        if op == "exists":
            op, value = ("exists" if value else "missing"), None
        if op in OPERATORS:
            return Line("trait", name, op, value, negated)
    raise NotEditable("this condition can be edited as YAML only")


def _event_line(condition: dict[str, Any], negated: bool) -> Line:
    line = Line("event", condition.pop("event"), negated=negated, window=condition.pop("window", None))
    where = condition.pop("where", {})
    if not isinstance(line.window, str | None) or len(condition) > 1 or set(condition) - set(COUNTS):
        raise NotEditable("this condition can be edited as YAML only")
    for op, count in condition.items():
        line.count_op, line.count = op, count
    line.tests = list(itertools.chain.from_iterable(_tests(name, written) for name, written in where.items()))
    return line


def _tests(name: str, written: Any) -> Iterator[Test]:
    if isinstance(written, list):
        written = {"one_of": written}
    for op, value in (written if isinstance(written, Mapping) else {"equals": written}).items():
        if op == "exists":
            op, value = ("exists" if value else "missing"), None
        if op not in OPERATORS:
            raise NotEditable("this condition can be edited as YAML only")
        yield Test(name, op, value)


def remove(group: Group, id: str) -> None:
    """Take a node out of the tree, wherever it is."""
    group.children = [child for child in group.children if child.id != id]
    for child in group.children:
        if isinstance(child, Group):
            remove(child, id)
        else:
            child.tests = [test for test in child.tests if test.id != id]


def as_yaml(value: Any) -> str:
    """YAML as it stands in cdp.yaml.

    >>> print(as_yaml({"trait": "city", "one_of": ["Leeds", "York"]}))
    trait: city
    one_of: [Leeds, York]
    """
    from io import StringIO

    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedSeq

    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 100
    out = StringIO()
    yaml.dump(_flowing(value, CommentedSeq), out)
    return out.getvalue().strip()


def _flowing(value: Any, sequence: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _flowing(item, sequence) for key, item in value.items()}
    if isinstance(value, list):
        items = sequence([_flowing(item, sequence) for item in value])
        if not any(isinstance(item, Mapping | list) for item in value):
            items.fa.set_flow_style()
        return items
    return value


def from_yaml(text: str) -> Any:
    """What YAML text says. Raises ValueError with the line in one sentence."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        value = YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ValueError(f"{line}{error.problem or 'no valid YAML'}") from None
    except YAMLError:
        raise ValueError("no valid YAML") from None
    if not isinstance(value, dict):
        raise ValueError("a condition is a mapping, such as 'trait: city'")  # noqa: TRY004
    return value


def day(value: Any) -> date | None:
    """A date out of what a condition holds, for a date field."""
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        return None
