"""One person on one page, and finding people."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from pydantic import TypeAdapter
from worlds import load

from cdp_core import tables
from cdp_core.engine import Engine
from cdp_core.errors import UsageError
from cdp_core.profiles.build import build_profiles
from cdp_core.profiles.spec import TraitSpec
from cdp_core.profiles.view import OtherValue, find_profiles, profile_card, resolve_profile

NOW = datetime(1998, 7, 1)
TRAITS: dict[str, Any] = {
    "first_name": {"sources": ["crm", "web"]},
    "last_name": {},
    "home": {"pick": "source_order", "from": "city"},
    "points": {"type": "integer"},
    "orders": {"count": "Order"},
}


def at(day: int) -> datetime:
    return NOW - timedelta(days=30 - day)


def rows(name: str, *found: dict[str, Any]) -> pl.DataFrame:
    schema = tables.CANONICAL[name].polars_schema()
    return pl.DataFrame([{**dict.fromkeys(schema), **row} for row in found], schema=schema)


def publish(engine: Engine) -> None:
    """Ann Lee (a, into which old0 and then old1 went), Bo Lee (b), and Cy without a name (c)."""
    said = [
        ("p_a", "crm", {"first_name": "Ann", "last_name": "Lee", "city": "Ulm", "points": 5}),
        ("p_a", "web", {"first_name": "Anna", "city": "Bern", "points": "5.0"}),
        ("p_a", "shop", {"first_name": "Annie", "city": "Bern", "points": 7}),
        ("p_a", "web", {"first_name": "Ann"}),
        ("p_b", "crm", {"first_name": "Bo", "last_name": "Lee"}),
        ("p_c", "web", {}),
    ]
    events = [
        {"source": s, "message_id": f"m{i}", "type": "identify", "timestamp": at(i), "received_at": at(i), "traits": t}
        for i, (_, s, t) in enumerate(said)
    ]
    more = {
        "source": "shop",
        "message_id": "o1",
        "type": "track",
        "event": "Order",
        "timestamp": at(20),
        "traits": None,
    }
    columns = dict.fromkeys(tables.EVENTS.columns)
    owners = {(e["source"], e["message_id"]): p for e, (p, *_) in zip(events, said, strict=True)}
    load(engine, [{**columns, **e} for e in (*events, more)], {**owners, ("shop", "o1"): "p_a"})
    specs = TypeAdapter(dict[str, TraitSpec]).validate_python(TRAITS)
    table = engine.table
    built = build_profiles(
        engine, table("events"), table("event_profiles"), specs, now=NOW, source_order=["crm", "web", "shop"]
    )
    for name in ("profiles", "profile_traits", "consents"):
        engine.replace(name, getattr(built, name))
    known = [
        ("email", "ann@example.org", "p_a"),
        ("email", "anna@example.org", "p_b"),
        ("phone", "+15550001111", "p_a"),
        ("user_id", "X:1", "p_c"),
    ]
    identifiers = [{"type": t, "value": v, "profile_id": p} for t, v, p in known]
    merges = [("p_old0", "p_old1", 1), ("p_old1", "p_gone", 2), ("p_old1", "p_a", 3), ("p_lost", "p_nowhere", 3)]
    steps = [{"from_profile_id": f, "profile_id": p, "at": at(d), "reason": "r"} for f, p, d in merges]
    engine.replace("user_identifiers", engine.frame(rows("user_identifiers", *identifiers)))
    engine.replace("profile_merges", engine.frame(rows("profile_merges", *steps)))
    member = {"audience": "vip", "profile_id": "p_a", "entered_at": at(9)}
    engine.replace("audience_members", engine.frame(rows("audience_members", member)))
    sent = {"sync": "s", "key": "k", "profile_id": "p_a", "status": "delivered"}
    engine.replace("sync_ledger", engine.frame(rows("sync_ledger", sent)))


@pytest.fixture
def people(lake: Engine) -> Engine:
    publish(lake)
    return lake


def test_the_card_shows_golden_values_with_origin_and_what_lost(engine: Engine) -> None:
    publish(engine)
    card = profile_card(engine, "p_a")
    traits = {trait.name: trait for trait in card.traits}
    assert list(traits) == list(TRAITS)
    first = traits["first_name"]
    assert (first.value, first.source, first.message_id, first.updated_at) == ("Ann", "web", "m3", at(3))
    assert first.rule == "pick latest (crm, web)"
    assert first.others == [OtherValue("Anna", "web", at(1))]
    assert traits["home"].value == "Ulm"
    assert traits["home"].others == [OtherValue("Bern", "shop", at(2)), OtherValue("Bern", "web", at(1))]
    assert (traits["points"].value, traits["points"].others) == (
        "7",
        [OtherValue("5", "web", at(1)), OtherValue("5", "crm", at(0))],
    )
    assert (traits["orders"].value, traits["orders"].others) == ("1", [])
    assert card.golden["points"] == 7
    assert (card.first_seen, card.last_seen, card.events) == (at(0), at(20), 5)


def test_the_card_gathers_what_other_tables_know(people: Engine) -> None:
    card = profile_card(people, "p_a")
    assert card.identifiers["value"].to_list() == ["ann@example.org", "+15550001111"]
    assert card.audiences.rows() == [("vip", at(9))]
    assert card.deliveries["status"].to_list() == ["delivered"]
    assert card.merges["from_profile_id"].to_list() == ["p_old1"]
    nobody = profile_card(people, "p_c")
    assert (nobody.traits[0].name, nobody.audiences.height, nobody.merges.height) == ("orders", 0, 0)


def test_the_timeline_is_newest_first_and_pages(engine: Engine) -> None:
    publish(engine)
    card = profile_card(engine, "p_a")
    assert card.timeline()["message_id"].to_list() == ["o1", "m3", "m2", "m1", "m0"]
    assert card.timeline(limit=2, offset=1)["message_id"].to_list() == ["m3", "m2"]
    assert card.timeline().columns == list(tables.EVENTS.columns)


@pytest.mark.parametrize(
    ("reference", "profile"),
    [
        ("p_a", "p_a"),
        (" p_b ", "p_b"),
        ("p_old1", "p_a"),
        ("p_old0", "p_a"),
        ("email:ann@example.org", "p_a"),
        ("email:ANN@example.org", "p_a"),
        ("phone:+1 (555) 000-1111", "p_a"),
        ("user_id:X:1", "p_c"),
    ],
)
def test_what_stands_for_a_profile(people: Engine, reference: str, profile: str) -> None:
    assert resolve_profile(people, reference) == profile
    assert profile_card(people, reference).profile_id == profile


@pytest.mark.parametrize("reference", ["p_x", "", "email:", "email:no@example.org", "ann@example.org", "p_lost", "'"])
def test_what_stands_for_nobody_is_a_usage_error(people: Engine, reference: str) -> None:
    with pytest.raises(UsageError) as error:
        profile_card(people, reference)
    assert "no@example.org" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ann@example.org", [("p_a", "email:ann@example.org", "exact")]),
        ("ANN@example.org", [("p_a", "email:ann@example.org", "exact")]),
        ("email:ann@example.org", [("p_a", "email:ann@example.org", "exact")]),
        ("+1 555 000-1111", [("p_a", "phone:+15550001111", "exact")]),
        ("X:1", [("p_c", "user_id:X:1", "exact")]),
        ("p_old1", [("p_a", "profile_id:p_old1", "exact")]),
        ("ann", [("p_a", "email:ann@example.org", "prefix"), ("p_b", "email:anna@example.org", "prefix")]),
        ("email:anna", [("p_b", "email:anna@example.org", "prefix")]),
        ("lee", [("p_a", "name", "name"), ("p_b", "name", "name")]),
        ("lee bo", [("p_b", "name", "name")]),
        ("LEE", [("p_a", "name", "name"), ("p_b", "name", "name")]),
        ("%", []),
        ("' OR 1=1 --", []),
        ("", []),
        ("   ", []),
    ],
)
def test_search(people: Engine, text: str, found: list[tuple]) -> None:
    rows = find_profiles(people, text)
    assert rows.select("profile_id", "matched", "how").rows() == found
    assert rows.columns[:3] == ["profile_id", "matched", "how"]
    assert "orders" in rows.columns


def test_search_stops_at_its_limit(people: Engine) -> None:
    assert find_profiles(people, "lee", limit=1).height == 1


def test_search_on_an_empty_lake(lake: Engine) -> None:
    assert find_profiles(lake, "ann").is_empty()


@pytest.mark.spark
@pytest.mark.xdist_group("spark")
def test_search_on_spark(spark: Engine) -> None:
    publish(spark)
    assert find_profiles(spark, "ann")["profile_id"].to_list() == ["p_a", "p_b"]
