"""Traits, consent and audiences worked out by hand in plain Python, over lists of dicts.

Shares no code with the package: definitions are the plain dicts of cdp.yaml, events are dicts whose properties,
traits and context are Python objects. Slow and obvious on purpose.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

HOURS = {"h": 1, "d": 24, "w": 168}
COMPUTED = [
    "count",
    "sum",
    "average",
    "min",
    "max",
    "first",
    "last",
    "most_frequent",
    "unique_list",
    "unique_count",
    "days_since",
]


def span(text: str) -> timedelta:
    return timedelta(hours=int(text[:-1]) * HOURS[text[-1]])


def text_of(value: Any) -> str | None:
    """A JSON value as an engine hands it out: texts as they are, the rest as JSON."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


def stripped(value: Any) -> str | None:
    text = text_of(value)
    return (text.strip(" \t\r\n") or None) if text is not None else None


def read(text: str | None, kind: str) -> Any:
    """Text as a value of a kind, or None."""
    if text is None or kind == "string":
        return text
    bare = text.strip(" ")
    if kind == "boolean":
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(bare.lower())
    if kind == "integer":
        found = re.fullmatch(r"([+-]?\d{1,18})(\.0*)?", bare, re.ASCII)
        return int(found[1]) if found else None
    if kind == "number":
        return float(bare) if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", bare, re.ASCII | re.I) else None
    try:
        if kind == "date":
            return date.fromisoformat(bare[:10]) if bare[10:11] in ("", "T", " ") else None
        if not re.match(r"\d{4}-\d\d-\d\d($|[ T]\d\d:\d\d)", bare):
            return None
        found_at = datetime.fromisoformat(bare)
    except ValueError:
        return None
    return naive(found_at)


def naive(at: datetime) -> datetime:
    offset = at.utcoffset() or timedelta()
    return at.replace(tzinfo=None) - offset


def moment(value: Any) -> datetime:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)


