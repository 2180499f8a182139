"""Which rows are a person's, in every table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cdp_core.identity.identifiers import spellings
from cdp_core.runs.dedupe import KEY

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.config import Config
    from cdp_core.engine import Engine

Identifier = tuple[str, str]
TELLING = 8
"""A value of so many signs names somebody wherever it stands; a shorter one only under the name of its type."""
_PROFILE_TABLES = (
    "user_identifiers", "event_profiles", "profiles", "profile_traits", "audience_members", "audience_changes",
    "consents", "suppressed_profiles",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Person:
    """Whom to look for: `identifiers` (type, value) as tables spell them, `spellings` as sources do, `profile_ids` the
    profile's and those that went into it.
    """

    identifiers: frozenset[Identifier]
    spellings: frozenset[Identifier] = frozenset()
    profile_ids: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Rows of one table that are the person's: `rows` has the columns of `key` at least, by which they are known."""

    table: str
    key: tuple[str, ...]
    rows: ir.Table


def whole_person(engine: Engine, config: Config, profile_id: str | None, named: Iterable[Identifier]) -> Person:
    """Everything by which a profile is known: its identifiers, their spellings in its events, its former ids."""
    if profile_id is None:
        return Person(identifiers=frozenset(named))
    known, merges = engine.table("user_identifiers"), engine.table("profile_merges")
    own = engine.polars(known.filter(known.profile_id == profile_id).select("type", "value"))
    was = engine.polars(merges.filter(merges.profile_id == profile_id).select("from_profile_id"))
    person = Person(
        identifiers=frozenset(own.iter_rows()) | frozenset(named),
        profile_ids=frozenset([profile_id, *was["from_profile_id"]]),
    )
    return Person(
        identifiers=person.identifiers,
        profile_ids=person.profile_ids,
        spellings=_spellings(engine, config, engine.keep(_linked(engine, person))),
    )


def traces(engine: Engine, config: Config, person: Person) -> list[Trace]:
    """The person's rows in every table that holds people."""
    events = engine.keep(events_of(engine, config, person))
    found = [Trace(table="events", key=tuple(KEY), rows=events)]
    found.append(Trace(table="quarantine", key=tuple(KEY), rows=held_rows(engine, config, person)))
    found += [_of_profile(engine, name, person) for name in _PROFILE_TABLES]
    found += _of_ledger(engine, person)
    found += _of_identity(engine, person)
    return [Trace(table=one.table, key=one.key, rows=engine.keep(one.rows)) for one in found]


def events_of(engine: Engine, config: Config, person: Person) -> ir.Table:
    """source, message_id: events of the profile, other versions of their rows, and events that no profile has but that
    bear one of the identifiers (they came after the last resolution).
    """
    linked = engine.keep(_linked(engine, person))
    events = engine.table("events")
    row = ["source", "row_key"]
    rows = events.semi_join(linked, KEY).filter(lambda t: t.row_key.notnull()).select(*row).distinct()
    versions = events.filter(events.row_key.notnull()).semi_join(rows, row).select(*KEY)
    return linked.union(versions).union(_unresolved(engine, config, person)).distinct()


def _linked(engine: Engine, person: Person) -> ir.Table:
    links = engine.table("event_profiles")
    return links.filter(links.profile_id.isin(sorted(person.profile_ids))).select(*KEY)


def _unresolved(engine: Engine, config: Config, person: Person) -> ir.Table:
    from cdp_core.identity.identifiers import know, see

    rest = engine.keep(engine.table("events").anti_join(engine.table("event_profiles"), KEY))
    seen = see(engine, rest, config.identity, all_count=True)
    known = know(engine, seen, config.identity)
    nodes = known.nodes.semi_join(_pairs(engine, person.identifiers), ["type", "value"]).select("node")
    tuples = known.members.semi_join(nodes, "node").select("tuple").distinct()
    return seen.events.semi_join(tuples, "tuple").select(*KEY)


def _spellings(engine: Engine, config: Config, linked: ir.Table) -> frozenset[Identifier]:
    from cdp_core.identity.identifiers import see

    seen = see(engine, engine.table("events").semi_join(linked, KEY), config.identity, all_count=True)
    return frozenset(engine.polars(seen.parts.select("type", "raw").distinct()).iter_rows())


def held_rows(engine: Engine, config: Config, person: Person) -> ir.Table:
    """Rows of the quarantine whose content names the person: most could not be read as events, so text is looked at."""
    held = engine.table("quarantine")
    pattern = pattern_of(config, person)
    if pattern is None:
        return held.limit(0).select(*KEY)
    text = held.payload.fill_null("") + "\n" + held.fixed.fill_null("")
    return held.filter(text.lower().re_search(pattern)).select(*KEY)


