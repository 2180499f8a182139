"""Every kind of trait, its provenance and consent, equal to the plain-Python oracle on every engine."""

from __future__ import annotations

import random
from typing import Any

import polars as pl
import pytest
from pydantic import TypeAdapter
from worlds import NOW, SOURCES, TRAITS, load, random_world

from cdp_core.engine import Engine
from cdp_core.profiles.build import Built, build_profiles
from cdp_core.profiles.spec import TraitSpec

SPECS = TypeAdapter(dict[str, TraitSpec]).validate_python(TRAITS)


def build(engine: Engine) -> Built:
    return build_profiles(
        engine, engine.table("events"), engine.table("event_profiles"), SPECS, now=NOW, source_order=SOURCES
    )


def compare(engine: Engine, seed: int) -> None:
    world, events, owners = random_world(seed)
    load(engine, events, owners)
    built = build(engine)
    rows = {row["profile_id"]: row for row in engine.polars(built.profiles).rows(named=True)}
    assert set(rows) == set(world.by_profile)
    for name, row in rows.items():
        expected = world.profile(name, TRAITS)
        for column, value in expected.items():
            assert same(row[column], value), (seed, name, column, row[column], value)
    assert origins(engine, built) == {
        (name, trait): found
        for name in rows
        for trait, spec in TRAITS.items()
        if (found := world.origin(name, trait, spec)) is not None
    }
    found = {
        (r["profile_id"], r["category"]): (r["state"], r["source"], r["updated_at"])
        for r in engine.polars(built.consents).rows(named=True)
    }
    assert found == world.consents()


def same(found: Any, expected: Any) -> bool:
    """Equal, with the last bits of an average's division left open."""
    if isinstance(expected, float) and found is not None:
        return found == pytest.approx(expected, rel=1e-15)
    return found == expected


def origins(engine: Engine, built: Built) -> dict[tuple[str, str], tuple]:
    rows = engine.polars(built.profile_traits)
    assert not rows.select("profile_id", "trait").is_duplicated().any()
    return {
        (r["profile_id"], r["trait"]): (r["value"], r["source"], r["message_id"], r["updated_at"], r["candidates"])
        for r in rows.rows(named=True)
    }


@pytest.mark.parametrize("seed", range(12))
def test_traits_equal_the_oracle(lake: Engine, seed: int) -> None:
    compare(lake, seed)


@pytest.mark.spark
@pytest.mark.xdist_group("spark")
def test_traits_equal_the_oracle_on_spark(spark: Engine) -> None:
    compare(spark, 99)


@pytest.mark.spark
@pytest.mark.xdist_group("spark")
def test_a_list_is_published_on_spark(spark: Engine) -> None:
    lists = pl.DataFrame({"profile_id": ["a", "b"], "genres": [["Jazz", "Rock"], None]})
    spark.replace("profiles", spark.frame(lists))
    assert spark.polars(spark.table("profiles")).sort("profile_id")["genres"].to_list() == [["Jazz", "Rock"], None]


def test_results_do_not_depend_on_the_load_order(lake: Engine) -> None:
    _, events, owners = random_world(7)
    load(lake, events, owners)
    first = {name: lake.polars(getattr(build(lake), name)) for name in ("profiles", "profile_traits", "consents")}
    random.Random(1).shuffle(events)
    load(lake, events, owners)
    second = build(lake)
    for name, frame in first.items():
        keys = [c for c in ("profile_id", "trait", "category") if c in frame.columns]
        assert lake.polars(getattr(second, name)).sort(keys).equals(frame.sort(keys)), name


def test_columns_stand_in_the_order_of_the_definitions(lake: Engine) -> None:
    _, events, owners = random_world(3)
    load(lake, events, owners)
    schema = lake.polars(build(lake).profiles).schema
    assert list(schema) == ["profile_id", "first_seen", "last_seen", "events", *TRAITS]
    assert schema["genres"] == pl.List(pl.String)
    assert schema["born"] == pl.Date
    assert schema["spent"] == pl.Float64


def test_published_tables_read_back_equal(lake: Engine) -> None:
    _, events, owners = random_world(4, profiles=3, events=40)
    load(lake, events, owners)
    built = build(lake)
    for name in ("profiles", "profile_traits", "consents"):
        lake.replace(name, getattr(built, name))
        keys = [c for c in ("profile_id", "trait", "category") if c in getattr(built, name).columns]
        made, read = lake.polars(getattr(built, name)).sort(keys), lake.polars(lake.table(name)).sort(keys)
        assert made.rows() == read.rows()
