"""A trait's rule in a few words, as shown with each golden value."""

from __future__ import annotations

import re

from cdp_core.operators.words import where_words, window_words
from cdp_core.profiles.spec import ComputedTrait, PickedTrait, TraitSpec


def rule_words(name: str, trait: TraitSpec) -> str:
    """The rule in one line.

    >>> rule_words("total_spent", ComputedTrait(sum="Order Completed.total", window="90d"))
    'sum Order Completed.total in the last 90 days'
    >>> rule_words("email", PickedTrait(pick="source_order", sources=["crm", "shop"]))
    'pick source_order (crm, shop)'
    """
    if isinstance(trait, PickedTrait):
        origin = f" from {trait.from_}" if trait.from_ and trait.from_ != name else ""
        return f"pick {trait.pick}{origin}" + (f" ({', '.join(trait.sources)})" if trait.sources else "")
    if isinstance(trait, ComputedTrait):
        return f"{trait.how} {trait.reads}{window_words(trait.window)}{where_words(trait.where)}"
    return "sql"


def picked_from(name: str, rule: str) -> tuple[str, list[str]] | None:
    """What the rule of a picked trait reads: the name in the events, and the sources (empty for all); else None.

    >>> picked_from("home", "pick latest from city (crm, shop)")
    ('city', ['crm', 'shop'])
    """
    found = re.fullmatch(r"pick [a-z_]+(?: from (.+?))?(?: \((.+)\))?", rule)
    if not found:
        return None
    return found[1] or name, found[2].split(", ") if found[2] else []
