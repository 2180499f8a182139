"""Time that a test moves."""

from __future__ import annotations

import threading


class FakeClock:
    """Sleeping passes at once. `slept` holds every wait, in seconds.

    >>> clock = FakeClock()
    >>> clock.sleep(3600)
    >>> clock.monotonic(), clock.slept
    (3600.0, [3600])
    """

    def __init__(self, start: float = 0.0) -> None:
        self.now = start
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds
            self.slept.append(seconds)
