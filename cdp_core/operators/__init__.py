"""Operators of conditions: on a trait, on an event's property. Used wherever a condition is written in cdp.yaml."""

from cdp_core.operators.compile import matches
from cdp_core.operators.kinds import KINDS, check_operators, kind_of
from cdp_core.operators.spec import Between, Duration, Operators, Scalar, Text, Where, Window, as_operators, span

__all__ = [
    "KINDS",
    "Between",
    "Duration",
    "Operators",
    "Scalar",
    "Text",
    "Where",
    "Window",
    "as_operators",
    "check_operators",
    "kind_of",
    "matches",
    "span",
]
