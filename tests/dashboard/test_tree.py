"""Conditions survive the way into the form and back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cdp_core as cdp
from cdp_core.dashboard.views import tree

CONDITIONS: list[dict[str, Any]] = [
    {"trait": "total_spent", "at_least": 500},
    {"trait": "city", "one_of": ["Leeds", "York"]},
    {"trait": "email", "exists": False},
    {"not": {"trait": "email", "exists": True}},
    {"event": "Order Completed"},
    {"event": "Order Completed", "at_least": 3, "window": "60d", "where": {"total": {"at_least": 50}}},
    {"not": {"event": "Order Completed", "window": "60d"}},
    {"audience": "high_value"},
    {"consent": "newsletter", "equals": "granted"},
    {"and": [{"trait": "orders", "at_least": 1}, {"or": [{"audience": "a"}, {"not": {"audience": "b"}}]}]},
    {"not": {"or": [{"audience": "a"}, {"audience": "b"}]}},
]
SIMPLE = st.sampled_from(CONDITIONS[:9])
TREES = st.recursive(
    SIMPLE,
    lambda inner: st.builds(
        lambda joiner, parts: {joiner: parts}, st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_round_trip(condition: dict[str, Any]) -> None:
    assert tree.to_condition(tree.from_condition(condition)) == condition


@given(TREES)
def test_nested_trees_round_trip(condition: dict[str, Any]) -> None:
    assert tree.to_condition(tree.from_condition(condition)) == condition
    assert tree.from_yaml(tree.as_yaml(condition)) == condition


@pytest.mark.parametrize(
    "condition",
    [
        {"event": "Order Completed", "window": {"between": ["60d", "30d"]}},
        {"event": "Order Completed", "at_least": 1, "at_most": 3},
        {"trait": "orders", "at_least": 1, "less_than": 5},
        {"and": [{"audience": "a"}, {"trait": "orders", "new_operator": 1}]},
    ],
)
def test_what_the_form_cannot_show_is_left_to_yaml(condition: dict[str, Any]) -> None:
    with pytest.raises(tree.NotEditable):
        tree.from_condition(condition)


def test_unfinished_lines_are_no_conditions() -> None:
    group = tree.Group(children=[tree.Line(), tree.Line(name="orders", op="at_least", value=None), tree.Group()])
    assert tree.to_condition(group) is None
    group.children.append(tree.Line(name="orders", op="at_least", value=0))
    assert tree.to_condition(group) == {"trait": "orders", "at_least": 0}


def test_remove_reaches_every_depth() -> None:
    test = tree.Test("total", "at_least", 5)
    line = tree.Line("event", "Order Completed", tests=[test])
    group = tree.Group(children=[tree.Group("or", children=[line])])
    tree.remove(group, test.id)
    assert line.tests == []
    tree.remove(group, line.id)
    assert tree.to_condition(group) is None


@pytest.mark.parametrize("text", ["- a list", "trait: [", "just text", ""])
def test_yaml_that_is_no_condition(text: str) -> None:
    with pytest.raises(ValueError, match=r"mapping|line"):
        tree.from_yaml(text)


def test_every_operator_of_the_form_is_one_of_cdp_yaml() -> None:
    schema = cdp.schema()
    known = next(d for n, d in schema["$defs"].items() if n == "TraitCondition")["properties"]
    assert set(tree.OPERATORS) - {"missing"} == set(known) - {"trait"}
    assert {op for ops in tree.FITTING.values() for op in ops} <= set(tree.OPERATORS)
