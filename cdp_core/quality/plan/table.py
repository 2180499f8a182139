"""A tracking plan as CSV, one row per property, with the columns of Segment's plan editor."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cdp_core.errors import UsageError
from cdp_core.quality.plan.segment import CALLS, Taken
from cdp_core.quality.plan.spec import TYPES, CallPlan, Plan, PropertyRule, bucket_of

COLUMNS = (
    "Type", "Event Name", "Event Version", "Event Description", "Event Labels", "Property Name",
    "Property Description", "Property Status", "Property Data Type", "Property Permitted Values",
)  # fmt: skip
_ALIASES = {
    "name": "Event Name", "event": "Event Name", "version": "Event Version", "description": "Event Description",
    "labels": "Event Labels", "property": "Property Name", "status": "Property Status",
    "data type": "Property Data Type", "property type": "Property Data Type",
    "permitted values": "Property Permitted Values",
}  # fmt: skip
_CHOICE = re.compile(r"\^\(([\w .-]+(?:\|[\w .-]+)*)\)\$")
_TIMES = {"date time": "date-time", "datetime": "date-time", "date-time": "date-time", "date": "date-time"}


def from_table(text: str) -> Taken:
    """Raises UsageError when columns are missing or a type is unknown, with its line."""
    reader = csv.reader(io.StringIO(text.replace("\0", "")))
    names = [_column(cell) for cell in next(reader, [])]
    missing = {"Event Name", "Property Name"} - set(names)
    if missing:
        raise UsageError(f"columns are missing: {', '.join(sorted(missing))}", choices=COLUMNS)
    taken = Taken()
    rules: dict[tuple[str, str, int], dict[str, Any]] = {}
    for cells in reader:
        row = {name: cell.strip() for name, cell in zip(names, cells, strict=False)}
        if any(row.values()):
            _row(row, rules, reader.line_num)
    for (kind, name, version), call in rules.items():
        taken.call(kind, name, version, {key: value for key, value in call.items() if value})
    return taken


def _column(cell: str) -> str:
    text = cell.strip().lstrip("\ufeff")
    known = {name.lower(): name for name in COLUMNS}
    return known.get(text.lower(), _ALIASES.get(text.lower(), text))


def _row(row: Mapping[str, str], rules: dict[tuple[str, str, int], dict[str, Any]], line: int) -> None:
    kind = (row.get("Type") or "track").lower()
    if kind != "track" and kind not in CALLS:
        raise UsageError(f"unknown type {kind!r}", where=f"line {line}", choices=("track", *CALLS))
    version = row.get("Event Version") or "1"
    if not version.isdigit() or version == "0":
        raise UsageError("a version is a whole number from 1", where=f"line {line}")
    key = (kind, row.get("Event Name", "") if kind == "track" else "", int(version))
    call = rules.setdefault(key, {"description": "", "labels": {}, bucket_of(kind): {}})
    call["description"] = call["description"] or row.get("Event Description", "")
    call["labels"] |= dict(_labels(row.get("Event Labels", "")))
    if row.get("Property Name"):
        call[bucket_of(kind)][row["Property Name"]] = _rule(row, line)


def _labels(text: str) -> Iterator[tuple[str, str]]:
    for pair in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = pair.partition(":")
        yield name.strip(), value.strip()


def _rule(row: Mapping[str, str], line: int) -> dict[str, Any]:
    rule: dict[str, Any] = {}
    types = [t.strip().lower() for t in row.get("Property Data Type", "").split(",") if t.strip()]
    types = [_TIMES.get(t, t) for t in types]
    for kind in types:
        if kind not in TYPES:
            raise UsageError.unknown("data type", kind, TYPES, where=f"line {line}")
    if types and types != ["any"]:
        rule["type"] = types[0] if len(types) == 1 else types
    if row.get("Property Status", "").lower() in ("required", "true", "yes"):
        rule["required"] = True
    if row.get("Property Description"):
        rule["description"] = row["Property Description"]
    permitted = row.get("Property Permitted Values", "")
    if choice := _CHOICE.fullmatch(permitted):
        rule["enum"] = choice[1].split("|")
    elif permitted:
        rule["pattern"] = permitted
    return rule


def to_table(plan: Plan) -> tuple[str, list[str]]:
    """The CSV, and what it cannot say."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    left_out: list[str] = []
    calls = [("track", name, call) for name, call in plan.events.items()]
    calls += [(kind, "", call) for kind, call in plan.calls().items()]
    for kind, name, call in calls:
        for version, rules in call.by_version().items():
            _write(writer, (kind, name, version), call, rules, left_out)
    left_out += ["description of the plan"] if plan.description else []
    left_out += ["labels of the plan"] if plan.labels else []
    left_out += ["the common schema"] if plan.common is not None else []
    return out.getvalue(), left_out


def _write(writer: Any, key: tuple[str, str, int], call: CallPlan, rules: CallPlan, left_out: list[str]) -> None:
    kind, name, version = key
    labels = ", ".join(f"{k}:{v}" for k, v in (call.labels or rules.labels).items())
    about = (kind, name, version, call.description or rules.description or "", labels)
    properties: list[tuple[str, PropertyRule | None]] = list(_flat(rules.properties or rules.traits))
    left_out += [f"{name or kind}: a property without a name" for path, _ in properties if not path]
    properties = [(path, rule) for path, rule in properties if path]
    for number, (path, rule) in enumerate(properties or [("", None)]):
        first = about if number == 0 else (kind, name, version, "", "")
        writer.writerow((*first, path, *_cells(rule)) if rule is not None else (*first, "", "", "", "", ""))
        left_out += [f"{name or kind}: {what} of {path}" for what in _unsaid(rule)] if rule is not None else []
    if rules.beneath is not None:
        left_out.append(f"{name or kind}: the schema beneath")


def _flat(rules: Mapping[str, PropertyRule], prefix: str = "") -> Iterator[tuple[str, PropertyRule]]:
    for name, rule in rules.items():
        yield prefix + name, rule
        yield from _flat(rule.properties, f"{prefix}{name}.")


def _cells(rule: PropertyRule) -> tuple[str, str, str, str]:
    types = ", ".join(rule.types) or "any"
    status = "required" if rule.required else "optional"
    return rule.description or "", status, types, rule.pattern or _choice(rule) or ""


def _choice(rule: PropertyRule) -> str | None:
    values = [v for v in rule.enum or () if isinstance(v, str)]
    text = f"^({'|'.join(values)})$"
    return text if values and len(values) == len(rule.enum or ()) and _CHOICE.fullmatch(text) else None


def _unsaid(rule: PropertyRule) -> Iterator[str]:
    if rule.enum is not None and (rule.pattern is not None or _choice(rule) is None):
        yield "the choices"
    for name in ("minimum", "maximum", "min_length", "max_length", "format"):
        if getattr(rule, name) is not None:
            yield f"the {name.replace('_', ' ')}"
