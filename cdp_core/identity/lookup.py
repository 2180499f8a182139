"""From what a person types to a profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from cdp_core.identity.normalise import kind_of, normalise, normalise_values
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


def as_ruled(text: str, spec: IdentitySpec) -> str | None:
    """The same `type:value` under the name that the rules give its type, where only the case is another.

    >>> as_ruled("EMAIL:ann@example.org", IdentitySpec())
    'email:ann@example.org'
    >>> as_ruled("email:ann@example.org", IdentitySpec())
    """
    type_, colon, value = text.partition(":")
    said = type_.strip()
    named = next((name for name in spec.identifiers if name.lower() == said.lower() and name != said), None)
    return f"{named}:{value}" if colon and named and said not in spec.identifiers else None


def is_blocked(type_: str, value: str, spec: IdentitySpec) -> bool:
    """Whether the rules say that a value stands for nobody.

    >>> is_blocked("user_id", "anonymous", IdentitySpec()), is_blocked("user_id", "ann", IdentitySpec())
    (True, False)
    """
    meant = normalise_values(pl.DataFrame({"type": [type_], "raw": [value]}), spec)
    return "blocked" in meant["problem"].to_list()


def find_profile_id(engine: Engine, spec: IdentitySpec, identifier: str) -> str | None:
    """The living profile that `type:value`, a profile_id or a merged profile_id belongs to; None when there is none.

    A type that nobody bears in that case is looked for as `as_ruled` has it.
    """
    parsed, ruled = parse_identifier(identifier, spec), as_ruled(identifier, spec)
    if parsed is None:
        return find_profile_id(engine, spec, ruled) if ruled else None
    type_, value = parsed
    known = engine.table("user_identifiers")
    if type_ != PROFILE:
        found = known.filter(known.type == type_, known.value == value)
    else:
        merges = engine.table("profile_merges")
        moved = merges.filter(merges.from_profile_id == value)
        found = known.filter(known.profile_id == value).select("profile_id").union(moved.select("profile_id"))
    ids = engine.polars(found.select("profile_id").limit(1))["profile_id"]
    if len(ids):
        return str(ids[0])
    return find_profile_id(engine, spec, ruled) if ruled else None
