"""A process that runs Great Expectations and has nothing to do: the next run takes it over instead of starting one.

Its start costs seconds, and a scheduler, a dashboard or a notebook runs again and again. One waits at most, for
`WAITS` seconds, so that a workspace which is only looked at holds no memory for it.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

WAITS = 300.0


@dataclass(frozen=True, kw_only=True)
class Running:
    """A validating process. `environ` is what its start depended on; `ready` says that it has told it is."""

    process: subprocess.Popen[str]
    errors: IO[bytes]
    environ: tuple[str | None, ...]
    ready: bool = False

    def alive(self) -> bool:
        return self.process.poll() is None

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.errors):
            if pipe is not None:
                _close_quietly(pipe)


class Spare:
    """Room for one waiting process. Safe to share by threads."""

    def __init__(self, waits: float = WAITS) -> None:
        self._waits = waits
        self._lock = threading.Lock()
        self._waiting: Running | None = None
        self._timer: threading.Timer | None = None
        self._owner = os.getpid()

    def take(self, start: Callable[[], Running]) -> Running:
        """The waiting process if it is alive and was started as one would be now; else a new one."""
        found = self._out()
        if found is not None and found.alive() and found.environ == environ():
            return found
        if found is not None:
            found.end()
        return start()

    def give_back(self, running: Running) -> None:
        """Keep it for the next one; one that waits already ends."""
        if not running.alive():
            running.end()
            return
        before = self._out()
        with self._lock:
            self._waiting, self._owner = running, os.getpid()
            self._timer = threading.Timer(self._waits, self.clear)
            self._timer.daemon = True
            self._timer.start()
        if before is not None:
            before.end()

    def clear(self) -> None:
        """End what waits."""
        found = self._out()
        if found is not None:
            found.end()

    def _out(self) -> Running | None:
        with self._lock:
            found, self._waiting = self._waiting, None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            # After a fork it is the other process's.
            return found if self._owner == os.getpid() else None


def environ() -> tuple[str | None, ...]:
    """What decides which packages the process imports."""
    return tuple(os.environ.get(name) for name in ("PYTHONPATH", "PYTHONHOME", "GX_HOME"))


SPARE = Spare()
atexit.register(SPARE.clear)


def _close_quietly(pipe: Any) -> None:
    try:
        pipe.close()
    except OSError:
        return
