"""Who may send, from where, and how much."""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from cdp_core.collector.guard import decisions_stamp, guards
from cdp_core.collector.planned import plan_doors, plans_stamp
from cdp_core.config import load_config
from cdp_core.errors import CDPError
from cdp_core.inbox.files import SOURCE_TYPE
from cdp_core.inbox.keys import KeyRing, WriteKey
from cdp_core.sources.base import check_source

if TYPE_CHECKING:
    from cdp_core.config import Config
    from cdp_core.sources.collector import CollectorOptions

_LOOK_EVERY = 1.0


def live_sources(config: Config) -> dict[str, CollectorOptions]:
    """Sources of cdp.yaml that are sent to the collector, with their options."""
    live = {name: spec for name, spec in config.sources.items() if spec.type == SOURCE_TYPE}
    return {name: cast("CollectorOptions", check_source(name, spec)) for name, spec in live.items()}


def key_of(headers: dict[bytes, bytes], query: str | None) -> str | None:
    """The write key of a request: Basic (as user), X-Write-Key, or `writeKey` of the address.

    Jitsu's clients insist on a secret behind a colon; it is not looked at.
    """
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"basic":
        try:
            text = base64.b64decode(token.strip(), validate=True).decode(errors="replace")
        except (binascii.Error, ValueError):
            return None
        return text.partition(":")[0] or query
    if scheme.lower() == b"bearer" and token:
        return token.strip().decode(errors="replace")
    given = headers.get(b"x-write-key", b"").decode(errors="replace").strip() or query
    return given.partition(":")[0] if given else None


@dataclass
class _Bucket:
    rate: float
    level: float = field(init=False)
    at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.level = self.rate

    def wait(self, amount: float) -> float:
        """Seconds until there is room; takes `amount` when there is some. One that is larger than a second's worth
        passes a full bucket and is paid for afterwards.
        """
        now = time.monotonic()
        self.level = min(self.rate, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level <= 0:
            return (1 - self.level) / self.rate
        self.level -= amount
        return 0.0


class Access:
    """Keys, sources, their plans and guards as they are now: files are looked at again when they have changed."""

    def __init__(self, root: Path, config: Config) -> None:
        self.root = root
        self.sources = live_sources(config)
        self.plans = plan_doors(root, config)
        self.guards = guards(root, config, list(self.sources))
        self.problem: str | None = None
        self._ring = KeyRing(root)
        self._ring.refresh()
        self._buckets: dict[tuple[str, str], _Bucket] = {}
        self._stamp = config.version
        self._changed = self._written()

    async def watch(self) -> None:
        """Follow changes of keys and of cdp.yaml; a file that is wrong leaves in force what was."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            try:
                self._ring.refresh()
                await asyncio.to_thread(self._follow)
                self.problem = None
            except CDPError as error:
                self.problem = str(error)

    def _follow(self) -> None:
        written = self._written()
        if written == self._changed:
            return
        config = load_config(self.root)
        if config.version != self._stamp:
            self.sources, self._stamp, self._buckets = live_sources(config), config.version, {}
        self.plans = plan_doors(self.root, config)
        self.guards = guards(self.root, config, list(self.sources))
        self._changed = written

    def _written(self) -> tuple[object, ...]:
        try:
            config = (self.root / "cdp.yaml").stat().st_mtime_ns
            return config, *plans_stamp(self.root), decisions_stamp(self.root)
        except OSError:
            return ()

    def find(self, clear: str | None) -> WriteKey | None:
        key = self._ring.find(clear) if clear else None
        return key if key is not None and key.source in self.sources else None

    def allows(self, key: WriteKey, origin: str | None) -> bool:
        """Whether a page of `origin` may use the key; servers name none."""
        allowed = self.sources[key.source].origins
        return origin is None or "*" in allowed or origin in allowed

    def any_allows(self, origin: str) -> bool:
        """Before it sends, a browser asks without saying which key it will use."""
        return any("*" in s.origins or origin in s.origins for s in self.sources.values())

    def wait(self, key: WriteKey, events: int, size: int) -> float:
        """Seconds that the key has to wait: 0 when its limits let the request pass."""
        options = self.sources[key.source]
        limits = (("events", options.events_per_second, events), ("bytes", options.bytes_per_second, size))
        waits = [self._bucket(key.id, name, rate).wait(n) for name, rate, n in limits if rate is not None]
        return max(waits, default=0.0)

    def _bucket(self, key_id: str, name: str, rate: int) -> _Bucket:
        bucket = self._buckets.get((key_id, name))
        if bucket is None:
            bucket = self._buckets[key_id, name] = _Bucket(rate)
        return bucket
