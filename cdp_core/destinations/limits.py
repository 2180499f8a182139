"""How fast, how many at once, how often again: what a destination bears and how long one waits for it."""

from __future__ import annotations

import threading
import time
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

from cdp_core.destinations.base import BATCH_ROWS


class LimitsSpec(BaseModel):
    """`limits:` of a destination in cdp.yaml; what is not said follows from its type.

    >>> LimitsSpec(calls_per_second=5).attempts
    6
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows_per_call: int | None = Field(None, ge=1, description="At most so many rows in one call")
    calls_per_second: float | None = Field(None, gt=0, description="At most so many calls in a second")
    concurrency: int | None = Field(None, ge=1, le=64, description="At most so many calls at once")
    attempts: int = Field(6, ge=1, le=1000, description="How often a call is tried")
    retry_for: float = Field(300, ge=0, description="Seconds that one call may wait for a destination that is away")

    def rows(self, destination: Any) -> int:
        """Rows a call: never more than the type allows."""
        allowed = int(getattr(destination, "batch_rows", BATCH_ROWS))
        return min(allowed, self.rows_per_call or allowed)

    def at_once(self, destination: Any) -> int:
        """Calls at once: never more than the type allows."""
        allowed = int(getattr(destination, "concurrency", 1))
        return min(allowed, self.concurrency or allowed)

    def rate(self, destination: Any) -> float | None:
        """Calls a second: the smaller of what the type and cdp.yaml allow."""
        told = [r for r in (getattr(destination, "calls_per_second", None), self.calls_per_second) if r]
        return min(told) if told else None


NO_LIMITS = LimitsSpec.model_validate({})
"""None but those of the destination's type."""


class Clock(Protocol):
    """Time that passes: the system's, or one that a test moves."""

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """`stop` wakes whoever sleeps."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        self._stopped.wait(seconds)

    def stop(self) -> None:
        self._stopped.set()


class Pace:
    """Calls of all threads in a row, `rate` a second at most, and none before a time that the other side has named."""

    def __init__(self, rate: float | None, clock: Clock) -> None:
        self._gap = 1.0 / rate if rate else 0.0
        self._clock = clock
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Until it is this caller's turn."""
        with self._lock:
            now = self._clock.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._gap
        if turn > now:
            self._clock.sleep(turn - now)

    def hold(self, seconds: float) -> None:
        """Nobody calls for so many seconds."""
        with self._lock:
            self._next = max(self._next, self._clock.monotonic() + seconds)
