"""An independent reader of a demo world: Segment's documented policy in plain Python, event by event, and pair counts.

It shares no code with the package, so that a world which only our own identity stage can resolve would be noticed.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

PRIORITY = ["user_id", "email", "phone", "crm_contact_id", "email_sha256", "anonymous_id"]
LIMITS = {"user_id": 1, "email": 5, "phone": 5, "crm_contact_id": 20, "email_sha256": 5, "anonymous_id": 20}
BLOCKED = re.compile(r"^[0-]*$|^-1$|^null$|^anonymous$|^undefined$|^unknown$|^n/a$")

Identifier = tuple[str, str]
Event = tuple[datetime, tuple[str, str] | None, list[Identifier]]  # time, (source, record), identifiers by priority


def identifiers(**raw: str | None) -> list[Identifier]:
    found: dict[str, str] = {}
    for kind in PRIORITY:
        value = (raw.get(kind) or "").strip()
        if not value or BLOCKED.match(value.lower()):
            continue
        if kind == "email":
            value = value.lower()
            if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[a-z]+", value):
                continue
            found["email_sha256"] = hashlib.sha256(value.encode()).hexdigest()
        elif kind == "phone":
            digits = re.sub(r"\D", "", value)[-10:]
            if len(digits) < 10 or digits.startswith("0"):
                continue
            value = digits
        found[kind] = value
    return [(kind, found[kind]) for kind in PRIORITY if kind in found]


def plain_time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def read_events(data: Path) -> Iterator[Event]:
    sources = data / "sources"
    for order in pq.read_table(sources / "shop_orders.parquet", columns=["customer_id", "ordered_on"]).to_pylist():
        when = order["ordered_on"].replace(tzinfo=UTC)
        yield when, ("shop_orders", order["customer_id"]), identifiers(user_id=order["customer_id"])
    with gzip.open(sources / "crm_contacts.csv.gz", "rt", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            record = ("crm_contacts", row["contact_id"]) if row["contact_id"] else None
            yield (
                plain_time(row["updated_at"]),
                record,
                identifiers(
                    user_id=row["customer_id"], email=row["email"], phone=row["phone"], crm_contact_id=row["contact_id"]
                ),
            )
    yield from read_web_events(sources / "web_events")
    with sqlite3.connect(f"file:{sources / 'support.db'}?mode=ro", uri=True) as base:
        query = "SELECT ticket_id, opened_at, requester_email, requester_phone FROM tickets"
        for ticket, opened, email, phone in base.execute(query):
            yield plain_time(opened), ("support_tickets", ticket), identifiers(email=email, phone=phone)
    base.close()
    with (sources / "newsletter.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found = identifiers(email=row["email"], email_sha256=row["email_sha256"])
            yield plain_time(row["changed_at"]), ("newsletter", row["subscriber_id"]), found


def read_web_events(folder: Path) -> Iterator[Event]:
    seen = set()
    for path in sorted(folder.glob("*.ndjson.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for event in map(json.loads, lines):
                if event["messageId"] in seen:
                    continue
                seen.add(event["messageId"])
                received = datetime.fromisoformat(event["receivedAt"])
                original = datetime.fromisoformat(event["originalTimestamp"])
                when = (
                    received - (datetime.fromisoformat(event["sentAt"]) - original) if "sentAt" in event else original
                )
                anonymous = event.get("anonymousId")
                yield (
                    when,
                    ("web_events", anonymous) if anonymous else None,
                    identifiers(
                        user_id=event.get("userId"), anonymous_id=anonymous, email=event.get("traits", {}).get("email")
                    ),
                )


@dataclass
class Graph:
    """Segment's policy: an event that would break a limit loses its least important identifier and tries again."""

    parent: list[int] = field(default_factory=list)
    values: list[dict[str, set[str]]] = field(default_factory=list)
    holder: dict[Identifier, int] = field(default_factory=dict)
    demoted: int = 0

    def find(self, profile: int) -> int:
        while self.parent[profile] != profile:
            self.parent[profile] = self.parent[self.parent[profile]]
            profile = self.parent[profile]
        return profile

    def add(self, found: list[Identifier]) -> int | None:
        found = list(found)
        while found:
            profiles = sorted({self.find(self.holder[each]) for each in found if each in self.holder})
            union: dict[str, set[str]] = defaultdict(set)
            for profile in profiles:
                for kind, held in self.values[profile].items():
                    union[kind] |= held
            for kind, value in found:
                union[kind].add(value)
            if all(len(held) <= LIMITS[kind] for kind, held in union.items()):
                return self._keep(profiles, union, found)
            self.demoted += 1
            found.pop()
        return None

    def _keep(self, profiles: list[int], union: dict[str, set[str]], found: list[Identifier]) -> int:
        if not profiles:
            profiles = [len(self.parent)]
            self.parent.append(profiles[0])
            self.values.append({})
        kept, *others = profiles
        for other in others:
            self.parent[other] = kept
            self.values[other] = {}
        self.values[kept] = union
        self.holder.update((each, kept) for each in found)
        return kept


@dataclass(frozen=True)
class Score:
    precision: float
    recall: float
    wrong_pairs: int
    missed_pairs: int
    unseen: int


def evaluate(data: Path) -> Score:
    """Pairs of truth records in one profile against pairs of one person. A record that no event shows stands alone."""
    graph = Graph()
    shown: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
    for _, record, found in sorted(read_events(data), key=lambda event: event[0]):
        profile = graph.add(found)
        if record and profile is not None:
            shown[record][profile] += 1
    with (data / "truth.csv").open(newline="", encoding="utf-8") as file:
        truth = {(row["source"], row["record"]): row["person"] for row in csv.DictReader(file)}
    unseen = [record for record in truth if record not in shown]
    profile_of = {record: str(graph.find(shown[record].most_common(1)[0][0])) for record in truth if record in shown}
    profile_of |= {record: f"alone {i}" for i, record in enumerate(unseen)}
    same_profile = _pairs(Counter(profile_of.values()))
    same_person = _pairs(Counter(truth.values()))
    both = _pairs(Counter((profile_of[record], person) for record, person in truth.items()))
    return Score(both / same_profile, both / same_person, same_profile - both, same_person - both, len(unseen))


def _pairs(sizes: Counter[Any]) -> int:
    return sum(n * (n - 1) // 2 for n in sizes.values())
