"""Several calls at once, their results in order, and never more in memory than are on their way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cdp_core.destinations.interrupts import Interrupts

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.destinations.delivery import Sender

LOOK_SECONDS = 0.25
Work = Callable[[int, "pl.DataFrame"], Any]


class _OneByOne:
    """In the caller's own thread: connections of many drivers may not leave it."""

    def __init__(self, interrupts: Interrupts) -> None:
        self._interrupts = interrupts

    def results(self, frames: Iterable[tuple[int, pl.DataFrame]], work: Work) -> Iterator[tuple[int, Any]]:
        for end, frame in frames:
            with self._interrupts.heard():
                found = work(end, frame)
            yield end, found
        self._interrupts.check()


class _Window:
    def __init__(self, pool: ThreadPoolExecutor, size: int, sender: Sender, interrupts: Interrupts) -> None:
        self._pool, self._size, self._sender, self._interrupts = pool, size, sender, interrupts

    def results(self, frames: Iterable[tuple[int, pl.DataFrame]], work: Work) -> Iterator[tuple[int, Any]]:
        """An interrupt still gives what was on its way, so that it is settled, and then goes on."""
        waiting: deque[tuple[int, Future[Any]]] = deque()
        try:
            for end, frame in frames:
                self._interrupts.check()
                call: Future[Any] = Future()
                waiting.append((end, call))
                self._pool.submit(_done, call, work, end, frame)
                if len(waiting) > self._size:
                    yield self._first(waiting)
            while waiting:
                yield self._first(waiting)
            self._interrupts.check()
        except KeyboardInterrupt:
            self._sender.cancel()
            for _, call in waiting:
                call.cancel()
            while waiting and not waiting[0][1].cancelled():
                yield self._first(waiting)
            raise

    def _first(self, waiting: deque[tuple[int, Future[Any]]]) -> tuple[int, Any]:
        """It leaves the line only when its result is there."""
        end, call = waiting[0]
        # A signal that another thread has got is seen by this one only when it wakes.
        while not call.done():
            self._interrupts.check()
            wait([call], timeout=LOOK_SECONDS)
        result = call.result()
        waiting.popleft()
        return end, result


def _done(call: Future[Any], work: Work, end: int, frame: pl.DataFrame) -> None:
    if not call.set_running_or_notify_cancel():
        return
    try:
        call.set_result(work(end, frame))
    except BaseException as error:  # noqa: BLE001
        call.set_exception(error)


@contextmanager
def in_order(calls: int, sender: Sender) -> Iterator[_OneByOne | _Window]:
    """A window of so many calls at once. Leaving it by an error waits for those that are on their way, no longer than
    one try of each.
    """
    interrupts = Interrupts()
    if calls <= 1:
        with interrupts.held():
            yield _OneByOne(interrupts)
        return
    pool = ThreadPoolExecutor(calls, thread_name_prefix="cdp-sync")
    try:
        with interrupts.held():
            yield _Window(pool, calls, sender, interrupts)
    except BaseException:
        sender.cancel()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
