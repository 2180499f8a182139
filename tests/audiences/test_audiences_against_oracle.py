"""Every operator and every kind of condition selects what the plain-Python oracle selects, on every engine."""

from __future__ import annotations

import random
from typing import Any

import pytest
from oracle import World
from pydantic import TypeAdapter
from worlds import (
    KINDS,
    NOW,
    SOURCES,
    TRAITS,
    load,
    random_condition,
    random_event_condition,
    random_operators,
    random_world,
)

from cdp_core.audiences.compile import AudienceTables, compile_audience
from cdp_core.audiences.refresh import refresh
from cdp_core.audiences.spec import AudienceSpec, condition_from_dict
from cdp_core.engine import Engine
from cdp_core.operators.kinds import KINDS as OPERATORS_OF
from cdp_core.profiles.build import build_profiles
from cdp_core.profiles.spec import TraitSpec

SPECS = TypeAdapter(dict[str, TraitSpec]).validate_python(TRAITS)


def tables_of(engine: Engine, events: list[dict], owners: dict) -> AudienceTables:
    load(engine, events, owners)
    table = engine.table
    built = build_profiles(engine, table("events"), table("event_profiles"), SPECS, now=NOW, source_order=SOURCES)
    return AudienceTables(
        profiles=built.profiles, events=table("events"), event_profiles=table("event_profiles"), consents=built.consents
    )


def conditions(seed: int, count: int) -> dict[str, dict[str, Any]]:
    """Random audiences; each may build on those before it."""
    draw = random.Random(seed)
    found: dict[str, dict[str, Any]] = {}
    for i in range(count):
        found[f"a{i}"] = random_condition(draw, 3, tuple(found)[-4:])
    return found


def expected(world: World, written: dict[str, dict[str, Any]]) -> dict[str, set[str]]:
    profiles = [world.profile(name, TRAITS) for name in world.by_profile]
    consents = {key: state for key, (state, *_) in world.consents().items()}
    return {
        name: {p["profile_id"] for p in profiles if world.member(p, condition, written, consents)}
        for name, condition in written.items()
    }


def compare_refresh(engine: Engine, seed: int, count: int) -> None:
    world, events, owners = random_world(seed, profiles=25, events=300)
    tables = tables_of(engine, events, owners)
    written = conditions(seed, count)
    specs = {name: AudienceSpec(where=condition_from_dict(c)) for name, c in written.items()}
    found = refresh(engine, specs, tables, before=engine.table("audience_members"), now=NOW, run_id="r1")
    members: dict[str, set[str]] = {name: set() for name in written}
    for row in engine.polars(found.members).rows(named=True):
        members[row["audience"]].add(row["profile_id"])
    for name, ids in expected(world, written).items():
        assert members[name] == ids, (seed, name, written[name])


@pytest.mark.parametrize("seed", range(6))
def test_random_audiences_equal_the_oracle(lake: Engine, seed: int) -> None:
    compare_refresh(lake, seed, 60)


@pytest.mark.spark
@pytest.mark.xdist_group("spark")
def test_random_audiences_equal_the_oracle_on_spark(spark: Engine) -> None:
    compare_refresh(spark, 77, 25)


@pytest.mark.parametrize("seed", [11, 12])
def test_single_conditions_equal_the_oracle(lake: Engine, seed: int) -> None:
    """Each operator of each kind alone, compiled on its own."""
    world, events, owners = random_world(seed)
    tables = tables_of(lake, events, owners)
    draw = random.Random(seed)
    written = {f"e{i}": random_event_condition(draw) for i in range(20)}
    for kind, names in KINDS.items():
        for name in OPERATORS_OF[kind]:
            one: dict[str, Any] = {}
            while name not in one:
                one = random_operators(draw, kind)
            written[f"{kind}_{name}"] = {"trait": draw.choice(names), name: one[name]}
    wanted = expected(world, written)
    for name, condition in written.items():
        rows = lake.polars(compile_audience(lake, condition_from_dict(condition), tables, NOW))
        assert rows["profile_id"].is_unique().all()
        assert set(rows["profile_id"]) == wanted[name], (name, condition)
