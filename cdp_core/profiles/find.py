"""Search for people, and from whatever names a person to the profile id."""

from __future__ import annotations

import functools
import operator
import re
from typing import TYPE_CHECKING

from cdp_core.errors import UsageError

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.engine import Engine

_MOST_MERGES = 50


def find_profiles(engine: Engine, text: str, limit: int = 20) -> pl.DataFrame:
    """Profiles that `text` finds: by an identifier or profile id (exact, then by its beginning), then by any part of
    a name. An exact hit ends the search, unless `text` is letters only and may be a name as well.

    `text` may be `type:value`. Rows are those of profiles, best first, behind the columns `matched` (the identifier
    as `type:value`, or `name`) and `how` (exact, prefix, name). Names are text traits with "name" in their own name.

    >>> find_profiles(engine, "ann@example.org").row(0, named=True)["how"]  # doctest: +SKIP
    'exact'
    """
    import polars as pl

    text = text.strip()
    found = pl.DataFrame(schema={"profile_id": pl.String, "matched": pl.String, "how": pl.String})
    for step in (_exact, _prefix, _by_name) if text else ():
        rows = step(engine, text, limit)
        if rows is not None:
            found = pl.concat([found, engine.polars(rows).select(found.columns)])
            found = found.unique("profile_id", keep="first", maintain_order=True)
        named = step is _exact and len(found) and not text.replace(" ", "").isalpha()
        if named or len(found) >= limit:
            break
    found = found.head(limit)
    profiles = engine.table("profiles")
    rows = engine.polars(profiles.filter(profiles.profile_id.isin(found["profile_id"].to_list() or [""])))
    return found.join(rows, on="profile_id", how="inner", maintain_order="left")


def resolve_profile(engine: Engine, reference: str) -> str:
    """The profile id that a profile id, the id of a profile that was merged away, or `type:value` stands for.

    Raises UsageError when there is none.
    """
    import polars as pl

    reference = reference.strip()
    profiles = engine.table("profiles")
    known = profiles.select("profile_id", rank=_rank(0)).filter(profiles.profile_id == reference)
    found = engine.polars(known.union(_by_identifier(engine, reference)))
    if len(found):
        return str(found.sort(pl.col("rank"), "profile_id")["profile_id"][0])
    survivor = _survivor(engine, reference)
    if survivor is None:
        raise UsageError(
            "no profile has this id or identifier", hint="identifiers are written type:value; or search by name"
        )
    return survivor


def _by_identifier(engine: Engine, reference: str) -> ir.Table:
    rows = engine.table("user_identifiers")
    kind, _, value = reference.partition(":")
    mine = (rows.type == kind) & rows.value.isin(_forms(value))
    return rows.filter(mine).select("profile_id", rank=(rows.value != value).ifelse(2, 1).cast("int64"))


def _survivor(engine: Engine, profile_id: str) -> str | None:
    merges = engine.table("profile_merges")
    for _ in range(_MOST_MERGES):
        step = merges.filter(merges.from_profile_id == profile_id)
        found = engine.polars(step.order_by(step["at"].desc()).select("profile_id").limit(1))
        if not len(found):
            return None
        profile_id = str(found.item())
        profiles = engine.table("profiles")
        if engine.polars(profiles.filter(profiles.profile_id == profile_id).count().as_table()).item():
            return profile_id
    return None


def _exact(engine: Engine, text: str, limit: int) -> ir.Table:
    import ibis

    rows = engine.table("user_identifiers")
    kind, colon, value = text.partition(":")
    mine = rows.value.isin(_forms(text))
    if colon:
        mine = mine | ((rows.type == kind) & rows.value.isin(_forms(value)))
    found = rows.filter(mine).select("profile_id", matched=_identifier(rows), how=ibis.literal("exact"))
    profiles = engine.table("profiles")
    ids = profiles.filter(profiles.profile_id == text)
    merges = engine.table("profile_merges")
    old = merges.filter(merges.from_profile_id == text)
    parts = [
        found,
        ids.select("profile_id", matched=ibis.literal("profile_id:") + ids.profile_id, how=ibis.literal("exact")),
        old.select("profile_id", matched=ibis.literal("profile_id:") + old.from_profile_id, how=ibis.literal("exact")),
    ]
    return ibis.union(*parts).order_by("matched", "profile_id").limit(limit)


def _prefix(engine: Engine, text: str, limit: int) -> ir.Table:
    import ibis

    rows = engine.table("user_identifiers")
    kind, colon, value = text.partition(":")
    mine = _starts(rows.value, text)
    if colon and value:
        mine = mine | ((rows.type == kind) & _starts(rows.value, value))
    found = rows.filter(mine).select("profile_id", matched=_identifier(rows), how=ibis.literal("prefix"))
    return found.order_by("matched", "profile_id").limit(limit)


def _by_name(engine: Engine, text: str, limit: int) -> ir.Table | None:
    import ibis

    profiles = engine.table("profiles")
    schema = profiles.schema()
    names = [profiles[c].fill_null("") for c in schema if "name" in c.lower() and schema[c].is_string()]
    if not names:
        return None
    whole = functools.reduce(lambda a, b: a + " " + b, names).lower()
    holds = [whole.contains(ibis.literal(word, "string")) for word in text.lower().split()]
    found = profiles.filter(functools.reduce(operator.and_, holds))
    found = found.order_by(found.last_seen.desc(), found.profile_id).limit(limit)
    return found.select("profile_id", matched=ibis.literal("name"), how=ibis.literal("name"))


def _starts(value: ir.StringValue, text: str) -> ir.BooleanValue:
    import ibis

    starts = [value.startswith(ibis.literal(form, "string")) for form in _forms(text)]
    return functools.reduce(operator.or_, starts)


def _forms(text: str) -> list[str]:
    """The ways in which a typed value may be stored: as typed, in small letters, a phone number without gaps."""
    forms = [text, text.lower()]
    if re.fullmatch(r"[+0-9][0-9 ()./-]{4,}", text):
        forms.append(re.sub(r"[^+0-9]", "", text))
    return list(dict.fromkeys(forms))


def _identifier(rows: ir.Table) -> ir.StringValue:
    return rows.type + ":" + rows.value


def _rank(number: int) -> ir.IntegerScalar:
    import ibis

    return ibis.literal(number, "int64")
