"""A batch on its way: tries, waits, halves, limits."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from cdp_core.destinations.base import Batch, BatchRefused, SendResult, Unavailable
from cdp_core.destinations.delivery import REFUSED_ENOUGH, Outcome, Sender
from cdp_core.destinations.limits import LimitsSpec, Pace
from cdp_core.errors import ContractError, DestinationError
from cdp_core.testing.clock import FakeClock


class Service:
    """Upserts; `before` is asked about every call and may raise."""

    def __init__(self, before: Callable[[Batch], SendResult | None]) -> None:
        self.before, self.state, self.calls, self.effects = before, {}, 0, Counter[Any]()
        self.sizes: list[int] = []

    def send(self, batch: Batch) -> SendResult:
        self.calls += 1
        self.sizes.append(batch.rows.height)
        result = self.before(batch) or SendResult()
        for key in batch.rows["id"].to_list():
            if key not in result.failed and key not in result.later:
                self.effects[key] += 1
                self.state[key] = True
        return result


def batch(count: int, start: int = 0) -> Batch:
    ids = [f"p{n}" for n in range(start, start + count)]
    rows = pl.DataFrame({"id": ids})
    return Batch(rows=rows, key="id", payload=pl.Series([f'{{"id":"{i}"}}' for i in ids]), id="b", ids=rows["id"])


def sender(service: Any, clock: FakeClock | None = None, **limits: Any) -> Sender:
    return Sender(service, LimitsSpec.model_validate(limits), clock or FakeClock(), where="sync s")


def failing(*errors: Exception | None) -> Callable[[Batch], SendResult | None]:
    left = list(errors)

    def before(_: Batch) -> None:
        error = left.pop(0) if left else None
        if error is not None:
            raise error

    return before


def test_a_destination_that_is_away_for_a_moment() -> None:
    clock = FakeClock()
    service = Service(failing(Unavailable("answered 503"), Unavailable("answered 429", retry_after=17)))
    assert sender(service, clock).send(batch(3)) == Outcome()
    assert (service.calls, set(service.effects.values())) == (3, {1})
    assert clock.slept[1] >= 17, "no sooner than it asked"


def test_waits_grow_and_are_drawn() -> None:
    waits = []
    for _ in range(200):
        clock = FakeClock()
        sender(Service(failing(*[Unavailable("away")] * 5)), clock).send(batch(1))
        waits.append(clock.slept)
    for place, most in enumerate((1, 2, 4, 8, 16)):
        drawn = [slept[place] for slept in waits]
        assert max(drawn) <= most
        assert max(drawn) > 0.8 * most
        assert min(drawn) < 0.2 * most


def test_it_is_given_up_in_time_and_nothing_else_is_tried() -> None:
    clock = FakeClock()
    service = Service(failing(*[Unavailable("answered 503", retry_after=100)] * 50))
    outcome = sender(service, clock, retry_for=350, attempts=50).send(batch(4))
    assert isinstance(outcome.stop, Unavailable)
    assert outcome.later == dict.fromkeys(["p0", "p1", "p2", "p3"], "answered 503")
    assert (service.calls, clock.now) == (4, 300), "a wait that would pass the limit is not begun"
    assert sender(service, FakeClock(), attempts=2).send(batch(1)).stop is not None


def test_a_batch_that_cannot_go_does_not_end_a_run_in_which_others_go() -> None:
    """Two threads: while one batch is answered with 500 again and again, another goes through."""
    clock = FakeClock()
    service = Service(lambda b: failing(Unavailable("answered 500"))(b) if "p0" in b.rows["id"].to_list() else None)
    one = sender(service, clock)
    real = clock.sleep

    def sleeping(seconds: float) -> None:
        real(seconds)
        if len(clock.slept) == 1:
            assert one.send(batch(2, start=10)) == Outcome()

    clock.sleep = sleeping  # type: ignore[method-assign]
    outcome = one.send(batch(2))
    assert outcome == Outcome(later={"p0": "answered 500", "p1": "answered 500"})


@pytest.mark.parametrize("poison", [{0}, {9_999}, {4_711}, {1, 2, 3, 5_000, 9_998}, set()])
def test_the_poison_row_in_ten_thousand_is_found(poison: set[int]) -> None:
    bad = {f"p{n}" for n in poison}

    def before(part: Batch) -> None:
        if bad & set(part.rows["id"].to_list()):
            raise BatchRefused("answered 400")

    service = Service(before)
    outcome = sender(service).send(batch(10_000))
    assert (outcome.failed, outcome.stop) == (dict.fromkeys(bad, "answered 400"), None)
    assert (len(service.state), set(service.effects.values())) == (10_000 - len(bad), {1})
    assert service.calls <= 1 + 2 * 14 * len(bad)


def test_a_destination_that_refuses_every_row_is_not_asked_about_each() -> None:
    service = Service(failing(*[BatchRefused("answered 422")] * 100_000))
    outcome = sender(service).send(batch(10_000))
    assert isinstance(outcome.stop, DestinationError)
    assert f"the first {REFUSED_ENOUGH} rows were all refused: answered 422" in str(outcome.stop)
    assert service.calls < 3 * REFUSED_ENOUGH
    assert (len(outcome.failed), len(outcome.failed) + len(outcome.later)) == (REFUSED_ENOUGH, 10_000)


def test_rows_that_shall_come_later_are_sent_again_alone() -> None:
    answers = [SendResult({"p0": "bad"}, {"p1": "locked", "p2": "locked"}), SendResult({}, {"p2": "locked"})]
    service = Service(lambda _: answers.pop(0) if answers else None)
    assert sender(service).send(batch(4)) == Outcome(failed={"p0": "bad"})
    assert (service.sizes, service.effects) == ([4, 2, 1], Counter({"p3": 1, "p1": 1, "p2": 1}))
    stubborn = Service(lambda b: SendResult(later={"p1": "locked"}) if "p1" in b.rows["id"].to_list() else None)
    assert sender(stubborn, attempts=3).send(batch(2)) == Outcome(later={"p1": "locked"})
    assert stubborn.sizes == [2, 1, 1]


def test_rows_that_shall_come_later_wait_as_long_as_was_asked() -> None:
    clock, answers = FakeClock(), [SendResult({}, {"p1": "answered 429"}, 90)]
    service = Service(lambda _: answers.pop(0) if answers else None)
    assert sender(service, clock).send(batch(2)) == Outcome()
    assert (service.sizes, clock.monotonic()) == ([2, 1], 90)
    answers.append(SendResult({}, {"p1": "answered 429"}, 90))
    outcome = sender(service, clock, retry_for=60).send(batch(2))
    assert (outcome.later, clock.monotonic()) == ({"p1": "answered 429"}, 90), "longer than a call may wait"
    assert isinstance(outcome.stop, Unavailable)


@pytest.mark.parametrize("error", [Unavailable("gone"), DestinationError("wrong password"), BatchRefused("no")])
def test_what_was_said_of_rows_holds_when_those_that_come_later_meet_an_error(error: DestinationError) -> None:
    answers: list[Any] = [SendResult({"p0": "bad"}, {"p1": "locked", "p2": "locked"}), error]

    def before(part: Batch) -> SendResult | None:
        said = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(said, Exception):
            raise said
        return said  # type: ignore[no-any-return]

    service = Service(before)
    outcome = sender(service, attempts=2).send(batch(4))
    assert service.effects == {"p3": 1}, "taken once, and not sent again"
    named = {"p1": error.what, "p2": error.what}
    if isinstance(error, BatchRefused):
        assert (outcome.failed, outcome.later) == ({"p0": "bad", **named}, {})
    else:
        assert (outcome.failed, outcome.later) == ({"p0": "bad"}, named)


def test_a_row_that_is_refused_and_put_off_at_once_is_refused() -> None:
    service = Service(lambda _: SendResult({"p0": "bad"}, {"p0": "locked"}))
    assert sender(service).send(batch(2)) == Outcome(failed={"p0": "bad"})
    assert service.calls == 1


def test_what_no_later_call_will_mend_ends_the_run_at_once() -> None:
    service = Service(failing(DestinationError("answered 401")))
    outcome = sender(service).send(batch(2))
    assert (service.calls, str(outcome.stop), set(outcome.later)) == (1, "answered 401", {"p0", "p1"})


def test_rows_are_sent_in_pieces_that_the_service_bears() -> None:
    service = Service(lambda _: None)
    service.batch_bytes = 50  # type: ignore[attr-defined]
    sender(service).send(batch(9))
    assert sum(service.sizes) == 9
    assert max(service.sizes) <= 50 // len('{"id":"p0"}')


def test_a_result_about_rows_that_were_not_sent_is_a_fault_of_the_destination() -> None:
    with pytest.raises(ContractError, match="2 rows that were not in the batch"):
        sender(Service(lambda _: SendResult({"x": "?"}, {"y": "?"}))).send(batch(1))


def test_calls_keep_their_distance_over_all_threads() -> None:
    clock, turns = FakeClock(), []
    pace = Pace(10, clock)

    def call() -> None:
        for _ in range(25):
            pace.wait()
            turns.append(clock.monotonic())

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(turns) == 100
    assert clock.now >= 9.9 - 1e-6
    pace.hold(60)
    before = clock.now
    pace.wait()
    assert clock.now - before >= 60


def test_limits_only_tighten() -> None:
    class Bears:
        batch_rows, concurrency, calls_per_second = 100, 4, 10.0

    loose = LimitsSpec.model_validate({"rows_per_call": 1000, "concurrency": 64, "calls_per_second": 99})
    tight = LimitsSpec.model_validate({"rows_per_call": 10, "concurrency": 2, "calls_per_second": 1})
    assert (loose.rows(Bears), loose.at_once(Bears), loose.rate(Bears)) == (100, 4, 10.0)
    assert (tight.rows(Bears), tight.at_once(Bears), tight.rate(Bears)) == (10, 2, 1.0)
    assert LimitsSpec.model_validate({}).rate(object()) is None


def test_most_calls_fail_now_and_then_and_every_row_arrives() -> None:
    """93.36 % of calls are accepted, as one provider's own figure has it; a batch has six tries."""
    drawn = random.Random(7)
    service = Service(lambda _: failing(Unavailable("answered 500") if drawn.random() > 0.9336 else None)(_))
    one = sender(service)
    lost = [one.send(batch(10, start=n * 10)) for n in range(2_000)]
    assert all(outcome == Outcome() for outcome in lost)
    assert (len(service.state), set(service.effects.values())) == (20_000, {1})
    assert service.calls == pytest.approx(2_000 / 0.9336, rel=0.05)
