"""Signals that are heard between two results and not while one is written down."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """A signal waits until `check` or `heard`, and then does what it did before. A second Ctrl-C waits for nothing."""

    def __init__(self) -> None:
        self._before: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self._asked: int | None = None
        self._told = self._open = False

    def check(self) -> None:
        """Raises KeyboardInterrupt, once, when a signal has come since."""
        if self._asked is not None and not self._told:
            self._told = True
            self._before[self._asked](self._asked, None)

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Work that a signal may break off at once."""
        self.check()
        self._open = True
        try:
            yield
        finally:
            self._open = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """While it lasts, in the main thread; elsewhere no signal arrives. Signals that would end the process do."""
        try:
            for number in SIGNALS:
                if callable(before := signal.getsignal(number)):
                    signal.signal(number, self._hear)
                    self._before[number] = before
        except ValueError:
            pass
        try:
            yield
        finally:
            for heard, before in self._before.items():
                if signal.getsignal(heard) == self._hear:
                    signal.signal(heard, before)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        again = self._asked is not None and number == signal.SIGINT
        self._asked = number if self._asked is None else self._asked
        if self._open or again:
            self._told = True
            self._before[number](number, frame)
