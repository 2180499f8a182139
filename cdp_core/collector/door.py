"""A first look at received events: what the spec, the limits and the key forbid, and what was here before.

It says what the answer says. What is stored, held or a duplicate for good is decided when the events are loaded, by the
same rules as for every source, and by the suites.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from cdp_core.inbox.limits import MAX_BATCH_EVENTS, MAX_EVENT_BYTES
from cdp_core.sources import collector, segment_events
from cdp_core.tracking import TYPES

SAID = {
    **segment_events.SAID,
    **collector.RULES,
    "parse.json": "it is no JSON",
    "parse.object": "it is JSON, but no object",
}
"""Rules in words, the same that stand in the quarantine."""


class _Object(msgspec.Struct):
    """Any JSON object."""


class _Event(msgspec.Struct):
    type: Literal["identify", "track", "page", "screen", "group", "alias"] | None = None
    event: str | None = None
    messageId: str | None = None  # noqa: N815
    userId: str | int | None = None  # noqa: N815
    anonymousId: str | int | None = None  # noqa: N815
    groupId: str | int | None = None  # noqa: N815
    properties: _Object | None = None
    traits: _Object | None = None
    context: _Object | None = None


_strict = msgspec.json.Decoder(_Event).decode
_loose = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(slots=True)
class Verdict:
    """`ids` are the message ids of events that passed; `wrong` maps a place in the request to a rule, `words` to what
    is to be said of it where the rule alone does not tell.
    """

    ids: list[str] = field(default_factory=list)
    wrong: dict[int, str] = field(default_factory=dict)
    words: dict[int, str] = field(default_factory=dict)

    def hold(self, index: int, rule: str, words: str, message_id: str | None) -> None:
        """Take back that an event has passed."""
        self.wrong[index], self.words[index] = rule, words
        if message_id in self.ids:
            self.ids.remove(message_id)


def look(events: Sequence[bytes], path_type: str | None, *, browser: bool, unsound: bool = False) -> Verdict:
    """Judge every event of a request. `path_type` is what the address says the events are; `unsound`: what the request
    says of all its events cannot be read.
    """
    verdict = Verdict()
    if unsound:
        return Verdict(wrong=dict.fromkeys(range(len(events)), "spec.envelope"))
    for index, text in enumerate(events[:MAX_BATCH_EVENTS]):
        if len(text) > MAX_EVENT_BYTES:
            verdict.wrong[index] = "limit.event_size"
            continue
        try:
            event = _strict(text)
            rule = _broken_rule(event, event.type or path_type, text, browser)
            message_id = event.messageId
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            rule, message_id = _closely(text, path_type, browser)
        if rule is not None:
            verdict.wrong[index] = rule
        elif message_id:
            verdict.ids.append(message_id)
    for index in range(MAX_BATCH_EVENTS, len(events)):
        verdict.wrong[index] = "limit.batch"
    return verdict


def _broken_rule(event: _Event, kind: str | None, text: bytes, browser: bool) -> str | None:
    if kind is None:
        return "spec.type"
    if kind == "track" and not event.event:
        return "spec.event"
    if browser and kind == "alias":
        return "key.alias"
    known = event.userId or event.anonymousId or (kind == "group" and event.groupId) or b'"externalIds"' in text
    return None if known else "spec.no_identifier"


def _closely(text: bytes, path_type: str | None, browser: bool) -> tuple[str | None, str | None]:
    """An event that is unusual: broken, or with values of other types, some of which are harmless."""
    try:
        event = _loose(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ("parse.json", None) if text.lstrip().startswith(b"{") else ("parse.object", None)
    kind = event.get("type") or path_type
    kind = kind.strip().lower() if isinstance(kind, str) else None
    if kind not in TYPES:
        return "spec.type", None
    if any(event.get(k) is not None and not isinstance(event[k], dict) for k in ("properties", "traits", "context")):
        return "spec.object", None
    told = _Event()
    for name in ("messageId", "userId", "anonymousId", "groupId"):
        setattr(told, name, _as_text(event.get(name)))
    told.event = _as_text(event.get("event")) or _as_text(event.get("name"))
    return _broken_rule(told, kind, text, browser), told.messageId


def _as_text(value: Any) -> str | None:
    text = "" if value is None else str(value).strip()
    return text or None


class Recent:
    """Message ids that came lately, so that an answer can say what is a duplicate; bounded in memory."""

    def __init__(self, most: int = 500_000) -> None:
        self._most = most
        self._young: set[int] = set()
        self._old: set[int] = set()

    def repeated(self, source: str, ids: Sequence[str]) -> int:
        """How many of `ids` have been here, or stand here twice."""
        marks = [hash((source, i)) for i in ids]
        fresh = {m for m in marks if m not in self._young and m not in self._old}
        return len(marks) - len(fresh)

    def add(self, source: str, ids: Sequence[str]) -> None:
        self._young.update(hash((source, i)) for i in ids)
        if len(self._young) > self._most:
            self._young, self._old = set(), self._young
