"""The door of live events, before anything is kept: controls on personal data, and people that are not taken in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from cdp_core.config.doors import doors_of
from cdp_core.privacy.redact import redacted
from cdp_core.privacy.scan import marked, scanned
from cdp_core.privacy.store import PATH, barred, known_key
from cdp_core.privacy.suppression import tombstone

if TYPE_CHECKING:
    from cdp_core.collector.body import Body
    from cdp_core.config import Config
    from cdp_core.identity.spec import IdentitySpec
    from cdp_core.privacy.door import Door

_decode = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(frozen=True)
class Bars:
    """Tombstones of people of whom nothing is taken in."""

    stones: frozenset[str]
    key: bytes
    identity: IdentitySpec

    def holds(self, text: bytes) -> bool:
        """Whether an event is about one of them. One that cannot be read is looked at again when it is loaded."""
        from cdp_core.identity.single import identifiers_of

        try:
            event = _decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        return any(tombstone(one, self.key)[0] in self.stones for one in identifiers_of(event, self.identity))


@dataclass(frozen=True)
class Guard:
    """What stands between the senders of one source and the inbox."""

    door: Door
    bars: Bars | None

    def clean(self, body: Body) -> int:
        """Take out of a request what may not be kept; how many of its events are of people that are barred."""
        received = body.events
        if marked(b"\n".join(received), self.door):
            body.events = [scanned(text, self.door, self.door.of_event) for text in received]
        for name in ("context", "integrations"):
            if name in body.outer:
                text = body.outer[name]
                body.outer[name] = scanned(text, self.door, self.door.of_event, (name,))
        if self.bars is None:
            return 0
        wrapped = b'{"context":' + body.outer["context"] + b"}" if "context" in body.outer else b"{}"
        if self.bars.holds(wrapped):
            body.events = []
        else:
            body.events = [new for old, new in zip(received, body.events, strict=True) if not self._barred(old, new)]
        return len(received) - len(body.events)

    def _barred(self, old: bytes, new: bytes) -> bool:
        """Identifiers are looked up as they came and as they are kept: either may be what was decided about."""
        assert self.bars is not None
        return self.bars.holds(old) or (new is not old and self.bars.holds(new))

    def covered(self, texts: Sequence[bytes]) -> list[bytes]:
        """Texts that cannot be read, without what may not be kept of them."""
        return [self._covered(text) for text in texts]

    def _covered(self, text: bytes) -> bytes:
        clean = scanned(text, self.door, self.door.of_event)
        told = clean.decode(errors="replace")
        made = redacted(told, self.door)
        return clean if made == told else made.encode()


def guards(root: Path, config: Config, sources: Sequence[str]) -> dict[str, Guard]:
    """Source → its guard. Raises SpecError when decisions about people cannot be read, or their key is gone."""
    active, doors = barred(root), doors_of(root, config)
    bars = None
    if active:
        stones = frozenset(stone for each in active for stone in each.tombstones)
        bars = Bars(stones, known_key(root), config.identity)
    return {name: Guard(doors[name], bars) for name in sources}


def decisions_stamp(root: Path) -> tuple[int, ...]:
    """Changes whenever something is decided about a person."""
    try:
        status = (root / PATH).stat()
    except OSError:
        return ()
    return status.st_mtime_ns, status.st_size
