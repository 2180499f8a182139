"""Traits from a user's own SELECT: what they may read, and errors that name the trait and the remedy."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter
from worlds import NOW, SOURCES, load, random_world

from cdp_core.engine import Engine
from cdp_core.errors import SpecError
from cdp_core.profiles.build import Built, build_profiles
from cdp_core.profiles.spec import TraitSpec

BASE: dict[str, Any] = {"name": {}, "spent": {"sum": "Order.total"}}


def build(engine: Engine, traits: dict[str, Any]) -> Built:
    specs = TypeAdapter(dict[str, TraitSpec]).validate_python(traits)
    return build_profiles(
        engine, engine.table("events"), engine.table("event_profiles"), specs, now=NOW, source_order=SOURCES
    )


def test_it_reads_profiles_as_built_so_far_and_the_events(engine: Engine) -> None:
    world, events, owners = random_world(1, profiles=5, events=60)
    load(engine, events, owners)
    tier = "SELECT profile_id, CASE WHEN spent >= 50 THEN 'gold' ELSE 'iron' END AS tier FROM profiles"
    more = """
        SELECT p.profile_id, count(*) AS seen, max(t.tier) AS best
        FROM event_profiles p JOIN events e ON e.source = p.source AND e.message_id = p.message_id
        JOIN profiles t ON t.profile_id = p.profile_id GROUP BY p.profile_id
    """
    built = build(engine, {"tier": {"sql": tier}, **BASE, "more": {"sql": more, "columns": ["best", "seen"]}})
    rows = engine.polars(built.profiles)
    assert rows.columns[4:] == ["tier", "name", "spent", "best", "seen"]
    for row in rows.rows(named=True):
        assert row["tier"] == ("gold" if (row["spent"] or 0) >= 50 else "iron") == row["best"]
        assert row["seen"] == row["events"] == len(world.by_profile[row["profile_id"]])
    origin = built.profile_traits.filter(built.profile_traits.trait == "seen")
    assert set(engine.polars(origin.select("rule", "source", "candidates")).rows()) == {("sql", None, 0)}
    assert engine.polars(origin.count().as_table()).item() == len(rows)


def test_it_reads_the_events_that_are_given_not_the_published_ones(lake: Engine) -> None:
    _, events, owners = random_world(1, profiles=5, events=60)
    load(lake, events, owners)
    published = lake.table("events")
    specs = TypeAdapter(dict[str, TraitSpec]).validate_python(
        {"n": {"sql": "SELECT 'p1' AS profile_id, count(*) AS n FROM events"}}
    )
    few = published.filter(published.source == "crm")
    built = build_profiles(lake, few, lake.table("event_profiles"), specs, now=NOW)
    rows = lake.polars(built.profiles)
    expected = sum(e["source"] == "crm" for e in events)
    assert rows.filter(rows["profile_id"] == "p1")["n"].item() == expected < len(events)


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT profile_id, 1 AS t FROM event_profiles", "more than one per profile_id"),
        ("SELECT CAST(NULL AS VARCHAR) AS profile_id, 1 AS t", "without a profile_id"),
        ("SELECT profile_id, 1 AS other FROM profiles", "must return the columns profile_id, t; it returns"),
        ("SELECT 1 AS t FROM profiles", "must return the columns"),
        ("SELECT profile_id, nothing AS t FROM profiles", "does not run"),
        ("SELECT profile_id FROM", "traits.t.sql"),
        ("DROP TABLE profiles", "only one SELECT"),
        ("SELECT 1; SELECT 2", "only one SELECT"),
        ("SELECT profile_id, CAST(name AS INTEGER) AS t FROM profiles", "fails on the data"),
    ],
)
def test_wrong_queries_are_refused_in_one_line(lake: Engine, sql: str, says: str) -> None:
    _, events, owners = random_world(1, profiles=5, events=60)
    load(lake, events, owners)
    with pytest.raises(SpecError) as error:
        build(lake, {**BASE, "t": {"sql": sql}})
    text = str(error.value)
    assert says in text
    assert text.startswith("traits.t.sql: ")
    assert "\n" not in text
    assert not any(name in text for name in ("Ann", "Bob", "Zoë", "five", "fff"))
