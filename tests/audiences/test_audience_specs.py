"""What may be written under `audiences:`, how it is read back, and what is refused."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import random_condition

from cdp_core.audiences.check import check_audiences, order_of, references
from cdp_core.audiences.spec import AudienceSpec, condition_from_dict, leaves, to_dict
from cdp_core.audiences.words import words
from cdp_core.errors import SpecError

TYPES = {"orders": "integer", "spent": "number", "city": "string", "born": "date", "vip": "boolean", "genres": "list"}
ORDERED = {"trait": "orders", "at_least": 1}


def specs(**written: dict[str, Any]) -> dict[str, AudienceSpec]:
    return {name: AudienceSpec(where=condition_from_dict(c)) for name, c in written.items()}


@given(st.integers(0, 10**9))
def test_a_condition_is_written_as_it_was_read(seed: int) -> None:
    written = random_condition(random.Random(seed), 3, ("a", "b"))
    condition = condition_from_dict(written)
    assert to_dict(condition) == written
    assert condition_from_dict(to_dict(condition)) == condition
    assert words(condition)
    assert "\n" not in words(condition)


def test_an_audience_as_a_whole_is_written_as_it_was_read() -> None:
    written = {"description": "Who buys", "where": {"and": [ORDERED, {"not": {"consent": "news"}}]}}
    spec = AudienceSpec.model_validate(written)
    assert spec.enabled
    assert spec.model_dump(by_alias=True, exclude_unset=True) == written


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ({}, "exactly one of the keys"),
        ({"trait": "orders", "event": "Order"}, "exactly one of the keys"),
        ({"traits": "orders"}, "exactly one of the keys"),
        ({"and": []}, "at least 1 item"),
        ({"and": {"trait": "orders", "exists": True}}, "valid list"),
        ({"not": [ORDERED]}, "exactly one of the keys"),
        ({"trait": "orders"}, "operator is missing"),
        ({"trait": "orders", "at_lest": 5}, "did you mean 'at_least'"),
        ({"trait": "orders", "one_of": []}, "at least 1 item"),
        ({"trait": "born", "within_last": "30"}, "no length of time"),
        ({"trait": "born", "before": "soon"}, "no date"),
        ({"trait": "orders", "equals": {"a": 1}}, "equals"),
        ({"trait": "spent", "at_least": float("nan")}, "finite"),
        ({"event": "Order", "at_least": 0}, "greater than or equal to 1"),
        ({"event": "Order", "at_least": "2"}, "integer"),
        ({"event": "Order", "at_least": 3, "at_most": 2}, "no profile can match"),
        ({"event": "Order", "exactly": 1, "at_most": 2}, "exactly stands alone"),
        ({"event": "Order", "window": {"between": ["30d", "60d"]}}, "longer time comes first"),
        ({"event": "Order", "window": {"between": ["30d"]}}, "at least 2 items"),
        ({"event": "Order", "windw": "30d"}, "windw"),
        ({"consent": "news", "equals": "yes"}, "granted"),
        ({"trait": "city", "equals": "a\x00"}, "NUL"),
        ({"event": "a\x00"}, "NUL"),
        ({"event": "a", "where": {"b\x00": 1}}, "NUL"),
    ],
)
def test_wrong_conditions_say_what_is_wrong(written: dict[str, Any], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        condition_from_dict(written)


def test_nesting_has_a_limit() -> None:
    written: dict[str, Any] = ORDERED
    for _ in range(2000):
        written = {"not": written}
    with pytest.raises(SpecError, match="nested"):
        condition_from_dict(written)


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ({"trait": "oders", "at_least": 1}, "unknown trait 'oders'.*did you mean 'orders'"),
        ({"audience": "alll"}, "unknown audience 'alll'.*did you mean 'all'"),
        ({"trait": "city", "at_least": 5}, "'at_least' does not fit trait 'city', a text .valid: equals"),
        ({"trait": "city", "equals": 5}, "needs text .numbers in quotes."),
        ({"trait": "orders", "equals": "5"}, "needs a number"),
        ({"trait": "orders", "equals": True}, "needs a number"),
        ({"trait": "spent", "within_last": "5d"}, "does not fit trait 'spent', a number"),
        ({"trait": "born", "at_least": 5}, "needs a date"),
        ({"trait": "vip", "one_of": [True]}, "does not fit trait 'vip'"),
        ({"trait": "vip", "equals": "yes"}, "needs true or false"),
        ({"trait": "genres", "equals": "Rock"}, "a list .valid: contains, not_contains, exists"),
        ({"not": {"or": [ORDERED, {"trait": "nope", "exists": True}]}}, "unknown trait 'nope'"),
    ],
)
def test_references_and_operators_are_checked(condition: dict[str, Any], says: str) -> None:
    with pytest.raises(SpecError, match=says) as error:
        check_audiences(specs(all=ORDERED, mine=condition), TYPES)
    assert str(error.value).startswith("audiences.mine: ")


def test_events_that_were_never_seen_are_a_warning() -> None:
    found = specs(a={"event": "Order"}, b={"or": [{"event": "View"}, {"event": "Order"}]})
    assert check_audiences(found, TYPES, events=["Order"]) == ["audiences.b: no event 'View' has been seen so far"]
    assert check_audiences(found, TYPES, events=[]) != []
    assert check_audiences(found, TYPES) == []


def test_a_sql_trait_is_not_judged_before_it_has_run() -> None:
    assert check_audiences(specs(a={"trait": "tier", "equals": "gold"}), {"tier": "unknown"}) == []


def test_a_cycle_is_refused_and_printed() -> None:
    found = specs(a={"audience": "b"}, b={"and": [ORDERED, {"not": {"audience": "c"}}]}, c={"audience": "a"}, d=ORDERED)
    with pytest.raises(SpecError, match="a → b → c → a"):
        check_audiences(found, TYPES)
    with pytest.raises(SpecError, match="x → x"):
        order_of(specs(x={"audience": "x"}))


def test_order_puts_what_is_referred_to_first() -> None:
    found = specs(a={"and": [{"audience": "b"}, {"audience": "c"}]}, b={"audience": "c"}, c=ORDERED)
    assert order_of(found) == ["c", "b", "a"]
    assert references(found["a"].where) == ["b", "c"]
    assert [type(leaf).__name__ for leaf in leaves(found["a"].where)] == ["AudienceCondition", "AudienceCondition"]


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ({"trait": "spent", "at_least": 1500}, "spent is at least 1,500"),
        ({"trait": "city", "not_one_of": ["Ulm", "Bern"]}, "city is none of “Ulm”, “Bern”"),
        ({"trait": "vip", "equals": True}, "vip is yes"),
        ({"trait": "city", "exists": False}, "city is not known"),
        ({"trait": "born", "within_next": "1w"}, "born is within the next week"),
        ({"event": "Order"}, "did Order"),
        ({"event": "Order", "at_most": 0, "window": "30d"}, "did not do Order in the last 30 days"),
        ({"event": "Order", "exactly": 1}, "did Order exactly once"),
        ({"event": "Order", "at_least": 2, "at_most": 5}, "did Order 2 to 5 times"),
        (
            {
                "event": "Order",
                "at_least": 2,
                "window": {"between": ["6w", "1d"]},
                "where": {"total": {"at_least": 50}},
            },
            "did Order at least twice between 6 weeks and 1 day ago where total is at least 50",
        ),
        ({"consent": "news", "equals": "denied"}, "consent to news is denied"),
        (
            {"or": [{"and": [ORDERED, {"audience": "vip"}]}, {"not": {"audience": "b"}}]},
            "(orders is at least 1 and in audience vip) or not (in audience b)",
        ),
    ],
)
def test_words(written: dict[str, Any], line: str) -> None:
    assert words(condition_from_dict(written)) == line


def test_the_json_schema_of_an_audience_can_be_printed() -> None:
    schema = json.dumps(AudienceSpec.model_json_schema(by_alias=True))
    assert all(f'"{word}"' in schema for word in ("within_last", "between", "exactly", "and", "not"))
