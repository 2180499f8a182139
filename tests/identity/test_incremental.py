"""Looking only at what new events touch gives what looking at everything gives: table by table, row by row."""

from __future__ import annotations

import json
import os
import random
import zlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import ibis
import polars as pl
import pytest
from identity_worlds import NOW, START, event, frame, random_decisions, random_world
from test_policy import MINUTES, SPECS

from cdp_core.engine import PLACE, Engine
from cdp_core.identity.batch import PLACED, Published
from cdp_core.identity.incremental import Update, update
from cdp_core.identity.overrides import Override
from cdp_core.identity.resolve import resolve
from cdp_core.identity.spec import IdentitySpec

WORLDS = int(os.environ.get("CDP_WORLDS", "120"))
DELIVERIES, GROUP = 3, 30
TABLES = ("identity_links", "user_identifiers", "event_profiles", "profile_merges", "identity_conflicts")
DERIVED = IdentitySpec.model_validate(
    {
        "identifiers": {
            "user_id": {"limit": 1},
            "email": {"limit": 2},
            "email_sha256": {"limit": 2, "derive": {"from": "email"}},
            "anonymous_id": {"limit": 2},
        },
        "shared": 2,
    }
)
KINDS: dict[str, IdentitySpec] = {**SPECS, "derived": DERIVED}

LEARNS = ("shared", "windows and holds", "derived")
"""Where identifiers are set aside, a corrected row that bears one has all events looked at: in small groups it spoils
few deliveries.
"""


def deliveries(
    spec: IdentitySpec, name: str, seeds: range, *, aliases: bool = False
) -> tuple[list[list[dict[str, Any]]], list[Override]]:
    """Events of many small worlds in the order in which they arrive, whenever they happened: rows that are corrected,
    values that identify nobody and events without a time among them.
    """
    rng = random.Random(f"{name} {seeds}")
    minutes = MINUTES["every few days" if "windows" in name else "every few minutes"]
    parts: list[list[dict[str, Any]]] = [[] for _ in range(DELIVERIES)]
    decisions: list[Override] = []
    for seed in seeds:
        told = random_world(seed, spec, minutes=minutes)
        decisions += random_decisions(seed, told) if seed % 3 == 0 else []
        for made in (t.as_event() for t in told):
            late = min(int(rng.expovariate(0.9)), DELIVERIES - 1)
            parts[late].append(_varied(rng, seed, late, _with_email(made), aliases))
    for part in parts:
        rng.shuffle(part)
    return parts, decisions


def _with_email(told: dict[str, Any]) -> dict[str, Any]:
    """Made-up values become addresses where addresses are asked for, and their digests hexadecimal."""
    external = json.loads(told["context"] or "{}").get("externalIds", [])
    for item in external:
        if item["type"] == "email":
            item["id"] += "@example.com"
        if item["type"] == "email_sha256":
            item["id"] = f"{zlib.crc32(item['id'].encode()):064x}"
    return {**told, "context": json.dumps({"externalIds": external}) if external else None}


def _varied(rng: random.Random, seed: int, late: int, told: dict[str, Any], aliases: bool) -> dict[str, Any]:
    told["received_at"] = START + timedelta(days=900 + late)
    draw = rng.random()
    if draw < 0.15:
        return {**told, "type": "track", "event": "Paid", "row_key": f"w{seed}-{rng.randrange(4)}"}
    if draw < 0.6 and aliases and told.get("user_id"):
        before = [f"a{rng.randrange(9)}w{seed}", f"u{rng.randrange(9)}w{seed}"]
        return {**told, "type": "alias", "previous_id": rng.choice(before)}
    if draw < 0.18:
        return {**told, "anonymous_id": "null"}
    return {**told, "timestamp": None} if draw < 0.2 else told


def rows(engine: Engine, table: Any) -> list[dict[str, Any]]:
    found = engine.polars(table)
    return found.select(sorted(found.columns)).sort(pl.all(), nulls_last=True).to_dicts()


def published(engine: Engine, tables: dict[str, Any]) -> Published:
    kept = {name: tables[name] for name in TABLES}
    kept |= {name: tables[name].mutate(**{PLACE: ibis.row_number()}) for name in PLACED}
    return Published(**{name: engine.keep(rows) for name, rows in kept.items()})


def applied(found: Update, before: Published) -> dict[str, Any]:
    changed = {name: change.applied(getattr(before, name)) for name, change in found.changes.items()}
    return {**changed, "profile_merges": found.profile_merges, "identity_conflicts": found.identity_conflicts}


def whole(engine: Engine, events: pl.DataFrame, spec: IdentitySpec, before: Any, told: Sequence[Override]) -> Any:
    previous, merges = (before.user_identifiers, before.profile_merges) if before else (None, None)
    rows = engine.frame(events)
    return resolve(engine, rows, spec, previous=previous, merges=merges, now=NOW, overrides=told)


def told_as_well(engine: Engine, spec: IdentitySpec, parts: list[list[dict[str, Any]]], told: list[Override]) -> int:
    """How many deliveries were told from what they touch; all these gave the same tables."""
    events = frame(parts[0])
    before = published(engine, vars(whole(engine, events, spec, None, told)))
    count = 0
    for part in parts[1:]:
        events = pl.concat([events, frame(part)])
        expected = whole(engine, events, spec, before, told)
        table = engine.frame(events)
        fresh = table.filter(table.message_id.isin([e["message_id"] for e in part]))
        found = update(engine, table, fresh, spec, before, now=NOW, overrides=told)
        if found is not None:
            count += 1
            got = applied(found, before)
            for each in TABLES:
                assert rows(engine, got[each]) == rows(engine, getattr(expected, each)), each
            assert found.profiles < engine.polars(before.user_identifiers)["profile_id"].n_unique()
        before = published(engine, vars(expected))
    return count


@pytest.mark.parametrize("name", [name for name in KINDS if name not in LEARNS])
def test_equals_looking_at_everything(lake: Engine, name: str) -> None:
    parts, decisions = deliveries(KINDS[name], name, range(WORLDS))
    assert told_as_well(lake, KINDS[name], parts, decisions) == DELIVERIES - 1


@pytest.mark.parametrize("name", LEARNS)
def test_equals_looking_at_everything_where_identifiers_are_set_aside(lake: Engine, name: str) -> None:
    count = 0
    for start in range(0, WORLDS, GROUP):
        parts, decisions = deliveries(KINDS[name], name, range(start, start + GROUP))
        count += told_as_well(lake, KINDS[name], parts, decisions)
    assert count > WORLDS / GROUP, "of two deliveries each"


def test_an_early_event_that_comes_late_parts_a_profile_at_the_limit_of_merges(lake: Engine) -> None:
    """Two identifiers that an event joins are one profile, unless both turn out to have been one before."""
    first, second = ("card", "a"), ("card", "b")
    parts = [
        [event(2, [first]), event(5, [first, second]), event(6, [("card", "z")])],
        [event(1, [second])],
        [event(7, [second])],
    ]
    assert told_as_well(lake, KINDS["no merges"], parts, []) == DELIVERIES - 1


def test_aliases(lake: Engine) -> None:
    """An alias may have meant what appears later; such a delivery is looked at as a whole."""
    spec, count = KINDS["tight"], 0
    for start in range(0, 30, 10):
        parts, decisions = deliveries(spec, "aliases", range(start, start + 10), aliases=True)
        count += told_as_well(lake, spec, parts, decisions)
    assert count > 0