def show(value: Any) -> str:
    """A golden value as profile_traits writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        shown = format(Decimal(repr(value)), "f")
        return shown.rstrip("0").rstrip(".") if "." in shown else shown
    if isinstance(value, datetime):
        shown = value.isoformat(sep=" ")
        return shown.rstrip("0") if "." in shown else shown
    if isinstance(value, list):
        return "[" + ", ".join(json.dumps(v, ensure_ascii=False) for v in value) + "]"
    return str(value)


def at_of(event: dict) -> datetime | None:
    return event["timestamp"] or event["received_at"]


class World:
    """Events with their profiles. `order` is the order of the sources in cdp.yaml."""

    def __init__(self, events: list[dict], owners: dict[tuple[str, str], str], now: datetime, order: list[str]) -> None:
        self.now = now
        self.order = order
        self.events = events
        self.by_profile: dict[str, list[dict]] = {}
        for event in sorted(events, key=self.age):
            owner = owners.get((event["source"], event["message_id"]))
            if owner:
                self.by_profile.setdefault(owner, []).append(event)

    def age(self, event: dict) -> tuple:
        oldest = datetime(1, 1, 1)
        at = at_of(event) or oldest
        return (at, event["received_at"] or oldest, self.rank(event["source"]), event["source"], event["message_id"])

    def rank(self, source: str, order: list[str] | None = None) -> int:
        order = order or self.order
        return len(order) - order.index(source) if source in order else 0

    # Traits

    def profile(self, name: str, traits: dict[str, dict]) -> dict[str, Any]:
        mine = self.by_profile[name]
        times = [at for e in mine if (at := at_of(e))]
        row = {"profile_id": name, "first_seen": min(times, default=None), "last_seen": max(times, default=None)}
        row["events"] = len(mine)
        for trait, spec in traits.items():
            row[trait] = self.trait(mine, trait, spec)[0]
        return row

    def origin(self, name: str, trait: str, spec: dict) -> tuple | None:
        """(value as text, source, message_id, time, other values) or None."""
        value, event, others = self.trait(self.by_profile[name], trait, spec)
        if value is None:
            return None
        if event is None:
            return show(value), None, None, None, others
        return show(value), event["source"], event["message_id"], at_of(event), others

    def trait(self, mine: list[dict], name: str, spec: dict) -> tuple[Any, dict | None, int]:
        how = next((k for k in COMPUTED if k in spec), None)
        return self.computed(mine, how, spec) if how else self.picked(mine, name, spec)

    def picked(self, mine: list[dict], name: str, spec: dict) -> tuple[Any, dict | None, int]:
        said = []
        for position, event in enumerate(mine):
            if event["type"] != "identify" or event["source"] not in spec.get("sources", [event["source"]]):
                continue
            value = read(stripped((event["traits"] or {}).get(spec.get("from", name))), spec.get("type", "string"))
            if value is not None:
                said.append((position, value, event))
        if not said:
            return None, None, 0
        pick = spec.get("pick", "latest")
        counts = Counter(value for _, value, _ in said)

        def score(item: tuple[int, Any, dict]) -> tuple:
            position, value, event = item
            first = {
                "latest": 0,
                "source_order": self.rank(event["source"], spec.get("sources")),
                "most_frequent": counts[value],
                "longest": len(show(value)),
            }[pick]
            return first, position

        _, value, event = max(said, key=score)
        return value, event, len(counts) - 1

    def computed(self, mine: list[dict], how: str, spec: dict) -> tuple[Any, dict | None, int]:
        reads = spec[how]
        name, prop = (reads, None) if how in ("count", "days_since") else reads.rsplit(".", 1)
        found = []
        for event in mine:
            if not self.happened(event, name, spec.get("where", {}), spec.get("window")):
                continue
            value = at_of(event) if prop in (None, "timestamp") else self.property_value(event, prop, how, spec)
            if value is not None or prop is None:
                found.append((value, event))
        last = found[-1][1] if found else None
        values = [v for v, _ in found]
        if how == "count":
            return len(found), last, 0
        if how == "unique_count":
            return len(set(values)), last, 0
        if not values:
            return None, None, 0
        if how == "sum":
            return float(sum(values)), last, 0
        if how == "average":
            return float(sum(values)) / len(values), last, 0
        if how == "unique_list":
            return sorted({show(v) for v in values}), last, 0
        if how == "days_since":
            latest = max(v for v in values if v).replace(microsecond=0)
            return max(0, (self.now.replace(microsecond=0) - latest) // timedelta(days=1)), last, 0
        if how == "most_frequent":
            return self.mode(found, spec.get("at_least", 1))
        value = {"min": min, "max": max, "first": lambda v: v[0], "last": lambda v: v[-1]}[how](values)
        return value, found[0][1] if how == "first" else last, len(set(values)) - 1

    @staticmethod
    def mode(found: list[tuple[Any, dict]], at_least: int) -> tuple[Any, dict | None, int]:
        counts = Counter(show(v) for v, _ in found)
        best = min(counts, key=lambda v: (-counts[v], v))
        if counts[best] < at_least:
            return None, None, 0
        value, event = [(v, e) for v, e in found if show(v) == best][-1]
        return value, event, len(counts) - 1

    @staticmethod
    def property_value(event: dict, prop: str, how: str, spec: dict) -> Any:
        text = stripped((event["properties"] or {}).get(prop))
        if how in ("sum", "average"):
            return None if read(text, "number") is None else Decimal(text.strip(" "))
        return read(text, spec.get("type", "number" if how in ("min", "max") else "string"))

    def happened(self, event: dict, name: str, where: dict, window: Any) -> bool:
        if event["event"] != name:
            return False
        at = at_of(event)
        if window is not None:
            spans = window["between"] if isinstance(window, dict) else [window, None]
            start, end = self.now - span(spans[0]), self.now - (span(spans[1]) if spans[1] else timedelta())
            if at is None or not start < at <= end:
                return False
        for prop, written in where.items():
            value = at if prop == "timestamp" else text_of((event["properties"] or {}).get(prop))
            if not self.all_hold(value, operators(written), prop != "timestamp"):
                return False
        return True

    # Operators

    def all_hold(self, value: Any, ops: dict[str, Any], loose: bool) -> bool:
        return all(self.one_holds(value, op, operand, loose) for op, operand in ops.items())

    def one_holds(self, value: Any, op: str, operand: Any, loose: bool) -> bool:
        if op == "exists":
            return (value is not None) == operand
        if op.startswith("not_"):
            return not self.one_holds(value, op[4:], operand, loose)
        if value is None:
            return False
        if op == "one_of":
            return any(self.one_holds(value, "equals", o, loose) for o in operand)
        if op in ("contains", "starts_with", "ends_with"):
            return {"contains": lambda: operand in value, "starts_with": lambda: value.startswith(operand)}.get(
                op, lambda: value.endswith(operand)
            )()
        if op in ("within_last", "within_next", "before", "after"):
            at = read(value, "datetime") if loose else moment(value)
            if at is None:
                return False
            return {
                "within_last": lambda: self.now - span(operand) < at <= self.now,
                "within_next": lambda: self.now < at <= self.now + span(operand),
                "before": lambda: at < moment(operand),
                "after": lambda: at > moment(operand),
            }[op]()
        if loose:
            kind = "boolean" if isinstance(operand, bool) else "number" if isinstance(operand, int | float) else None
            kind = kind or ("datetime" if isinstance(operand, date) else "string")
            value = read(value, kind)
            if value is None:
                return False
        if isinstance(value, date):
            value, operand = moment(value), moment(operand)
        return {
            "equals": lambda: value == operand,
            "greater_than": lambda: value > operand,
            "at_least": lambda: value >= operand,
            "less_than": lambda: value < operand,
            "at_most": lambda: value <= operand,
        }[op]()

    # Audiences

    def member(self, profile: dict, condition: dict, audiences: dict[str, dict], consents: dict) -> bool:
        def inside(c: dict) -> bool:
            return self.member(profile, c, audiences, consents)

        if "and" in condition:
            return all(inside(c) for c in condition["and"])
        if "or" in condition:
            return any(inside(c) for c in condition["or"])
        if "not" in condition:
            return not inside(condition["not"])
        if "audience" in condition:
            return inside(audiences[condition["audience"]])
        if "consent" in condition:
            state = consents.get((profile["profile_id"], condition["consent"]))
            return state == condition.get("equals", "granted")
        if "trait" in condition:
            ops = {k: v for k, v in condition.items() if k != "trait"}
            return self.all_hold(profile[condition["trait"]], ops, loose=False)
        mine = self.by_profile[profile["profile_id"]]
        window, where = condition.get("window"), condition.get("where", {})
        count = sum(self.happened(e, condition["event"], where, window) for e in mine)
        if "exactly" in condition:
            return count == condition["exactly"]
        if "at_most" in condition:
            return condition.get("at_least", 0) <= count <= condition["at_most"]
        return count >= condition.get("at_least", 1)

    # Consent

    def consents(self) -> dict[tuple[str, str], tuple[str, str, datetime]]:
        """(profile, category) → (state, source, time of the newest statement that counts)."""
        found = {}
        for profile, mine in self.by_profile.items():
            categories = {c for e in mine for c in preferences(e)}
            for category in sorted(categories):
                state = self.consent(mine, category)
                if state:
                    found[profile, category] = state
        return found

    @staticmethod
    def consent(mine: list[dict], category: str) -> tuple[str, str, datetime] | None:
        latest: dict[tuple, tuple[int, bool, dict]] = {}
        for position, event in enumerate(mine):
            granted = read(text_of(preferences(event).get(category)), "boolean")
            if granted is not None and at_of(event):
                latest[speaker(event)] = (position, granted, event)
        if not latest:
            return None
        records = [position for (kind, *_), (position, *_) in latest.items() if kind == "record"]
        since = max(records, default=-1)
        left = [said for who, said in latest.items() if who[0] == "record" or said[0] > since]
        states = {granted for _, granted, _ in left}
        event = max(left, key=lambda said: said[0])[2]
        state = "conflict" if len(states) == 2 else "granted" if states == {True} else "denied"
        return state, event["source"], at_of(event)


def operators(written: Any) -> dict[str, Any]:
    if isinstance(written, dict):
        return written
    return {"one_of": written} if isinstance(written, list) else {"equals": written}


def preferences(event: dict) -> dict[str, Any]:
    found = ((event["context"] or {}).get("consent") or {}).get("categoryPreferences")
    return found if isinstance(found, dict) else {}


def speaker(event: dict) -> tuple:
    if event["anonymous_id"]:
        return "device", event["anonymous_id"]
    if event["record_id"]:
        return "record", event["source"], event["record_id"]
    return ("user", event["user_id"]) if event["user_id"] else ("source", event["source"])
