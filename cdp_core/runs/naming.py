"""Which rows that belong to no profile name a person: held rows, requests that wait, events of nobody.

An address, a telephone number or a long id is looked for anywhere in the text, whole. A short id such as `7` is found
only where an identifier of its type stands, since elsewhere it is anything.
"""

from __future__ import annotations

import functools
import json
import operator
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cdp_core.identity.identifiers import spellings
from cdp_core.identity.normalise import kind_of, normalise

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.config import Config
    from cdp_core.engine import Engine
    from cdp_core.privacy.tombstones import Identifier

LONG = 12
"""Letters from which on an id is taken to be nobody else's, wherever it stands."""
_TAIL = 6
"""Digits at the end of a telephone number, which every writing of it has."""
_BEFORE, _AFTER = r"(?:^|[^a-z0-9._%+\-])", r"(?:$|\.?(?:$|[^a-z0-9._%+\-@]))"


def naming(engine: Engine, config: Config, rows: ir.Table, column: str, identifiers: Sequence[Identifier]) -> ir.Table:
    """Of rows with `source` and a text, mostly JSON, those that name one of the identifiers (as tables spell them)."""
    if not identifiers:
        return rows.limit(0)
    near = engine.keep(rows.filter(_near(rows[column], identifiers, config)))
    parts = [_anywhere(near[column], identifiers, config), *_in_place(engine, config, near, column, identifiers)]
    return near.filter(functools.reduce(operator.or_, [p.fill_null(False) for p in parts if p is not None]))


def _near(text: ir.Value, identifiers: Sequence[Identifier], config: Config) -> Any:
    """A cheap look first: the text has what every writing of one of the values has."""
    conditions: list[Any] = []
    lower, digits = text.lower(), text.re_replace(r"[^0-9]", "")
    for type_, value in identifiers:
        kind = kind_of(type_, config.identity)
        if kind == "phone":
            conditions.append(digits.contains(value[-_TAIL:]))
        elif kind == "email":
            conditions.append(lower.contains(value.partition("@")[0].lower()))
        else:
            conditions.append(lower.contains(value.lower()) | text.contains("\\u"))
    return functools.reduce(operator.or_, conditions)


def _anywhere(text: ir.Value, identifiers: Sequence[Identifier], config: Config) -> Any:
    values = [value for type_, value in identifiers if _is_distinct(type_, value, config)]
    if not values:
        return None
    pattern = "|".join(re.escape(value.lower()) for value in values)
    return text.lower().re_search(f"{_BEFORE}(?:{pattern}){_AFTER}")


def _is_distinct(type_: str, value: str, config: Config) -> bool:
    return kind_of(type_, config.identity) != "text" or len(value) >= LONG


def _in_place(
    engine: Engine, config: Config, rows: ir.Table, column: str, identifiers: Sequence[Identifier]
) -> Iterator[Any]:
    """Conditions on the places where identifiers stand, compared in the spelling of tables."""
    sound = engine.json_valid(rows[column]).ifelse(rows[column], None)
    own: dict[str, list[str]] = {}
    for type_, value in identifiers:
        own.setdefault(type_, []).append(value)
    places: dict[str, tuple[str, Any]] = {}
    for type_, values in own.items():
        for source, keys in _places(config, type_):
            place = engine.json_text(sound, *keys)
            place = place if source is None else (rows.source == source).ifelse(place, None)
            places[f"place_{len(places)}"] = (type_, place)
        external = engine.json_text(sound, "context", "externalIds")
        for value in values:
            yield external.contains(json.dumps(value, ensure_ascii=False)) & external.contains(f'"{type_}"')
    raws = engine.polars(rows.select(**{name: place for name, (_, place) in places.items()}).distinct())
    for name, (type_, place) in places.items():
        if same := _spelled_alike(raws[name].unique(), type_, own[type_], config):
            yield place.isin(same)


def _places(config: Config, type_: str) -> Iterator[tuple[str | None, tuple[str, ...]]]:
    """(source or None for all, keys) of every place where an identifier of a type may stand in a row or an event."""
    names = spellings(type_)
    for name in names:
        yield None, (name,)
        for inside in (("traits",), ("properties",), ("context", "traits")):
            yield None, (*inside, name)
    for source, spec in config.sources.items():
        mapped = spec.map.identifiers.get(type_) if spec.map else None
        if mapped and mapped not in names:
            yield source, (mapped,)


def _spelled_alike(raws: pl.Series, type_: str, values: Sequence[str], config: Config) -> list[str]:
    raws = raws.drop_nulls()
    if raws.is_empty():
        return []
    spelled = normalise(raws.str.strip_chars(), kind_of(type_, config.identity), config.identity.region)
    return raws.filter(spelled.is_in(list(values)).fill_null(False)).to_list()
