"""A polite request to end (SIGTERM) is heard like Ctrl-C, so that work is closed and not cut off."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def terminable() -> Iterator[None]:
    """While it lasts, the first SIGTERM raises KeyboardInterrupt; later ones are not heard, as closing goes on.

    Outside the main thread, where no signal arrives, it changes nothing.
    """
    try:
        before: Any = signal.signal(signal.SIGTERM, _interrupt)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
