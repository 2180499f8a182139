"""The diff: what is added, changed, removed, left alone, refused; its id; its samples; its brake."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from syncing import NOW, Syncer, person

from cdp_core.destinations.mapping import mapped
from cdp_core.destinations.spec import SyncSpec
from cdp_core.engine import Engine
from cdp_core.errors import QualityStop, SpecError
from cdp_core.testing.flaky import FlakyDestination

Make = Callable[..., Syncer]
COUNTS = ("add", "change", "remove", "unchanged", "invalid", "withheld")


def counts(plan: Any) -> dict[str, int]:
    return {name: getattr(plan, name) for name in COUNTS if getattr(plan, name)}


@pytest.fixture(params=["file", "rows"])
def s(request: pytest.FixtureRequest, syncer: Make) -> Syncer:
    """Over a destination that is written whole and one that takes rows."""
    return syncer() if request.param == "file" else syncer(destination=FlakyDestination(), options={})


def test_add_change_remove_unchanged(s: Syncer) -> None:
    s.profiles([person(n) for n in range(5)])
    assert counts(s.plan()) == {"add": 5}
    s.run()
    s.profiles([person(1), person(2, total=7.5), person(3), person(9)])
    plan = s.plan()
    assert counts(plan) == {"add": 1, "change": 1, "remove": 2, "unchanged": 2}
    assert plan.samples["change"] == [{"id": "p2", "email": "a2@example.org", "total": 7.5, "before": {"total": 2.0}}]
    assert [row["id"] for row in plan.samples["remove"]] == ["p0", "p4"]
    assert plan.samples["add"][0]["id"] == "p9"
    json.dumps(plan.to_dict())
    s.run(plan)
    assert counts(s.plan()) == {"unchanged": 4}


def test_columns_that_are_not_mapped_change_nothing(s: Syncer) -> None:
    s.profiles([person(1, city="Bonn")])
    s.run()
    s.profiles([person(1, city="Rome")])
    assert counts(s.plan()) == {"unchanged": 1}


def test_null_is_not_empty_and_not_missing(s: Syncer) -> None:
    states = [None, "", "null", '"', "\\", "a,b"]
    for before, after in itertools.pairwise(states):
        s.profiles([person(1, email=before)], email=pl.String)
        s.run()
        s.profiles([person(1, email=after)], email=pl.String)
        assert counts(s.plan()) == {"change": 1}, (before, after)


def test_values_do_not_run_into_each_other(syncer: Make) -> None:
    s = syncer(mapping={"id": "profile_id", "a": "a", "b": "b"})
    s.profiles([{"profile_id": "p", "a": 'x","b":"y', "b": "z"}])
    s.run()
    s.profiles([{"profile_id": "p", "a": "x", "b": 'y","b":"z'}])
    assert counts(s.plan()) == {"change": 1}


def test_bad_keys_are_invalid_and_what_was_delivered_stays(s: Syncer) -> None:
    s.profiles([person(1), person(2)])
    s.run()
    s.profiles([person(1), person(2), person(2, total=5.0), person(3, profile_id=None), person(4, profile_id="")])
    plan = s.plan()
    assert counts(plan) == {"unchanged": 1, "invalid": 4}
    assert {row["reason"] for row in plan.samples["invalid"]} == {
        "the key is missing",
        "the key occurs in more than one row of the model",
    }
    s.run(plan)
    s.profiles([person(1), person(2)])
    assert counts(s.plan()) == {"unchanged": 2}


def test_equal_content_gives_an_equal_id_and_any_difference_another(s: Syncer) -> None:
    s.profiles([person(n) for n in range(100)])
    first = s.plan().plan_id
    s.profiles([person(n) for n in reversed(range(100))])
    assert s.plan().plan_id == first
    s.profiles([person(n) for n in range(99)] + [person(99, total=0.25)])
    assert s.plan().plan_id != first
    s.profiles([person(n) for n in range(100)])
    s.mapping = {**s.mapping, "origin": {"value": "cdp"}}
    assert s.plan().plan_id != first


def test_a_changed_mapping_shows_what_it_sends_again(s: Syncer) -> None:
    s.profiles([person(n) for n in range(3)])
    s.run()
    s.mapping = {**s.mapping, "origin": {"value": "cdp"}}
    plan = s.plan()
    assert counts(plan) == {"change": 3}
    assert plan.samples["change"][0]["before"] == {"origin": None}


def test_upsert_leaves_alone_what_left_the_model(s: Syncer) -> None:
    s.mode = "upsert"
    s.profiles([person(1), person(2)])
    s.run()
    s.profiles([person(2)])
    assert counts(s.plan()) == {"unchanged": 1}


def test_brake_on_an_empty_model(s: Syncer) -> None:
    s.profiles([person(1), person(2)])
    s.run()
    s.profiles(pl.DataFrame(schema={"profile_id": pl.String, "email": pl.String, "total": pl.Float64}))
    plan = s.plan()
    assert plan.brake == "the model is empty, which would remove all 2 delivered rows"
    with pytest.raises(QualityStop, match=r"sync s: nothing was sent: the model is empty.*--confirm"):
        s.run(plan)
    assert counts(s.plan()) == {"remove": 2}
    assert s.run(plan, confirm=True).removed == 2
    assert counts(s.plan()) == {}


@pytest.mark.parametrize(
    ("before", "after", "braked"),
    [(60, 29, True), (60, 30, False), (60, 39, False), (40, 19, True), (38, 18, False)],
)
def test_brake_on_a_model_that_lost_more_than_half(s: Syncer, before: int, after: int, braked: bool) -> None:
    """Both must hold: more than half of what was delivered, and more than 20 rows."""
    s.profiles([person(n) for n in range(before)])
    s.run()
    s.profiles([person(n) for n in range(after)])
    assert (s.plan().brake is not None) == braked


def test_audience_and_sql_models(syncer: Make) -> None:
    s = syncer(model={"audience": "vip"})
    s.profiles([person(n) for n in range(4)])
    members = pl.DataFrame(
        {"audience": ["vip", "vip", "other"], "profile_id": ["p1", "p3", "p2"], "entered_at": [NOW] * 3}
    )
    s.engine.replace("audience_members", s.engine.frame(members))
    assert sorted(row["id"] for row in s.plan().samples["add"]) == ["p1", "p3"]
    s.model = {"sql": "SELECT 'x' || profile_id AS k, count(*) AS n, 1.5 AS r FROM profiles GROUP BY 1 ORDER BY 1"}
    s.mapping = {"k": "k", "n": "n", "r": "r"}
    plan = s.plan()
    assert plan.samples["add"][0] == {"k": "xp0", "n": 1, "r": 1.5}
    s.run(plan)
    assert {row["profile_id"] for row in s.ledger()} == {None}
    s.mapping = {"k": "k", "n": "nn"}
    with pytest.raises(SpecError, match=r"syncs.s.mapping.n: unknown column 'nn'"):
        s.plan()
    s.model = {"sql": "DELETE FROM profiles"}
    with pytest.raises(SpecError, match="only one SELECT"):
        s.plan()


def test_a_key_must_be_text_or_a_whole_number(syncer: Make) -> None:
    s = syncer(mapping={"total": "total"})
    s.profiles([person(1)])
    with pytest.raises(SpecError, match=r"syncs.s.key: the key has the type float64"):
        s.plan()


def test_payload_is_json_whatever_is_in_it(engine: Engine) -> None:
    """On every engine, against Python's own parser."""
    rows = {
        "profile_id": ["p1", "p2", "p3"],
        "text": ['a"b\\c/' + "".join(map(chr, range(1, 32))) + "é😀\x7f", "", None],
        "whole": [2**53 + 1, -1, None],
        "number": [0.1, float("nan"), float("inf")],
        "yes": [True, False, None],
        "day": [date(1998, 7, 1), None, date(1970, 1, 1)],
        "at": [datetime(1998, 7, 1, 12, 30, 0, 250_000), datetime(1970, 1, 1), None],
        "money": [Decimal("1.50"), Decimal("-0.01"), None],
        "tags": [["a", 'q"', None], [], None],
    }
    table = engine.frame(pl.DataFrame(rows, schema_overrides={"tags": pl.List(pl.String), "money": pl.Decimal(10, 2)}))
    spec = SyncSpec.model_validate(
        {
            "model": "profiles",
            "destination": "d",
            "key": "id",
            "mapping": {
                "id": "profile_id",
                'we"ird\n': "text",
                **{c: c for c in list(rows)[2:]},
                "c": {"value": 'it\'s "1"'},
            },
        }
    )
    payloads = engine.polars(mapped(engine, "s", spec, table).order_by("key"))["payload"].to_list()
    found = [json.loads(text, parse_constant=lambda c: pytest.fail(f"{c} is not JSON")) for text in payloads]
    assert [row['we"ird\n'] for row in found] == rows["text"]
    assert [row["whole"] for row in found] == rows["whole"]
    assert [row["number"] for row in found] == [0.1, None, None]
    assert [row["yes"] for row in found] == rows["yes"]
    assert [row["day"] for row in found] == ["1998-07-01", None, "1970-01-01"]
    assert found[1]["at"] == "1970-01-01T00:00:00Z"
    assert datetime.fromisoformat(found[0]["at"]).replace(tzinfo=None) == rows["at"][0]
    assert [row["money"] for row in found] == [1.5, -0.01, None]
    assert [row["tags"] for row in found] == rows["tags"]
    assert {row["c"] for row in found} == {'it\'s "1"'}


def test_nul_in_a_text(syncer: Make) -> None:
    s = syncer()
    s.profiles([person(1, email="a\0b")])
    assert s.plan().samples["add"][0]["email"] == "a\0b"


def test_field_names_that_engines_confuse(s: Syncer) -> None:
    """Case, reserved words and the plan's own column names."""
    s.mapping = {
        "key": "profile_id",
        "Key": "email",
        "operation": "total",
        "n": "total",
        "v0": "email",
        "select": "email",
    }
    s.profiles([person(1)])
    assert s.plan().samples["add"] == [
        {
            "key": "p1",
            "Key": "a1@example.org",
            "operation": 1.0,
            "n": 1.0,
            "v0": "a1@example.org",
            "select": "a1@example.org",
        }
    ]
    assert s.run().delivered == 1
    assert counts(s.plan()) == {"unchanged": 1}


def test_two_syncs_do_not_see_each_other(syncer: Make) -> None:
    one, other = syncer(name="one"), syncer(name="other", options={"file": "o.csv"})
    one.profiles([person(1)])
    one.run()
    assert counts(other.plan()) == {"add": 1}
    other.run()
    assert counts(one.plan()) == {"unchanged": 1}