def pattern_of(config: Config, person: Person) -> str | None:
    """A regular expression for lower-case text that names the person; None when nothing is known of them."""
    strong: set[str] = set()
    weak: dict[str, set[str]] = {}
    for type_, value in person.identifiers | person.spellings:
        spelled = value.strip().lower()
        if not spelled:
            continue
        if is_telling(type_, spelled):
            strong |= {spelled, spelled.replace('"', '\\"')}
        else:
            weak.setdefault(type_, set()).add(spelled)
    parts = [rf"(?:^|[^a-z0-9._%+@-])(?:{_any(strong)})(?:$|[^a-z0-9.@-]|\.(?:$|[^a-z0-9]))"] if strong else []
    for type_, values in sorted(weak.items()):
        parts.append(rf'"(?:{_any(_keys(config, type_))})"\s*:\s*"?(?:{_any(values)})"?\s*[,}}\n]')
    return "|".join(parts) or None


def is_telling(type_: str, value: str) -> bool:
    """Whether a value names somebody wherever it stands.

    >>> is_telling("email", "a@b.org"), is_telling("user_id", "42"), is_telling("user_id", "usr_0042a")
    (True, False, True)
    """
    return type_.endswith("email") or (len(value) >= TELLING and not value.isalpha())


def _any(values: Iterable[str]) -> str:
    return "|".join(re.escape(value) for value in sorted(values))


def _keys(config: Config, type_: str) -> set[str]:
    """What a value of a type stands under in JSON: the type's name, in camel case too, and columns mapped to it."""
    found = {key.lower() for key in spellings(type_)}
    for source in config.sources.values():
        named: Mapping[str, Any] = source.map.identifiers if source.map is not None else {}
        column = named.get(type_)
        if column is not None:
            found.add(str(getattr(column, "column", column)).lower())
    return found


def _of_profile(engine: Engine, name: str, person: Person) -> Trace:
    table = engine.table(name)
    rows = table.filter(table.profile_id.isin(sorted(person.profile_ids)))
    return Trace(table=name, key=("profile_id",), rows=rows.select("profile_id").distinct())


def ledger_rows(engine: Engine, person: Person, name: str = "sync_ledger") -> ir.Table:
    """sync and key of the person's rows in the ledger, or in its log."""
    table, ids = engine.table(name), sorted(person.profile_ids)
    named = sorted({*ids, *(value for type_, value in person.identifiers if is_telling(type_, value))})
    return table.filter(table.profile_id.isin(ids) | table.key.isin(named)).select("sync", "key").distinct()


def _of_ledger(engine: Engine, person: Person) -> list[Trace]:
    rows = engine.keep(ledger_rows(engine, person))
    logged = rows.union(ledger_rows(engine, person, "sync_log")).distinct()
    key = ("sync", "key")
    return [Trace(table="sync_ledger", key=key, rows=rows), Trace(table="sync_log", key=key, rows=logged)]


def _of_identity(engine: Engine, person: Person) -> list[Trace]:
    pairs = _pairs(engine, person.identifiers)
    sides = ("left_type", "left_value"), ("right_type", "right_value")
    found = []
    for name in ("identity_links", "identity_matches"):
        table = engine.table(name)
        for side in sides:
            rows = table.select(*side).semi_join(pairs.rename(dict(zip(side, ("type", "value"), strict=True))), side)
            found.append(Trace(table=name, key=side, rows=rows.distinct()))
    conflicts = engine.table("identity_conflicts")
    for side in (("type", "value"), *sides):
        rows = conflicts.select(*side).semi_join(pairs.rename(dict(zip(side, ("type", "value"), strict=True))), side)
        found.append(Trace(table="identity_conflicts", key=side, rows=rows.distinct()))
    merges = engine.table("profile_merges")
    gone = merges.filter(merges.profile_id.isin(sorted(person.profile_ids))).select("from_profile_id").distinct()
    found.append(Trace(table="profile_merges", key=("from_profile_id",), rows=gone))
    compared = engine.table("identity_compared")
    names = sorted(":".join(one) for one in person.identifiers)
    record = compared.filter(compared.record.isin(names)).select("record")
    return [*found, Trace(table="identity_compared", key=("record",), rows=record)]


def _pairs(engine: Engine, identifiers: Iterable[Identifier]) -> ir.Table:
    import polars as pl

    rows = sorted(identifiers)
    return engine.frame(
        pl.DataFrame(
            {"type": [t for t, _ in rows], "value": [v for _, v in rows]},
            schema={"type": pl.String, "value": pl.String},
        )
    )
