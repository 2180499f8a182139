"""A lake from which people were erased is the lake that never had them: now, with what comes later, and computed anew."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

import cdp_core as cdp

CONFIG = """
name: world
sources:
  crm:
    type: file
    path: crm_*.csv
    map:
      type: identify
      key: [id]
      time: at
      identifiers: {user_id: id, email: email, phone: phone}
      traits: {email: email, name: name, born: born, points: points}
  web: {type: segment, path: web_*.ndjson, plan: {name: shop, violations: block}}
identity:
  identifiers:
    user_id: {limit: 1}
    email: {limit: 2}
    phone: {}
    anonymous_id: {}
traits:
  email: {type: string}
  name: {type: string}
  born: {type: date}
  points: {type: number}
  orders: {count: Ordered}
  spent: {sum: Ordered.total}
audiences:
  buyers: {where: {trait: orders, at_least: 2}}
  young: {where: {trait: born, after: "1990-01-01"}}
  ads: {where: {trait: email, exists: true}}
"""
PLAN = "events:\n  Ordered:\n    properties:\n      total: {type: number, required: true}\n"
TABLES = (
    "events", "quarantine", "identity_links", "user_identifiers", "event_profiles", "profiles", "profile_traits",
    "audience_members", "consents", "identity_conflicts",
)  # fmt: skip
OF_RUNS = {"run_id", "received_at", "entered_at", "at", "payload", "reasons"}
START = datetime(2026, 1, 1, tzinfo=UTC)


class Person:
    """What somebody says on every way. The first and the last one are the least and greatest of every column."""

    def __init__(self, number: int, last: int, rng: random.Random) -> None:
        letter = "a" if number == 0 else "z" if number == last else rng.choice("cdefmnxy")
        self.id = f"{letter}{number:03d}-person"
        self.email = f"{letter}{number:03d}@example.org"
        self.phone = f"+1415555{2000 + number}"
        self.devices = [f"{letter}{number:03d}-device-{n}" for n in range(rng.randint(1, 3))]
        self.born = f"{1931 + number if number else 1900}-02-03" if number != last else "2019-12-31"
        self.points = -1e9 if number == 0 else 1e9 if number == last else rng.randint(0, 500)

    def row(self, at: datetime) -> str:
        return f"{self.id},{self.email},{self.phone},{at.isoformat()},Name {self.id},{self.born},{self.points}"

    def events(self, rng: random.Random, batch: int) -> list[dict[str, Any]]:
        made = []
        for n in range(rng.randint(2, 6)):
            at = START + timedelta(days=30 * batch, minutes=rng.randint(0, 40_000))
            said: dict[str, Any] = {"userId": self.id} if rng.random() < 0.6 else {}
            said["anonymousId"] = rng.choice(self.devices)
            total = rng.choice([5, 7.5, "many"])
            made.append(
                {
                    "type": "track", "event": "Ordered", "messageId": f"{self.id}-{batch}-{n}", "timestamp": at.isoformat(),
                    "properties": {"total": total}, "context": {"consent": {"categoryPreferences": {"ads": rng.random() < 0.5}}},
                } | said
            )  # fmt: skip
        return made


def write(root: Path, people: Sequence[Person], batch: int) -> None:
    """One more file of each source, the same for everybody whoever else is there."""
    lines, rows = [], []
    for each in people:
        rng = random.Random(f"{each.id} {batch}")
        lines.append(each.row(START + timedelta(days=30 * batch, minutes=rng.randint(0, 40_000))))
        rows += each.events(rng, batch)
    (root / f"crm_{batch}.csv").write_text("id,email,phone,at,name,born,points\n" + "\n".join(lines) + "\n")
    (root / f"web_{batch}.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows))


def begun(root: Path, people: Sequence[Person]) -> Path:
    (root / "expectations/tracking_plan").mkdir(parents=True)
    (root / "expectations/tracking_plan/shop.yaml").write_text(PLAN)
    (root / "cdp.yaml").write_text(CONFIG)
    write(root, people, 0)
    return root


def told(ws: cdp.Workspace) -> dict[str, pl.DataFrame]:
    """Tables without what is of a run; profiles by their first identifier."""
    known = ws.polars(ws.table("user_identifiers"))
    names = known.group_by("profile_id").agg(name=(pl.col("type") + ":" + pl.col("value")).min())
    named = dict(names.iter_rows())
    found = {}
    for name in TABLES:
        frame = ws.polars(ws.table(name))
        frame = frame.drop(OF_RUNS & set(frame.columns))
        if "profile_id" in frame.columns:
            frame = frame.with_columns(pl.col("profile_id").replace(named))
        found[name] = frame.drop("row_key", strict=False).sort(frame.drop("row_key", strict=False).columns)
    return found


def same(ws: cdp.Workspace, other: cdp.Workspace, when: str) -> None:
    mine, wanted = told(ws), told(other)
    for name in TABLES:
        assert mine[name].height, f"{name} is empty: the test would prove nothing"
        assert mine[name].equals(wanted[name]), f"{when}: {name}"


def found_by_value(ws: cdp.Workspace, people: Sequence[Person]) -> list[str]:
    """Who is not found by a filter on a column, which goes by the bounds that the lake knows."""
    table, traits = ws.table("events"), ws.table("profile_traits")
    return [
        each.id
        for each in people
        if ws.polars(table.filter(table.user_id == each.id).limit(1)).is_empty()
        or ws.polars(traits.filter(traits.value == each.email).limit(1)).is_empty()
    ]


def test_a_lake_without_some_people(tmp_path: Path) -> None:
    rng = random.Random(7)
    everybody = [Person(n, 39, rng) for n in range(40)]
    everybody[21].devices = everybody[20].devices
    gone = [everybody[0], everybody[39], everybody[11]]
    left = [each for each in everybody if each not in gone]
    with (
        cdp.open(begun(tmp_path / "with", everybody)) as ws,
        cdp.open(begun(tmp_path / "without", left)) as without,
    ):
        for each in (ws, without):
            assert each.run().status == "succeeded"
        for number, person in enumerate(gone):
            name = (f"user_id:{person.id}", f"email:{person.email}", f"anonymous_id:{person.devices[0]}")[number]
            assert ws.privacy.erase(name, reason="asked for it").status == "done"
        same(ws, without, "at once")
        # Of the others only one says more: what is known of the rest stands in rows from before the erasures.
        write(tmp_path / "with", [*gone, left[18]], 1)
        write(tmp_path / "without", left[18:19], 1)
        for each in (ws, without):
            assert each.run().status == "succeeded"
        same(ws, without, "with what came later, of them too")
        assert not found_by_value(ws, left)
        for each in (ws, without):
            assert each.run(full_refresh=True).status == "succeeded"
        same(ws, without, "loaded anew")
        assert not found_by_value(ws, left)
        assert len(found_by_value(ws, gone)) == len(gone)
