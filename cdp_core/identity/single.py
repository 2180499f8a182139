"""Who one event is about, as `identifiers` reads it from many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import polars as pl

from cdp_core.identity.identifiers import OWN, spellings
from cdp_core.identity.normalise import kind_of, normalise
from cdp_core.identity.spec import IdentitySpec

_SENT = {"user_id": "userId", "anonymous_id": "anonymousId", "group_id": "groupId"}


def identifiers_of(event: Mapping[str, Any], spec: IdentitySpec) -> Iterator[tuple[str, str]]:
    """Identifiers (type, value) of a decoded event of the Segment spec, in the spelling of tables. What an alias calls
    `previousId` may be either kind of id.

    >>> event = {"type": "identify", "userId": "7", "traits": {"email": "Ann@Example.org"}}
    >>> list(identifiers_of(event, IdentitySpec()))
    [('user_id', '7'), ('email', 'ann@example.org')]
    """
    for type_, value in _said(event, spec):
        text = value if isinstance(value, str) else str(value) if type(value) is int else ""
        if text and spec.rules(type_) and (spelled := _spelled(text, kind_of(type_, spec), spec.region)):
            yield type_, spelled


def _said(event: Mapping[str, Any], spec: IdentitySpec) -> Iterator[tuple[str, Any]]:
    for name, key in _SENT.items():
        if name != "group_id" or name in spec.identifiers:
            yield name, event.get(key)
    if event.get("type") == "alias":
        yield from (("user_id", event.get("previousId")), ("anonymous_id", event.get("previousId")))
    context = _object(event.get("context"))
    listed = context.get("externalIds")
    for each in listed if isinstance(listed, list) else ():
        if (
            isinstance(each, dict)
            and each.get("collection", "users") != "accounts"
            and isinstance(each.get("type"), str)
        ):
            yield each["type"], each.get("id")
    traits = {} if event.get("type") == "group" else _object(event.get("traits"))
    for name in spec.identifiers:
        if name not in OWN:
            for key in spellings(name):
                for holder in (traits, _object(event.get("properties")), _object(context.get("traits"))):
                    yield name, holder.get(key)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


@lru_cache(maxsize=50_000)
def _spelled(text: str, kind: str, region: str) -> str | None:
    shown = text.replace("\x00", "").strip()
    if kind == "text":
        return shown if shown and shown[0] not in "[{" else None
    found: str | None = normalise(pl.Series([shown]), kind, region)[0]
    return found
