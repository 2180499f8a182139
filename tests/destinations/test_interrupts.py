"""A signal is heard between two results: what has been sent is written down, and then the run ends."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest

from cdp_core.cli.ending import terminable
from cdp_core.destinations.window import in_order


class Told:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


def frames() -> Iterator[tuple[int, pl.DataFrame]]:
    for end in range(1, 100):
        yield end, pl.DataFrame()


def written(calls: int, told: Any, work: Any, between: Any = lambda end: None) -> list[int]:
    """What was written down until the interrupt; `between` happens as a result is."""
    found: list[int] = []

    def go() -> None:
        with in_order(calls, told) as window:
            for end, _ in window.results(frames(), work):
                between(end)
                found.append(end)

    with pytest.raises(KeyboardInterrupt):
        go()
    return found


def call_myself(number: int) -> None:
    os.kill(os.getpid(), number)
    threading.Event().wait(0.05)


@pytest.mark.parametrize("calls", [1, 4])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_result_is_written_down_loses_none_of_those_on_their_way(calls: int, number: int) -> None:
    begun: list[int] = []

    def work(end: int, frame: pl.DataFrame) -> None:
        begun.append(end)

    told, before = Told(), signal.getsignal(number)
    with terminable():
        found = written(calls, told, work, lambda end: call_myself(number) if end == 3 else None)
    assert sorted(begun) == found
    assert 3 <= len(found) <= 3 + calls + 1
    assert told.cancelled == (calls > 1), "nothing is tried again in other threads"
    assert signal.getsignal(number) == before


def test_a_call_in_the_own_thread_is_broken_off() -> None:
    def work(end: int, frame: pl.DataFrame) -> None:
        if end == 2:
            call_myself(signal.SIGINT)
            pytest.fail("it was not heard")

    assert written(1, Told(), work) == [1]


def test_a_second_ctrl_c_waits_for_nothing() -> None:
    def between(end: int) -> None:
        call_myself(signal.SIGINT)
        call_myself(signal.SIGINT)

    assert written(4, Told(), lambda end, frame: end, between) == []


def test_without_a_signal_everything_is_given_in_order() -> None:
    told: Any = Told()
    for calls in (1, 4):
        with in_order(calls, told) as window:
            assert [end for end, _ in window.results(frames(), lambda end, frame: end)] == list(range(1, 100))
    assert not told.cancelled
