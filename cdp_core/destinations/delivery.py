"""One batch on its way: tried again while the destination is away, halved while it is refused whole.

| the destination | what becomes of the rows |
|---|---|
| takes them, names some as refused | delivered; the named ones failed |
| names some to come later | those are sent again, no sooner than it asked, at last left pending |
| is `Unavailable` | the batch is sent again, with jitter and no sooner than it asked; at last left pending |
| refuses the batch whole | its halves are sent, down to the rows that are refused alone: those failed |
| raises anything else | left pending, and the run ends |

Waits are exponential with full jitter (Brooker, Exponential Backoff and Jitter, 2015). A batch that is given up ends
the run too, unless others went through in the meantime: then it is the batch, and not the destination.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cdp_core.destinations.base import Batch, BatchRefused, Delivery, SendResult, SupportsCancel, Unavailable
from cdp_core.destinations.limits import Clock, LimitsSpec, Pace
from cdp_core.errors import ContractError, DestinationError

if TYPE_CHECKING:
    import tenacity

LONGEST_PAUSE = 60.0
REFUSED_ENOUGH = 100
REASON_LENGTH = 300

Call = Callable[[Batch], SendResult]


@dataclass
class Outcome:
    """What became of a batch: keys (as text) with reasons; all others were taken. `stop` ends the run."""

    failed: dict[str, str] = field(default_factory=dict)
    later: dict[str, str] = field(default_factory=dict)
    stop: DestinationError | None = None


class Sender:
    """Sends batches of one run; thread-safe as far as the destination is."""

    def __init__(self, destination: Any, limits: LimitsSpec, clock: Clock, *, where: str) -> None:
        self.destination, self.limits, self.clock, self.where = destination, limits, clock, where
        self.cancelled = threading.Event()
        self._pace = Pace(limits.rate(destination), clock)
        self._bytes = getattr(destination, "batch_bytes", None)
        self._went_well = float("-inf")
        self._alone_refused = 0

    def send(self, batch: Batch) -> Outcome:
        return self._deliver(batch, self.destination.send)

    def remove(self, batch: Batch) -> Outcome:
        """Through `remove_rows` where a destination has it, else by key."""
        if hasattr(self.destination, "remove_rows"):
            return self._deliver(batch, self.destination.remove_rows)
        return self._deliver(batch, lambda part: self.destination.remove(part.rows[part.key]))

    def erase(self, delivery: Delivery, batch: Batch) -> Outcome:
        """Through `erase_rows` where a destination has it, else by key."""
        if hasattr(self.destination, "erase_rows"):
            return self._deliver(batch, lambda part: self.destination.erase_rows(delivery, part))
        return self._deliver(batch, lambda part: self.destination.erase(delivery, part.rows[part.key]))

    def cancel(self) -> None:
        """Nothing is tried again, and a destination that makes many calls of one batch ends behind the next."""
        self.cancelled.set()
        if isinstance(self.destination, SupportsCancel):
            self.destination.cancel()

    def once_more(self, call: Callable[[], None]) -> None:
        """A call without rows, tried again as one with rows is. Raises what it raised last."""
        self._retrying()(self._paced, call)

    def _deliver(self, batch: Batch, call: Call) -> Outcome:
        """Parts of the batch wait with the tries that are left to rows which are to come later."""
        outcome = Outcome()
        waiting = [(batch, self.limits.attempts)]
        while waiting:
            part, tries = waiting.pop()
            try:
                if self._too_big(part):
                    waiting += [(half, tries) for half in reversed(halves(part))]
                elif (rest := self._take(part, call, outcome, tries - 1)) is not None:
                    waiting.append((rest, tries - 1))
            except BatchRefused as refused:
                if part.rows.height > 1:
                    waiting += [(half, self.limits.attempts) for half in reversed(halves(part))]
                else:
                    self._refused_alone(part, refused, outcome)
            except DestinationError as error:
                _note(outcome.later, part, error.what)
                outcome.stop = error
            if outcome.stop is not None:
                for left, _ in waiting:
                    _note(outcome.later, left, outcome.stop.what)
                break
        return outcome

    def _take(self, part: Batch, call: Call, outcome: Outcome, tries: int) -> Batch | None:
        """Send one part. What of it is to come later is given back, after a pause, while there are `tries` left."""
        started = self.clock.monotonic()
        try:
            result = self._retrying()(self._paced, lambda: call(part))
        except Unavailable as error:
            if self._went_well < started:
                raise
            _note(outcome.later, part, error.what)
            return None
        self._went_well = self.clock.monotonic()
        self._checked(result, part)
        self._alone_refused = 0 if len(result.failed) < part.rows.height else self._alone_refused
        failed = _named(result.failed)
        outcome.failed.update(failed)
        later = {key: reason for key, reason in _named(result.later).items() if key not in failed}
        if not later:
            return None
        wait = result.retry_after or 0.0
        self._pace.hold(wait)
        if wait > self.limits.retry_for:
            outcome.stop = Unavailable(next(iter(later.values())), where=self.where, retry_after=wait)
        if tries <= 0 or self.cancelled.is_set() or outcome.stop is not None:
            outcome.later.update(later)
            return None
        self.clock.sleep(min(LONGEST_PAUSE, 2.0 ** (self.limits.attempts - tries - 1)))
        return only(part, later)

    def _refused_alone(self, part: Batch, refused: BatchRefused, outcome: Outcome) -> None:
        _note(outcome.failed, part, refused.reason)
        self._alone_refused += 1
        if self._alone_refused >= REFUSED_ENOUGH and self._went_well == float("-inf"):
            outcome.stop = DestinationError(
                f"the first {REFUSED_ENOUGH} rows were all refused: {refused.reason}",
                where=self.where,
                hint="look at the mapping and at what the destination wants",
            )

    def _too_big(self, part: Batch) -> bool:
        if self._bytes is None or part.rows.height < 2:
            return False
        return int(part.payload.str.len_bytes().sum()) > self._bytes

    def _paced(self, call: Callable[[], Any]) -> Any:
        self._pace.wait()
        try:
            return call()
        except Unavailable as error:
            if error.retry_after:
                self._pace.hold(error.retry_after)
            raise

    def _retrying(self) -> tenacity.Retrying:
        import tenacity

        began = self.clock.monotonic()
        jitter = tenacity.wait_random_exponential(multiplier=1, max=LONGEST_PAUSE)

        def wait(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            return max(float(jitter(state)), getattr(error, "retry_after", None) or 0.0)

        def stop(state: tenacity.RetryCallState) -> bool:
            spent = self.clock.monotonic() - began + (state.upcoming_sleep or 0.0)
            return (
                self.cancelled.is_set() or state.attempt_number >= self.limits.attempts or spent > self.limits.retry_for
            )

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Unavailable),
            wait=wait,
            stop=stop,
            sleep=self.clock.sleep,
            reraise=True,
        )

    def _checked(self, result: SendResult, part: Batch) -> None:
        named = set(_named(result.failed)) | set(_named(result.later))
        if unknown := named - set(_keys(part)):
            raise ContractError(
                f"the destination refused {len(unknown)} rows that were not in the batch", where=self.where
            )


def halves(batch: Batch) -> list[Batch]:
    """
    >>> import polars as pl
    >>> batch = Batch(rows=pl.DataFrame({"id": [1, 2, 3]}), key="id", payload=pl.Series(["a", "b", "c"]), id="x")
    >>> [(half.id, half.rows["id"].to_list()) for half in halves(batch)]
    [('x.0+1', [1]), ('x.1+2', [2, 3])]
    """
    half = batch.rows.height // 2
    return [batch.part(0, half), batch.part(half, batch.rows.height - half)]


def only(batch: Batch, keys: dict[str, str]) -> Batch:
    """The rows of a batch with these keys."""
    import polars as pl

    chosen = batch.rows[batch.key].cast(pl.String).is_in(list(keys))
    return dataclasses.replace(
        batch,
        rows=batch.rows.filter(chosen),
        payload=batch.payload.filter(chosen),
        ids=None if batch.ids is None else batch.ids.filter(chosen),
        before=None if batch.before is None else batch.before.filter(chosen),
        id=f"{batch.id}.again",
    )


def _keys(part: Batch) -> list[str]:
    import polars as pl

    return part.rows[part.key].cast(pl.String).to_list()


def _note(noted: dict[str, str], part: Batch, reason: str) -> None:
    noted.update(dict.fromkeys(_keys(part), reason[:REASON_LENGTH]))


def _named(rows: Any) -> dict[str, str]:
    return {str(key): " ".join(reason.split())[:REASON_LENGTH] for key, reason in rows.items()}
