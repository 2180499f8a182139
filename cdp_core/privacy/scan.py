"""One JSON text at the door: members that a control is on are taken out or rewritten, the rest stays as it was written.

It works along brackets, strings and commas, so that repeated keys, numbers that nobody can hold and ends that are
missing are no way around it. `scan_all` does the same to a column.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from cdp_core.privacy.controls import changed_json
from cdp_core.privacy.door import EXTERNAL, MOST_NAMES

if TYPE_CHECKING:
    from cdp_core.privacy.door import Door, Place
    from cdp_core.privacy.spec import Control

Reader = Callable[["Place", str | None], "Control"]
"""The control of the names on the way to a value; the second one is the type of an external id."""
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[\]{}:,]', re.DOTALL)
_STRING = re.compile(rb'"([^"\\]*+(?:\\.[^"\\]*+)*+"\s*+:?)', re.DOTALL)
_COLON = 58
_MUCH = 20_000
"""Bytes from which on it pays to look for all marks in one pass."""


class Member(NamedTuple):
    """Where a controlled member stands: its key, its value, and numbers of tokens before and behind it."""

    start: int
    value: int
    end: int
    control: Control
    name: str
    token: int
    behind: int


def concerns(text: bytes, door: Door) -> bool:
    """Whether any name in a text may have a control; what looks like a name inside of a text counts too."""
    if not marked(text, door):
        return False
    names = {name for name in _STRING.findall(text) if name[-1] == _COLON}
    if names <= door.harmless:
        return False
    clean = {name for name in names if not door.may_concern(_name(name[:-1].rstrip()[:-1]))}
    if len(door.harmless) > MOST_NAMES:
        door.harmless.clear()
    door.harmless.update(clean)
    return len(clean) < len(names)


def marked(text: bytes, door: Door) -> bool:
    """A quick look that lets nothing slip: False where no name in the text, or in several, can have a control."""
    if len(text) > _MUCH:
        told = pl.Series([text.decode(errors="replace")])
        return bool(told.str.contains_any(list(door.marks), ascii_case_insensitive=True)[0])
    lower = text.lower()
    for mark in door.byte_marks:  # noqa: SIM110 - a generator would cost as much as the search
        if mark in lower:
            return True
    return False


def scanned(text: bytes, door: Door, reader: Reader, prefix: Place = ()) -> bytes:
    """The text as it may be stored; the one given where nothing has to go.

    >>> from cdp_core.privacy.door import Door; from cdp_core.privacy.spec import PrivacySpec
    >>> door = Door(PrivacySpec(), "web")
    >>> scanned(b'{"properties": {"a": 1, "password": "x"}}', door, door.of_event)
    b'{"properties": {"a": 1}}'
    """
    if not concerns(text, door):
        return text
    tokens = [(found.start(), found[0]) for found in _TOKEN.finditer(text)]
    found: list[Member] = []
    end = 0
    for member in sorted(_members(text, tokens, reader, prefix)):
        if member.start >= end:
            found.append(member)
            end = member.end
    return _put_together(text, tokens, found, door.key) if found else text


def _members(text: bytes, tokens: list[tuple[int, bytes]], reader: Reader, prefix: Place) -> Iterator[Member]:
    """Controlled members; of nested ones both."""
    outer: list[_Object] = []
    here = _Object(prefix)
    for number, (at, token) in enumerate(tokens):
        follows = tokens[number + 1][1] if number + 1 < len(tokens) else b""
        if token.startswith(b'"'):
            if follows == b":":
                here.begin(number, at, tokens[number + 1][0] + 1, _name(token.strip(b'"')))
            elif here.name == "type" and here.kind is None and number and tokens[number - 1][1] == b":":
                here.kind = _name(token.strip(b'"'))
        elif token in (b"{", b"["):
            outer.append(here)
            here = _Object(here.path())
        elif token in (b"}", b"]"):
            here.finish(number, at)
            yield from here.controlled(reader)
            here = outer.pop() if outer else _Object(prefix)
        elif token == b",":
            here.finish(number, at)
    for left in (here, *reversed(outer)):
        left.finish(len(tokens), len(text))
        yield from left.controlled(reader)


class _Object:
    """An object (or list) on the way; members that it has had."""

    def __init__(self, prefix: Place) -> None:
        self.prefix = prefix
        self.name: str | None = None
        self.kind: str | None = None
        self._begun: tuple[int, int, int] | None = None
        self._members: list[tuple[int, int, int, str, int, int]] = []

    def path(self) -> Place:
        # What is nested deeper than any event is read; longer paths would cost the square of their depth.
        return self.prefix if self.name is None or len(self.prefix) > 100 else (*self.prefix, self.name)

    def begin(self, token: int, start: int, value: int, name: str) -> None:
        self._begun, self.name = (token, start, value), name

    def finish(self, behind: int, end: int) -> None:
        if self._begun is not None and self.name is not None:
            token, start, value = self._begun
            self._members.append((start, value, end, self.name, token, behind))
        self._begun = self.name = None

    def controlled(self, reader: Reader) -> Iterator[Member]:
        for start, value, end, name, token, behind in self._members:
            path = (*self.prefix, name)
            kind = self.kind if path[-3:] == EXTERNAL else None
            if (control := reader(path, kind)) != "allow":
                yield Member(start, value, end, control, kind or name, token, behind)


def _put_together(text: bytes, tokens: list[tuple[int, bytes]], found: list[Member], key: bytes) -> bytes:
    parts, end = [], 0
    for start, stop, instead in _edits(text, tokens, found, key):
        parts += [text[end:start], instead]
        end = stop
    return b"".join([*parts, text[end:]])


def _edits(
    text: bytes, tokens: list[tuple[int, bytes]], found: list[Member], key: bytes
) -> Iterator[tuple[int, int, bytes]]:
    """Neighbours that are dropped go together, with the comma before them, or else the one behind them."""
    number = 0
    while number < len(found):
        first = last = found[number]
        number += 1
        if first.control != "drop":
            raw = text[first.value : first.end].decode(errors="replace")
            yield first.value, first.end, changed_json(first.control, first.name, raw, key).encode(errors="replace")
            continue
        while number < len(found) and found[number].control == "drop" and found[number].token == last.behind + 1:
            last = found[number]
            number += 1
        before = tokens[first.token - 1] if first.token else (0, b"")
        behind = tokens[last.behind][1] if last.behind < len(tokens) else b""
        if before[1] == b",":
            yield before[0], last.end, b""
        else:
            yield first.start, last.end + (behind == b","), b""


def _name(raw: bytes) -> str:
    text = raw.decode(errors="replace")
    if "\\" not in text:
        return text
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text
