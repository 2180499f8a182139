"""A tracking plan as a form: its calls, the table of a call's properties, and what a changed table makes of them.

Plans come in the shape of their file and may be wrong; what a form cannot show stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Path = tuple[str, ...]
TYPES = ("string", "integer", "number", "boolean", "date-time", "array", "object", "null", "any")
FORMATS = ("date", "date-time", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid")
OTHER_CALLS = ("identify", "group", "page", "screen")
NUMBERS = ("minimum", "maximum", "min_length", "max_length")
TEXTS = ("format", "pattern", "description")
LISTS = ("type", "enum")


@dataclass(frozen=True)
class Call:
    """An event, another call, or a version of one: where it stands in the plan and what it is called."""

    path: Path
    label: str

    @property
    def bucket(self) -> str:
        return "traits" if self.path[0] in ("identify", "group") else "properties"


def calls(plan: Mapping[str, Any]) -> list[Call]:
    """Everything that has properties, in the order of the file; an event with versions is there once for each.

    >>> [call.label for call in calls({"events": {"Paid": {"versions": {"1": {}, "2": {}}}}, "page": {}})]
    ['Paid (version 1)', 'Paid (version 2)', 'Every page']
    """
    events = plan.get("events")
    named: list[tuple[Path, str]] = [(("events", name), name) for name in events] if isinstance(events, Mapping) else []
    named += [((name,), f"Every {name}") for name in OTHER_CALLS if name in plan]
    found: dict[str, Call] = {}
    for call in (call for path, label in named for call in _versions(plan, path, label)):
        # An event may be called like one of the others is here.
        label = call.label if call.label not in found else f"{call.label} ({call.path[0]})"
        found[label] = Call(call.path, label)
    return list(found.values())


def _versions(plan: Mapping[str, Any], path: Path, label: str) -> Iterator[Call]:
    found = at(plan, path)
    versions = found.get("versions") if isinstance(found, Mapping) else None
    if not isinstance(versions, Mapping) or not versions:
        yield Call(path, label)
        return
    for number in versions:
        yield Call((*path, "versions", str(number)), f"{label} (version {number})")


def at(plan: Any, path: Path) -> Any:
    """What stands at a path, None where nothing does."""
    for part in path:
        if not isinstance(plan, Mapping):
            return None
        plan = plan.get(part)
    return plan


def with_value(plan: Mapping[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """The plan with a value at a path; None takes it out.

    >>> with_value({"events": {"Paid": None}}, ("events", "Paid", "description"), "Money")
    {'events': {'Paid': {'description': 'Money'}}}
    """
    made = dict(plan)
    if len(path) > 1:
        inner = made.get(path[0])
        made[path[0]] = with_value(inner if isinstance(inner, Mapping) else {}, path[1:], value)
    elif value is None:
        made.pop(path[0], None)
    else:
        made[path[0]] = value
    return made


def renamed_key(plan: Mapping[str, Any], path: Path, name: str) -> dict[str, Any]:
    """The plan with the key at a path called `name`, in its place."""
    holder = at(plan, path[:-1])
    made = {name if key == path[-1] else key: value for key, value in holder.items()}
    return with_value(plan, path[:-1], made) if path[:-1] else made


def objects(plan: Mapping[str, Any], call: Call) -> list[tuple[Path, str]]:
    """Where properties of this call stand: its own, and those of the objects in it, with what to call each."""
    found: list[tuple[Path, str]] = [((*call.path, call.bucket), "the event itself")]
    _inner(at(plan, found[0][0]), found[0][0], "", found)
    return found


def _inner(rules: Any, path: Path, before: str, found: list[tuple[Path, str]]) -> None:
    for name, rule in rules.items() if isinstance(rules, Mapping) else ():
        types = _types(rule)
        if isinstance(rule, Mapping) and (rule.get("properties") or "object" in types):
            label = f"{before}{name}"
            found.append(((*path, name, "properties"), label))
            _inner(rule.get("properties"), found[-1][0], f"{label} › ", found)


def _types(rule: Any) -> list[str]:
    kind = rule.get("type") if isinstance(rule, Mapping) else rule
    return [kind] if isinstance(kind, str) else [str(each) for each in kind] if isinstance(kind, list) else []


def table(rules: Any) -> list[dict[str, Any]]:
    """One row per property, with the columns name, required, TEXTS, NUMBERS and LISTS."""
    return [_row(name, rule) for name, rule in rules.items()] if isinstance(rules, Mapping) else []


def _row(name: str, rule: Any) -> dict[str, Any]:
    rule = _as_rule(rule)
    enum = rule.get("enum")
    row: dict[str, Any] = {"name": name, "type": _types(rule), "required": rule.get("required") is True}
    row["enum"] = [shown(value) for value in enum] if isinstance(enum, list) else []
    row |= {key: float(rule[key]) if _is_number(rule.get(key)) else None for key in NUMBERS}
    return row | {key: str(rule[key]) if rule.get(key) is not None else None for key in TEXTS}


def _as_rule(rule: Any) -> dict[str, Any]:
    """`total: number` is short for a rule."""
    if isinstance(rule, Mapping):
        return dict(rule)
    return {} if rule is None else {"type": rule}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def shown(value: Any) -> str:
    """A choice as text.

    >>> shown("rock"), shown(5), shown(None), shown(True)
    ('rock', '5', 'null', 'true')
    """
    return (
        {None: "null", True: "true", False: "false"}[value]
        if value is None or value is True or value is False
        else str(value)
    )


@dataclass(frozen=True)
class Applied:
    """The rules of a table that was changed; `names` of the rows it had before (None: gone); what cannot be taken."""

    rules: dict[str, Any]
    names: list[str | None]
    problems: list[str] = field(default_factory=list)


def applied(base: Any, edits: Mapping[str, Any]) -> Applied:
    """Rules after the edits of a table of `base`: edited_rows, added_rows and deleted_rows, as the table tells them.

    >>> applied({"total": "number"}, {"edited_rows": {0: {"minimum": 5.0}}}).rules
    {'total': {'type': 'number', 'minimum': 5}}
    """
    items = list(base.items()) if isinstance(base, Mapping) else []
    gone = set(edits.get("deleted_rows", ()))
    changes = {int(row): cells for row, cells in edits.get("edited_rows", {}).items()}
    wanted = [
        _name(changes[row]["name"]) if "name" in changes.get(row, {}) else name for row, (name, _) in enumerate(items)
    ]
    kept = [row for row in range(len(items)) if row not in gone]
    problems: list[str] = []
    names: list[str | None] = [None] * len(items)
    for row in kept:
        others = {wanted[other] for other in kept if other != row}
        names[row] = items[row][0] if not wanted[row] or wanted[row] in others else wanted[row]
        if names[row] != wanted[row]:
            problems.append(_refused(wanted[row], items[row][0]))
    rules = {str(names[row]): changed(items[row][1], changes.get(row, {})) for row in kept}
    for cells in edits.get("added_rows", ()):
        _add(rules, cells, problems)
    return Applied(rules, names, problems)


def _name(value: Any) -> str:
    return str(value or "").strip()


def _refused(name: str, before: str) -> str:
    return f"There are two properties {name!r}; one is still {before!r}." if name else f"{before!r} needs a name."


def _add(rules: dict[str, Any], cells: Mapping[str, Any], problems: list[str]) -> None:
    name = _name(cells.get("name"))
    if not name:
        if any(value not in (None, "", [], False) for value in cells.values()):
            problems.append("A new property needs a name.")
        return
    if name in rules:
        problems.append(f"There is a property {name!r} already; give the new one another name.")
        return
    rules[name] = changed({}, {key: value for key, value in cells.items() if key != "name"})


def changed(rule: Any, cells: Mapping[str, Any]) -> Any:
    """A rule with what was typed in its row; the rest of it as it was, short forms included."""
    cells = {key: value for key, value in cells.items() if key in (*LISTS, *NUMBERS, *TEXTS, "required")}
    if not cells:
        return rule
    made = _as_rule(rule)
    for key, value in cells.items():
        found = _typed(key, value, made, cells)
        if found is None:
            made.pop(key, None)
        else:
            made[key] = found
    return made["type"] if not isinstance(rule, Mapping) and set(made) == {"type"} and rule is not None else made


def _typed(key: str, value: Any, rule: Mapping[str, Any], cells: Mapping[str, Any]) -> Any:
    if key == "required":
        return True if value else None
    if value is None or value in ("", []):
        return None
    if key == "type":
        return value[0] if len(value) == 1 else list(value)
    if key == "enum":
        types = _types({"type": cells["type"]}) if cells.get("type") else _types(rule)
        return choices(value, rule.get("enum"), types)
    if key in NUMBERS:
        return int(value) if float(value).is_integer() else float(value)
    return str(value)


def choices(typed: Sequence[str], before: Any, types: Sequence[str]) -> list[Any]:
    """Choices as values: those that were there stay what they were, new ones become what the types ask for.

    >>> choices(["1", "x", "2", "null"], ["1"], ["integer", "null"]), choices(["1"], None, ["string"])
    (['1', 'x', 2, None], ['1'])
    """
    known = {shown(value): value for value in before} if isinstance(before, list) else {}
    return [known[text] if text in known else _choice(text, types) for text in typed]


def _choice(text: str, types: Sequence[str]) -> Any:
    if text == "null" and "null" in types:
        return None
    if "boolean" in types and text in ("true", "false"):
        return text == "true"
    if "string" not in types and {"integer", "number"} & set(types):
        try:
            number = float(text)
        except ValueError:
            return text
        if number.is_integer():
            return int(number)
        return number if number == number and abs(number) != float("inf") else text
    return text


_KINDS: dict[str, tuple[type, ...]] = {"string": (str,), "date-time": (str,), "integer": (int,), "boolean": (bool,),
          "number": (int, float), "null": (type(None),), "array": (), "object": ()}  # fmt: skip


def never_right(rules: Any) -> list[str]:
    """Choices that the types of their property rule out; the plan is valid all the same.

    >>> never_right({"kind": {"type": "integer", "enum": [1, "two"]}})
    ["kind: the choice 'two' is no integer, so it can never be right"]
    """
    found = []
    for name, rule in rules.items() if isinstance(rules, Mapping) else ():
        types = [each for each in _types(rule) if each in _KINDS]
        if (
            not types
            or "any" in _types(rule)
            or not isinstance(rule, Mapping)
            or not isinstance(rule.get("enum"), list)
        ):
            continue
        wrong = [shown(value) for value in rule["enum"] if not any(_is(value, each) for each in types)]
        words = " or ".join(types)
        found += [f"{name}: the choice {text!r} is no {words}, so it can never be right" for text in wrong]
    return found


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, _KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))


def labels_text(labels: Any) -> str | None:
    """Labels on one line, or None when one of them needs more than that.

    >>> labels_text({"owner": "web team", "area": "basket"})
    'owner: web team, area: basket'
    """
    if labels is None:
        return ""
    if not isinstance(labels, Mapping) or any(
        "," in f"{k}{v}" or ":" in str(k) or not isinstance(v, str) for k, v in labels.items()
    ):
        return None
    return ", ".join(f"{key}: {value}" for key, value in labels.items())


def labels_of(text: str) -> dict[str, str] | None:
    """The labels of a line; None for no labels. Raises ValueError for a part that is no `name: value`.

    >>> labels_of("owner: web team"), labels_of(" ")
    ({'owner': 'web team'}, None)
    """
    pairs = [part.partition(":") for part in text.split(",") if part.strip()]
    wrong = [name for name, colon, value in pairs if not colon or not name.strip() or not value.strip()]
    if wrong:
        raise ValueError(f"{wrong[0].strip()!r} is no label; write name: value, name: value")
    return {name.strip(): value.strip() for name, _, value in pairs} or None
