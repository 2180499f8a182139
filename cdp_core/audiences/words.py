"""A condition as one line of plain English."""

from __future__ import annotations

from cdp_core.audiences.spec import (
    AllOf,
    AnyOf,
    AudienceCondition,
    Condition,
    ConsentCondition,
    EventCondition,
    Not,
    TraitCondition,
)
from cdp_core.operators.words import operators_words, where_words, window_words

_CONSENT = {"granted": "is granted", "denied": "is denied", "conflict": "is in conflict"}


def words(condition: Condition) -> str:
    """The condition in one line.

    >>> from cdp_core.audiences.spec import condition_from_dict
    >>> words(condition_from_dict({"and": [{"trait": "orders", "at_least": 3},
    ...                                    {"not": {"event": "Order Completed", "window": "30d"}}]}))
    'orders is at least 3 and not (did Order Completed in the last 30 days)'
    """
    if isinstance(condition, AllOf):
        return " and ".join(_inside(c, AnyOf) for c in condition.and_)
    if isinstance(condition, AnyOf):
        return " or ".join(_inside(c, AllOf) for c in condition.or_)
    if isinstance(condition, Not):
        return f"not ({words(condition.not_)})"
    if isinstance(condition, TraitCondition):
        return f"{condition.trait} {operators_words(condition.operators())}"
    if isinstance(condition, EventCondition):
        return f"{_often(condition)}{window_words(condition.window)}{where_words(condition.where)}"
    if isinstance(condition, ConsentCondition):
        return f"consent to {condition.consent} {_CONSENT[condition.equals]}"
    assert isinstance(condition, AudienceCondition)
    return f"in audience {condition.audience}"


def _inside(condition: Condition, mixed: type) -> str:
    return f"({words(condition)})" if isinstance(condition, mixed) else words(condition)


def _often(condition: EventCondition) -> str:
    low, high = condition.bounds()
    if high == 0:
        return f"did not do {condition.event}"
    if high is None:
        return f"did {condition.event}" + ("" if low == 1 else f" at least {_times(low)}")
    if low == high:
        return f"did {condition.event} exactly {_times(low)}"
    return f"did {condition.event} " + (f"{low} to {high} times" if low else f"at most {_times(high)}")


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count:,} times")
