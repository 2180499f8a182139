"""From what a person types to a profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from cdp_core.identity.normalise import kind_of, normalise
from cdp_core.identity.spec import IdentitySpec

if TYPE_CHECKING:
    from cdp_core.engine import Engine

PROFILE = "profile_id"


def parse_identifier(text: str, spec: IdentitySpec) -> tuple[str, str] | None:
    """`type:value` in the spelling that tables use; a text without a known type is a profile_id. None: no such value.

    >>> parse_identifier("email: Ann@Example.org", IdentitySpec())
    ('email', 'ann@example.org')
    >>> parse_identifier("p_0123", IdentitySpec())
    ('profile_id', 'p_0123')
    """
    type_, colon, value = text.partition(":")
    type_ = type_.strip()
    if not colon or type_ == PROFILE:
        return PROFILE, (value if colon else text).strip()
    if spec.rules(type_) is None:
        return None
    spelled = normalise(pl.Series([value.strip()]), kind_of(type_, spec), spec.region)[0]
    return (type_, spelled) if spelled else None


def find_profile_id(engine: Engine, spec: IdentitySpec, identifier: str) -> str | None:
    """The living profile that `type:value`, a profile_id or a merged profile_id belongs to; None when there is none."""
    parsed = parse_identifier(identifier, spec)
    if parsed is None:
        return None
    type_, value = parsed
    known = engine.table("user_identifiers")
    if type_ != PROFILE:
        found = known.filter(known.type == type_, known.value == value)
    else:
        merges = engine.table("profile_merges")
        moved = merges.filter(merges.from_profile_id == value)
        found = known.filter(known.profile_id == value).select("profile_id").union(moved.select("profile_id"))
    ids = engine.polars(found.select("profile_id").limit(1))["profile_id"]
    return str(ids[0]) if len(ids) else None
