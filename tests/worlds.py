"""Small random worlds and definitions for comparing engines with the oracle."""

from __future__ import annotations

import json
import random
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
from oracle import World

from cdp_core import tables

if TYPE_CHECKING:
    from cdp_core.engine import Engine

NOW = datetime(1998, 7, 1, 12, 0, 0)
SOURCES = ["crm", "shop", "web"]
GENRES = ["Rock", "Jazz", "pop", "Été", "日本", "a'b\"c\\d", "", " Rock ", "folk", "v"]
NUMBERS: list[Any] = [5, 12.5, 49.99, 50, 0.1, 0.2, -3, "12", " 7 ", "12.0", "abc", "NaN", "1_000", True, None]
TIMES = ["1998-06-30", "1998-02-30", "1998-07-10T08:00:00Z", "1998-06-20T23:30:00+02:00", "1998-06", "never", None]

TRAITS: dict[str, dict[str, Any]] = {
    "name": {},
    "email": {"pick": "source_order", "sources": ["web", "crm"]},
    "town": {"pick": "source_order", "from": "city"},
    "city": {"pick": "longest"},
    "level": {"pick": "most_frequent", "type": "integer"},
    "score": {"pick": "latest", "type": "number"},
    "born": {"pick": "most_frequent", "type": "date", "sources": ["crm", "shop"]},
    "renewal": {"pick": "latest", "type": "datetime"},
    "vip": {"pick": "latest", "type": "boolean"},
    "orders": {"count": "Order"},
    "orders_30d": {"count": "Order", "window": "30d"},
    "big_orders": {"count": "Order", "where": {"total": {"at_least": 12.5, "less_than": 60}}},
    "rock_orders": {"count": "Order", "where": {"genre": ["Rock", "Jazz"], "total": {"exists": True}}},
    "spent": {"sum": "Order.total"},
    "spent_week": {"sum": "Order.total", "window": "1w"},
    "mean": {"average": "Order.total"},
    "least": {"min": "Order.total"},
    "most": {"max": "Order.total", "where": {"genre": {"not_equals": "Rock"}}},
    "first_at": {"first": "Order.timestamp"},
    "last_at": {"last": "Order.timestamp"},
    "due_first": {"min": "Order.due", "type": "datetime"},
    "first_genre": {"first": "Order.genre"},
    "last_total": {"last": "Order.total", "type": "number"},
    "recency": {"days_since": "Order"},
    "top_genre": {"most_frequent": "Order.genre"},
    "top_genre_2": {"most_frequent": "Order.genre", "at_least": 2},
    "genres": {"unique_list": "Order.genre"},
    "totals": {"unique_count": "Order.total"},
    "dotted": {"last": "App v1.2.genre"},
    "dotted_count": {"count": "App v1.2"},
}
KINDS = {
    "string": ["name", "email", "city", "top_genre", "first_genre"],
    "integer": ["level", "orders", "recency", "totals"],
    "number": ["score", "spent", "mean", "least"],
    "boolean": ["vip"],
    "date": ["born"],
    "datetime": ["renewal", "last_at", "due_first"],
    "list": ["genres"],
}


def random_world(seed: int, *, profiles: int = 12, events: int = 160) -> tuple[World, list[dict], dict]:
    """A world, its events and event → profile. Times collide on purpose; some events belong to nobody."""
    draw = random.Random(seed)
    made = [_event(draw, i, profiles) for i in range(events)]
    owners = {
        (e["source"], e["message_id"]): f"p{e.pop('person')}"
        for e in made
        if draw.random() < 0.95 or e.pop("person") < 0
    }
    return World(made, owners, NOW, SOURCES), made, owners


def _event(draw: random.Random, number: int, profiles: int) -> dict[str, Any]:
    source = draw.choice([*SOURCES, "other"])
    kind = draw.choice(["identify", "track", "track", "track", "page"])
    at = NOW + timedelta(days=draw.randint(-60, 3), hours=draw.choice([0, 0, 0, 5]), microseconds=draw.choice([0, 1]))
    person = draw.randrange(profiles)
    batch = source in ("crm", "shop")
    return {
        "source": source,
        "message_id": f"m{number}" if draw.random() < 0.9 else f"same{number % 7}-{number}",
        "type": kind,
        "event": draw.choice(["Order", "Order", "View", "App v1.2"]) if kind == "track" else None,
        "user_id": f"u{person}" if draw.random() < 0.5 else None,
        "anonymous_id": None if batch or draw.random() < 0.2 else f"a{person}-{draw.randrange(3)}",
        "record_id": f"r{person}-{draw.randrange(2)}" if batch and draw.random() < 0.8 else None,
        "timestamp": at if draw.random() < 0.95 else None,
        "received_at": at + timedelta(seconds=draw.choice([0, 1])) if draw.random() < 0.9 else None,
        "properties": _properties(draw) if kind == "track" else None,
        "traits": _traits(draw) if kind == "identify" or draw.random() < 0.1 else None,
        "context": _context(draw),
        "person": person,
    }


def _some(draw: random.Random, pairs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in pairs.items() if draw.random() < 0.8}


def _properties(draw: random.Random) -> dict[str, Any]:
    pairs = {"total": draw.choice(NUMBERS), "genre": draw.choice(GENRES), "due": draw.choice(TIMES)}
    return _some(draw, {**pairs, "gift": draw.choice([True, False, "yes", None])})


