"""The vectorised way and the exact policy against the plainest sequential reading, on worlds that break every limit."""

from __future__ import annotations

import os
import random
from typing import Any

import polars as pl
import pytest
from identity_worlds import NOW, Outcome, Resolve, frame, one_by_one, outcome, random_decisions, random_world

from cdp_core.engine import Engine
from cdp_core.identity.policy import settle
from cdp_core.identity.resolve import resolve
from cdp_core.identity.spec import HoldSpec, IdentifierSpec, IdentitySpec, Window
from cdp_core.identity.totals import Rules

WORLDS = int(os.environ.get("CDP_WORLDS", "250"))
"""Worlds of each kind; `make faults` has more of them."""


def spec(*, windows: dict[str, Window] | None = None, **limits: Any) -> IdentitySpec:
    more = {name: limits.pop(name) for name in ("max_merges", "max_mappings", "shared", "hold") if name in limits}
    rules = {n: IdentifierSpec(limit=limit, window=(windows or {}).get(n, "ever")) for n, limit in limits.items()}
    return IdentitySpec(identifiers=rules, **more)


MINUTES = {"every few minutes": range(6), "every few days": range(0, 40 * 24 * 60, 3 * 24 * 60)}
SPECS = {
    "tight": spec(user_id=1, badge=1, card=2, anonymous_id=2),
    "few mappings": spec(user_id=2, badge=2, card=3, anonymous_id=4, max_mappings=5),
    "few merges": spec(user_id=3, badge=4, card=4, anonymous_id=4, max_merges=1),
    "no merges": spec(user_id=2, card=4, anonymous_id=4, max_merges=0),
    "wide": spec(user_id=5, badge=5, card=5, anonymous_id=5),
    "windows": spec(
        user_id=1, badge=1, card=2, anonymous_id=1, windows={"badge": "week", "card": "month", "user_id": "year"}
    ),
    "held": spec(user_id=2, badge=3, card=4, anonymous_id=4, hold=HoldSpec(user_ids=True, size=5, bridge=None)),
    "shared": spec(user_id=1, badge=3, card=4, anonymous_id=4, shared=1),
    "windows and holds": spec(
        user_id=1, badge=1, card=2, windows={"badge": "week"}, shared=2, hold=HoldSpec(size=6, bridge=None)
    ),
}


@pytest.mark.parametrize("decided", [False, True], ids=["rules", "rules and decisions"])
@pytest.mark.parametrize("name", SPECS)
def test_equals_the_sequential_reading(lake: Engine, name: str, *, decided: bool) -> None:
    rules = SPECS[name]
    minutes = MINUTES["every few days" if "windows" in name else "every few minutes"]
    worlds = {seed: random_world(seed, rules, minutes=minutes) for seed in range(WORLDS)}
    decisions = {seed: random_decisions(seed, world) if decided else [] for seed, world in worlds.items()}
    events = [told.as_event() for world in worlds.values() for told in world]
    random.Random(name).shuffle(events)
    overrides = [o for made in decisions.values() for o in made]
    found = resolve(lake, lake.frame(frame(events)), rules, previous=None, merges=None, now=NOW, overrides=overrides)
    expected = [one_by_one(world, rules, decisions[seed]) for seed, world in worlds.items()]
    assert outcome(lake.polars(found.user_identifiers), lake.polars(found.event_profiles)) == frozenset().union(
        *(e.profiles for e in expected)
    )
    lost = sum(len({i for _, _, i in e.demoted}) > 0 for e in expected)
    assert found.stats.violating >= lost
    if name == "wide" and not decided:
        assert lost == 0
    elif name != "shared":
        assert lost > WORLDS / 20, "worlds that break no rule prove nothing"
    _same_demotions(lake, found.identity_conflicts, expected)


def _same_demotions(lake: Engine, conflicts: object, expected: list[Outcome]) -> None:
    table = lake.polars(conflicts).filter(pl.col("action").is_in(["demoted", "held"]))  # type: ignore[arg-type]
    found = set(table.select("source", "message_id", "type", "value").iter_rows())
    wanted = {(source, message, *identifier) for e in expected for source, message, identifier in e.demoted}
    assert found <= wanted
    assert {row[2:] for row in found} == {row[2:] for row in wanted}


def test_the_order_of_loading_does_not_matter(resolved: Resolve, lake: Engine) -> None:
    rules = SPECS["tight"]
    events = [told.as_event() for seed in range(60) for told in random_world(seed, rules)]
    tables = []
    for order in range(3):
        random.Random(order).shuffle(events)
        found = resolved(events, rules)
        names = ("identity_links", "user_identifiers", "event_profiles", "identity_conflicts")
        frames = [lake.polars(getattr(found, name)) for name in names]
        tables.append([f.sort(f.columns).to_dicts() for f in frames])
    assert tables[0] == tables[1] == tables[2]


def rules_for(limits: list[int], nodes: int, **caps: int) -> Rules:
    kinds = {node: node % len(limits) for node in range(nodes)}
    names = [str(i) for i in range(len(limits))]
    return Rules(kinds=kinds, limits=limits, names=names, **{"max_merges": 9, "max_mappings": 99, **caps})


def test_the_profile_seen_first_survives() -> None:
    settled = settle([[0], [2], [4], [2, 4]], rules_for([9, 9], 6))
    assert settled.root(2) == settled.root(1) == 1
    assert settled.root(0) == 0


def test_a_demotion_names_the_rule_and_the_profiles() -> None:
    settled = settle([[0, 1], [2, 1, 3]], rules_for([1, 2], 4))
    (lost,) = settled.demotions
    assert (lost.combination, lost.kept, lost.rule, lost.count, lost.limit) == (1, 1, "limit:0", 2, 1)
    assert lost.profiles == (0,)
    assert settled.holder == {0: 0, 1: 0, 2: 1}
