"""What may be written under `traits:`, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from worlds import TRAITS

from cdp_core.errors import SpecError
from cdp_core.profiles.rules import picked_from, rule_words
from cdp_core.profiles.spec import ComputedTrait, PickedTrait, SqlTrait, TraitSpec, check_traits, trait_types

ADAPTER: TypeAdapter[Any] = TypeAdapter(TraitSpec)


def trait(written: dict[str, Any]) -> Any:
    return ADAPTER.validate_python(written)


def test_an_event_name_may_hold_dots() -> None:
    found = trait({"sum": "App v1.2.total"})
    assert (found.event, found.property_name) == ("App v1.2", "total")
    assert trait({"count": "App v1.2"}).event == "App v1.2"


def test_the_keys_say_which_kind_it_is() -> None:
    assert type(trait({})) is PickedTrait
    assert type(trait({"type": "date"})) is PickedTrait
    assert type(trait({"count": "Order"})) is ComputedTrait
    assert type(trait({"sql": "SELECT 1"})) is SqlTrait


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ({"pick": "newest"}, "latest"),
        ({"sum": "Order"}, "Event.property"),
        ({"sum": ".total"}, "Event.property"),
        ({"first": "Order."}, "Event.property"),
        ({"count": " "}, "name of an event"),
        ({"count": "Order", "sum": "Order.total"}, "exactly one"),
        ({"count": "Order", "window": "3 months"}, "no length of time"),
        ({"count": "Order", "window": "0d"}, "no length of time"),
        ({"count": "Order", "window": "999999w"}, "100 years"),
        ({"count": "Order", "where": {"total": {"atleast": 5}}}, "did you mean 'at_least'"),
        ({"count": "Order", "where": {"total": {}}}, "operator is missing"),
        ({"count": "Order", "at_least": 2}, "most_frequent only"),
        ({"count": "Order", "type": "integer"}, "does not go with count"),
        ({"sum": "Order.timestamp"}, "not the event's timestamp"),
        ({"first": "Order.timestamp", "type": "string"}, "datetime"),
        ({"max": "Order.name", "type": "string"}, "needs a number"),
        ({"count": "Order", "colour": "red"}, "colour"),
        ({"pick": "latest", "sources": []}, "at least 1"),
    ],
)
def test_wrong_definitions_say_what_is_wrong(written: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as error:
        trait(written)
    assert says in str(error.value)


@pytest.mark.parametrize("name", list(TRAITS))
def test_a_definition_is_written_as_it_was_read(name: str) -> None:
    assert trait(TRAITS[name]).model_dump(by_alias=True, exclude_unset=True) == TRAITS[name]


def test_kinds_of_columns() -> None:
    kinds = trait_types({name: trait(written) for name, written in TRAITS.items()})
    assert kinds["spent"] == "number"
    assert kinds["due_first"] == "datetime"
    assert kinds["genres"] == "list"
    assert kinds["born"] == "date"
    assert trait_types({"t": SqlTrait(sql="SELECT 1", columns=["a", "b"])}) == {"a": "unknown", "b": "unknown"}


@pytest.mark.parametrize(
    ("traits", "says"),
    [
        ({"events": {}}, "taken by a fixed column"),
        ({"Email": {}, "email": {}}, "taken by trait 'Email'"),
        ({"a": {"sql": "SELECT 1", "columns": ["b", "b"]}}, "taken by trait 'a'"),
        ({"1st": {}}, "cannot be a column"),
        ({'x" ; drop': {}}, "cannot be a column"),
        ({"city": {"sources": ["crn"]}}, "did you mean 'crm'"),
    ],
)
def test_names_and_sources_are_checked(traits: dict[str, Any], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        check_traits({name: trait(written) for name, written in traits.items()}, ["crm", "shop"])


@pytest.mark.parametrize("written", [{}, {"from": "city"}, {"sources": ["a", "b"]}, {"from": "x y", "sources": ["a"]}])
def test_a_rule_in_words_can_be_read_back(written: dict[str, Any]) -> None:
    found = picked_from("home", rule_words("home", trait(written)))
    assert found == (written.get("from", "home"), written.get("sources", []))
    assert picked_from("home", "count Order") is None