def _traits(draw: random.Random) -> dict[str, Any]:
    pairs = {
        "name": draw.choice(["Ann", "Bob", " Ann ", "", None, "Zoë", "five", "\tvera\n", "fff"]),
        "email": draw.choice(["a@x.org", "b@x.org", "c@x.org"]),
        "city": draw.choice(["Ulm", "Köln", "Bern", "Paris", "München", "Vevey"]),
        "level": draw.choice([1, 2, "2", "2.0", 2.5, "x"]),
        "score": draw.choice(NUMBERS),
        "born": draw.choice(["1970-01-01", "1980-05-05", "1970-01-01T00:00:00Z", "1999-02-29", "x"]),
        "renewal": draw.choice(TIMES),
        "vip": draw.choice([True, False, "yes", "maybe"]),
    }
    return _some(draw, pairs)


def _context(draw: random.Random) -> dict[str, Any] | None:
    said = _some(draw, {"news": draw.choice([True, False, "x", None]), "ads & co": draw.choice([True, False])})
    return draw.choice([None, {}, {"consent": {}}, {"consent": {"categoryPreferences": said}}])


def load(engine: Engine, events: list[dict], owners: dict[tuple[str, str], str]) -> None:
    """Publish a world's events and event_profiles."""
    rows = [
        {
            **e,
            **{
                c: None if e[c] is None else json.dumps(e[c], ensure_ascii=False)
                for c in ("properties", "traits", "context")
            },
        }
        for e in events
    ]
    schema = tables.EVENTS.polars_schema()
    frame = pl.DataFrame([{c: row.get(c) for c in schema} for row in rows], schema=schema)
    links = [{"source": s, "message_id": m, "profile_id": p} for (s, m), p in owners.items()]
    engine.replace("events", engine.frame(frame))
    engine.replace("event_profiles", engine.frame(pl.DataFrame(links, schema=tables.EVENT_PROFILES.polars_schema())))


def random_condition(draw: random.Random, depth: int = 2, audiences: tuple[str, ...] = ()) -> dict[str, Any]:
    """A condition as written in cdp.yaml, over the traits and events of these worlds."""
    kind = draw.choice(["trait", "trait", "trait", "event", "event", "consent", "audience", "and", "or", "not"])
    if kind in ("and", "or", "not") and depth:
        inside = [
            random_condition(draw, depth - 1, audiences) for _ in range(1 if kind == "not" else draw.randint(1, 3))
        ]
        return {kind: inside[0] if kind == "not" else inside}
    if kind == "audience" and audiences:
        return {"audience": draw.choice(audiences)}
    if kind == "consent":
        state = draw.choice([{}, {"equals": "granted"}, {"equals": "denied"}, {"equals": "conflict"}])
        return {"consent": draw.choice(["news", "ads & co", "none"]), **state}
    if kind == "event":
        return random_event_condition(draw)
    of = draw.choice(list(KINDS))
    return {"trait": draw.choice(KINDS[of]), **random_operators(draw, of)}


def random_event_condition(draw: random.Random) -> dict[str, Any]:
    counts = [{}, {"at_least": 2}, {"at_most": 0}, {"at_most": 2}, {"exactly": 0}, {"exactly": 1}]
    windows = [{}, {"window": "30d"}, {"window": "12h"}, {"window": {"between": ["6w", "5d"]}}]
    properties = {
        "total": "property",
        "genre": "property",
        "due": "property",
        "gift": "property",
        "timestamp": "datetime",
    }
    where: dict[str, Any] = {}
    for name in draw.sample(list(properties), draw.choice([0, 0, 1, 2])):
        where[name] = random_operators(draw, properties[name])
        if properties[name] == "property" and draw.random() < 0.3:
            where[name] = draw.choice([draw.choice(GENRES), ["Rock", 50], 12.5, True])
    found = {
        "event": draw.choice(["Order", "View", "App v1.2", "Never"]),
        **draw.choice([*counts, {"at_least": 1, "at_most": 3}]),
    }
    return {**found, **draw.choice(windows), **({"where": where} if where else {})}


def random_operators(draw: random.Random, kind: str) -> dict[str, Any]:
    texts = ["Ann", "Rock", "a'b\"c\\d", "%", "o", "", "Été", "x' OR 1=1 --"]
    operands: dict[str, list[Any]] = {
        "string": texts,
        "integer": [0, 1, 2, 3, 2.5],
        "number": [5, 12.5, 50, 0.3, 49.99],
        "boolean": [True, False],
        "date": [date(1970, 1, 1), "1980-05-05", datetime(1975, 1, 1, 12)],
        "datetime": [date(1998, 6, 20), datetime(1998, 6, 20, 21, 30), "1998-07-01T12:00:00"],
    }
    if kind == "property":
        kind = draw.choice(list(operands))
    same, order = ["equals", "not_equals"], ["greater_than", "at_least", "less_than", "at_most"]
    names = {
        "string": [*same, "one_of", "not_one_of", "contains", "not_contains", "starts_with", "ends_with"],
        "boolean": same,
        "list": ["contains", "not_contains"],
    }.get(kind, [*same, *order, "one_of", "not_one_of"])
    if kind in ("date", "datetime"):
        names = [*names, "before", "after", "within_last", "not_within_last", "within_next"]
    found: dict[str, Any] = {}
    for name in draw.sample([*names, "exists"], draw.choice([1, 1, 2])):
        choices = operands.get(kind, texts)
        if name == "exists":
            found[name] = draw.random() < 0.7
        elif name.endswith("one_of"):
            found[name] = draw.sample(choices, 2)
        elif name.startswith(("within", "not_within")):
            found[name] = draw.choice(["10d", "12h", "2w"])
        else:
            found[name] = draw.choice(choices)
    return found
