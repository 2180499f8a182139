"""Entering and leaving over several refreshes, previews, and conditions that try to break out."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest

from cdp_core import tables
from cdp_core.audiences.compile import AudienceTables, compile_audience
from cdp_core.audiences.preview import preview
from cdp_core.audiences.refresh import refresh
from cdp_core.audiences.spec import AudienceSpec, condition_from_dict
from cdp_core.engine import Engine
from cdp_core.errors import SpecError

NOW = datetime(1998, 7, 1)
LATER = NOW + timedelta(days=1)


def world(engine: Engine, orders: dict[str, int]) -> AudienceTables:
    """Profiles with that many orders each, all of them yesterday."""
    profiles = pl.DataFrame(
        {"profile_id": list(orders), "events": list(orders.values()), "orders": list(orders.values())}
    )
    events = [(f"{p}{i}", p) for p, n in orders.items() for i in range(n)]
    columns: dict[str, Any] = {"source": "shop", "type": "track", "event": "Order", "properties": '{"total": 5}'}
    frame = pl.DataFrame({"message_id": [m for m, _ in events]}, schema={"message_id": pl.String})
    frame = frame.with_columns(*(pl.lit(v).alias(c) for c, v in columns.items()), timestamp=NOW - timedelta(days=1))
    links = pl.DataFrame({"message_id": [m for m, _ in events], "profile_id": [p for _, p in events]})
    engine.replace("profiles", engine.frame(profiles))
    engine.replace("events", engine.frame(frame))
    engine.replace("event_profiles", engine.frame(links.with_columns(source=pl.lit("shop"))))
    table = engine.table
    return AudienceTables(table("profiles"), table("events"), table("event_profiles"), table("consents"))


def run(engine: Engine, specs: dict[str, Any], inputs: AudienceTables, now: datetime) -> list[tuple]:
    """Refresh, publish, and give the changes of this run."""
    made = {
        n: s if isinstance(s, AudienceSpec) else AudienceSpec(where=condition_from_dict(s)) for n, s in specs.items()
    }
    found = refresh(engine, made, inputs, before=engine.table("audience_members"), now=now, run_id=str(now.date()))
    changes = engine.polars(found.changes)
    assert changes.columns == list(tables.AUDIENCE_CHANGES.columns)
    assert set(changes["at"].to_list()) | set(changes["run_id"].to_list()) <= {now, str(now.date())}
    engine.replace("audience_members", found.members)
    engine.append("audience_changes", found.changes)
    return sorted(changes.select("audience", "profile_id", "change").rows())


def members(engine: Engine) -> list[tuple]:
    return sorted(engine.polars(engine.table("audience_members")).rows())


BUYERS = {"trait": "orders", "at_least": 2}


def test_entering_staying_and_leaving(engine: Engine) -> None:
    specs = {"buyers": BUYERS, "others": {"not": {"audience": "buyers"}}}
    assert run(engine, specs, world(engine, {"a": 2, "b": 2, "c": 0}), NOW) == [
        ("buyers", "a", "entered"),
        ("buyers", "b", "entered"),
        ("others", "c", "entered"),
    ]
    assert run(engine, specs, world(engine, {"a": 3, "b": 1, "c": 2}), LATER) == [
        ("buyers", "b", "exited"),
        ("buyers", "c", "entered"),
        ("others", "b", "entered"),
        ("others", "c", "exited"),
    ]
    assert members(engine) == [("buyers", "a", NOW), ("buyers", "c", LATER), ("others", "b", LATER)]


def test_nothing_new_changes_nothing(lake: Engine) -> None:
    inputs = world(lake, {"a": 2})
    run(lake, {"buyers": BUYERS}, inputs, NOW)
    assert run(lake, {"buyers": BUYERS}, inputs, LATER) == []
    assert members(lake) == [("buyers", "a", NOW)]


def test_a_profile_that_is_gone_leaves(lake: Engine) -> None:
    run(lake, {"buyers": BUYERS}, world(lake, {"a": 2, "b": 2}), NOW)
    assert run(lake, {"buyers": BUYERS}, world(lake, {"b": 2}), LATER) == [("buyers", "a", "exited")]


def test_everyone_leaves_an_audience_that_is_no_longer_defined(lake: Engine) -> None:
    inputs = world(lake, {"a": 2, "b": 2})
    run(lake, {"old": BUYERS, "buyers": BUYERS}, inputs, NOW)
    assert run(lake, {"buyers": BUYERS}, inputs, LATER) == [("old", "a", "exited"), ("old", "b", "exited")]
    assert run(lake, {}, inputs, LATER) == [("buyers", "a", "exited"), ("buyers", "b", "exited")]
    assert members(lake) == []


def test_a_disabled_audience_stays_as_it_is_and_can_still_be_referred_to(lake: Engine) -> None:
    run(lake, {"buyers": BUYERS}, world(lake, {"a": 2, "b": 0}), NOW)
    paused = AudienceSpec(where=condition_from_dict(BUYERS), enabled=False)
    inputs = world(lake, {"a": 0, "b": 2})
    changes = run(lake, {"buyers": paused, "in_it": {"audience": "buyers"}}, inputs, LATER)
    assert changes == [("in_it", "a", "entered")]
    assert members(lake) == [("buyers", "a", NOW), ("in_it", "a", LATER)]


def test_at_most_counts_those_who_never_did(lake: Engine) -> None:
    inputs = world(lake, {"a": 0, "b": 1, "c": 2})

    def ids(**condition: Any) -> list[str]:
        found = compile_audience(lake, condition_from_dict({"event": "Order", **condition}), inputs, NOW)
        return sorted(lake.polars(found)["profile_id"])

    assert ids(at_most=1) == ["a", "b"]
    assert ids(exactly=0) == ["a"]
    assert ids(exactly=0, window="12h") == ["a", "b", "c"]
    assert ids(at_least=2) == ["c"]
    assert ids(at_least=1, at_most=1) == ["b"]
    assert ids(at_most=0, where={"total": {"greater_than": 5}}) == ["a", "b", "c"]


def test_preview_shows_what_each_condition_keeps(engine: Engine) -> None:
    inputs = world(engine, {"a": 0, "b": 1, "c": 2, "d": 3})
    both = condition_from_dict({"and": [{"event": "Order"}, {"trait": "orders", "at_most": 2}]})
    found = preview(engine, both, inputs, NOW, sample=1)
    assert (found.count, found.total) == (2, 4)
    assert found.funnel == [("did Order", 3, 3), ("orders is at most 2", 3, 2)]
    assert found.sample.to_dicts() == [
        {"profile_id": "b", "first_seen": None, "last_seen": None, "events": 1, "orders": 1}
    ]
    assert found.seconds > 0


def test_preview_of_or_gathers(lake: Engine) -> None:
    inputs = world(lake, {"a": 0, "b": 1, "c": 2})
    either = condition_from_dict({"or": [{"trait": "orders", "equals": 0}, {"event": "Order", "exactly": 2}]})
    found = preview(lake, either, inputs, NOW)
    assert [step[1:] for step in found.funnel] == [(1, 1), (1, 2)]
    nobody = preview(lake, condition_from_dict({"event": "Never"}), inputs, NOW)
    assert (nobody.count, nobody.sample.height, nobody.funnel) == (0, 0, [("did Never", 0, 0)])


def test_audiences_in_conditions_come_from_definitions_else_from_members(lake: Engine) -> None:
    inputs = world(lake, {"a": 0, "b": 2})
    run(lake, {"buyers": BUYERS}, inputs, NOW)
    wanted = condition_from_dict({"audience": "buyers"})
    stored = replace(inputs, members=lake.table("audience_members"))
    assert lake.polars(compile_audience(lake, wanted, stored, NOW))["profile_id"].to_list() == ["b"]
    edited = {"buyers": AudienceSpec(where=condition_from_dict({"trait": "orders", "equals": 0}))}
    anew = replace(stored, definitions=edited)
    assert lake.polars(compile_audience(lake, wanted, anew, NOW))["profile_id"].to_list() == ["a"]
    with pytest.raises(SpecError, match="unknown audience"):
        compile_audience(lake, wanted, inputs, NOW)


def test_a_trait_that_is_gone_or_has_another_type_is_an_error_in_one_line(lake: Engine) -> None:
    inputs = world(lake, {"a": 1})
    with pytest.raises(SpecError, match="unknown trait 'oders'"):
        compile_audience(lake, condition_from_dict({"trait": "oders", "at_least": 1}), inputs, NOW)
    with pytest.raises(SpecError, match="does not fit trait 'orders', an integer"):
        compile_audience(lake, condition_from_dict({"trait": "orders", "contains": "1"}), inputs, NOW)


@pytest.mark.parametrize(
    "text", ["'; DROP TABLE profiles; --", "' OR '1'='1", "\\", '"', "%", "_", "a'b\"c\\d", "👩‍👧"]
)
def test_what_users_write_is_never_sql(lake: Engine, text: str) -> None:
    inputs = world(lake, {"a": 1})
    hostile = {
        "and": [
            {"not": {"event": text}},
            {"event": "Order", "where": {text: {"exists": False}}},
            {"event": "Order", "at_most": 0, "where": {"total": {"one_of": [text, text + "x"]}}},
            {"not": {"consent": text}},
        ]
    }
    found = compile_audience(lake, condition_from_dict(hostile), inputs, NOW)
    assert lake.polars(found)["profile_id"].to_list() == ["a"]
    assert lake.has("profiles")


def test_many_audiences(lake: Engine) -> None:
    inputs = world(lake, {"a": 0, "b": 1, "c": 2})
    specs = {f"x{i}": {"event": "Order", "at_least": 1 + i % 3, "window": f"{i + 2}d"} for i in range(60)}
    run(lake, specs, inputs, NOW)
    assert len(members(lake)) == 20 * 2 + 20
