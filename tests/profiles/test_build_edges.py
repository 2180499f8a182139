"""Profiles without traits, without events, with values that are not of their type; consent by the rules."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter
from worlds import NOW, SOURCES, load

from cdp_core import tables
from cdp_core.engine import Engine
from cdp_core.profiles.build import Built, build_profiles
from cdp_core.profiles.spec import TraitSpec


def event(number: int, **more: Any) -> dict[str, Any]:
    columns: dict[str, Any] = dict.fromkeys(tables.EVENTS.columns)
    at = NOW - timedelta(days=100 - number)
    base = {"source": "crm", "message_id": f"m{number}", "type": "identify", "timestamp": at, "received_at": at}
    return {**columns, **base, **more}


def build(engine: Engine, events: list[dict[str, Any]], traits: dict[str, Any], now: datetime = NOW) -> Built:
    load(engine, events, {(e["source"], e["message_id"]): "p" for e in events})
    specs = TypeAdapter(dict[str, TraitSpec]).validate_python(traits)
    return build_profiles(
        engine, engine.table("events"), engine.table("event_profiles"), specs, now=now, source_order=SOURCES
    )


def row(engine: Engine, events: list[dict[str, Any]], traits: dict[str, Any], now: datetime = NOW) -> dict[str, Any]:
    return engine.polars(build(engine, events, traits, now).profiles).row(0, named=True)


def test_no_events_give_empty_tables_of_the_right_shape(lake: Engine) -> None:
    traits = {
        "name": {},
        "n": {"count": "Order"},
        "l": {"unique_list": "Order.x"},
        "s": {"sql": "SELECT profile_id, 1 AS s FROM profiles"},
    }
    built = build(lake, [], traits)
    assert lake.polars(built.profiles).columns == [*tables.PROFILES.columns, *traits]
    for name in ("profiles", "profile_traits", "consents"):
        assert lake.polars(getattr(built, name)).is_empty()
        lake.replace(name, getattr(built, name))


def test_no_traits_still_give_profiles(lake: Engine) -> None:
    built = build(lake, [event(1), event(2)], {})
    assert lake.polars(built.profiles).columns == list(tables.PROFILES.columns)
    assert lake.polars(built.profiles)["events"].to_list() == [2]
    assert lake.polars(built.profile_traits).columns == list(tables.PROFILE_TRAITS.columns)


def test_a_value_that_is_not_of_the_type_is_counted_and_loses(lake: Engine) -> None:
    events = [event(1, traits={"born": "1970-01-01"}), event(2, traits={"born": "1970-13-01"})]
    built = build(lake, events, {"born": {"type": "date"}, "name": {}})
    assert str(lake.polars(built.profiles)["born"][0]) == "1970-01-01"
    assert built.unreadable == {"born": 1}
    only = build(lake, events[1:], {"born": {"type": "date"}})
    assert lake.polars(only.profiles)["born"].to_list() == [None]


@pytest.mark.parametrize(("seconds", "count"), [(0, 0), (1, 1), (86400, 1), (86401, 0)])
def test_windows_are_half_open(lake: Engine, seconds: int, count: int) -> None:
    """(now - window, now]: the start is out, the end is in, what lies ahead is out."""
    order = {"type": "track", "event": "Order", "timestamp": NOW - timedelta(days=1) + timedelta(seconds=seconds)}
    assert row(lake, [event(1, **order)], {"n": {"count": "Order", "window": "1d"}})["n"] == count


def test_sums_of_money_are_exact(lake: Engine) -> None:
    orders = [event(i, type="track", event="Order", properties={"total": v}) for i, v in enumerate([0.1, 0.2, 0.3])]
    assert row(lake, orders, {"spent": {"sum": "Order.total"}})["spent"] == 0.6


def test_odd_keys_and_event_names_are_only_names(engine: Engine) -> None:
    name = 'it\'s "odd" 100%'
    odd = event(1, type="track", event=name, properties={"a b": 1, "naïve": "é", "d.e": 3})
    known = event(2, traits={"First name": "Ann"})
    found = row(
        engine,
        [odd, known],
        {
            "n": {"count": name},
            "s": {"sum": f"{name}.a b"},
            "u": {"last": f"{name}.naïve"},
            "w": {"count": name, "where": {"d.e": 3}},
            "f": {"from": "First name"},
        },
    )
    assert [found[t] for t in ("n", "s", "u", "w", "f")] == [1, 1.0, "é", 1, "Ann"]


HOSTILE = [
    "it's",
    'q"q',
    "b\\s",
    "x/y",
    "t~z",
    "a?b",
    "[0]",
    "$",
    "*",
    "'; DROP TABLE profiles; --",
    "' OR '1'='1",
    "👩‍👧",
]


def test_whatever_a_key_is_called_it_is_only_a_key(engine: Engine) -> None:
    """Property names come from cdp.yaml, consent categories out of the events themselves."""
    said = {"consent": {"categoryPreferences": dict.fromkeys(HOSTILE, True)}}
    numbers = {key: i for i, key in enumerate(HOSTILE)}
    events = [event(1, type="track", event="Order", properties=numbers, context=said), event(2, traits=numbers)]
    traits: dict[str, Any] = {}
    for i, key in enumerate(HOSTILE):
        traits[f"t{i}"] = {"from": key}
        traits[f"w{i}"] = {"count": "Order", "where": {key: i}}
    traits["first"] = {"max": f"Order.{HOSTILE[-1]}"}
    built = build(engine, events, traits)
    found = engine.polars(built.profiles).row(0, named=True)
    for i, key in enumerate(HOSTILE):
        assert (found[f"t{i}"], found[f"w{i}"]) == (str(i), 1), key
    assert found["first"] == len(HOSTILE) - 1
    assert sorted(engine.polars(built.consents)["category"]) == sorted(HOSTILE)


def consent(number: int, granted: bool | None, **who: Any) -> dict[str, Any]:
    return event(number, context={"consent": {"categoryPreferences": {"news": granted}}}, **who)


PHONE, LAPTOP = {"anonymous_id": "phone", "source": "web"}, {"anonymous_id": "laptop", "source": "web"}
LIST, CRM = {"record_id": "r1", "source": "shop"}, {"record_id": "c9", "source": "crm"}


@pytest.mark.parametrize(
    ("said", "state", "source"),
    [
        ([(True, PHONE)], "granted", "web"),
        ([(True, PHONE), (False, PHONE)], "denied", "web"),
        ([(True, PHONE), (False, LAPTOP)], "conflict", "web"),
        ([(True, PHONE), (False, LAPTOP), (True, LAPTOP)], "granted", "web"),
        ([(True, PHONE), (False, LAPTOP), (False, LIST)], "denied", "shop"),
        ([(False, LIST), (True, PHONE)], "conflict", "web"),
        ([(True, LIST), (False, CRM)], "conflict", "crm"),
        ([(True, LIST), (False, CRM), (True, CRM)], "granted", "crm"),
        ([(None, PHONE)], None, None),
    ],
)
def test_consent(lake: Engine, said: list[tuple[Any, dict[str, Any]]], state: str | None, source: str | None) -> None:
    built = build(lake, [consent(i, granted, **who) for i, (granted, who) in enumerate(said)], {})
    rows = lake.polars(built.consents).select("state", "source").rows()
    assert rows == ([] if state is None else [(state, source)])


def test_preferences_that_are_no_object_are_ignored(lake: Engine) -> None:
    broken = [event(i, context={"consent": {"categoryPreferences": v}}) for i, v in enumerate(["x", [1], 5, {}])]
    assert lake.polars(build(lake, broken, {}).consents).is_empty()


def test_events_of_nobody_do_not_count(lake: Engine) -> None:
    events = [event(1, traits={"name": "Ann"}), event(2, traits={"name": "Bob"})]
    load(lake, events, {("crm", "m1"): "p"})
    specs = TypeAdapter(dict[str, TraitSpec]).validate_python({"name": {}})
    built = build_profiles(lake, lake.table("events"), lake.table("event_profiles"), specs, now=NOW)
    assert lake.polars(built.profiles).select("profile_id", "events", "name").rows() == [("p", 1, "Ann")]
