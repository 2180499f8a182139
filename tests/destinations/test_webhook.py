"""Webhooks: the contract, their shape, their signature, their refusals."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest
from pydantic import ValidationError
from syncing import Syncer, person

from cdp_core.destinations.base import Batch, BatchRefused, Delivery, Destination, Unavailable
from cdp_core.destinations.limits import LimitsSpec
from cdp_core.destinations.services.webhook import WebhookDestination, WebhookOptions, WebhookSyncOptions
from cdp_core.destinations.wording import without_values
from cdp_core.errors import DestinationError
from cdp_core.testing import DestinationContract
from cdp_core.testing.clock import FakeClock
from cdp_core.testing.services.base import Fault, Reply, Request
from cdp_core.testing.services.webhook import Receiver


class _Webhook(DestinationContract):
    poison: ClassVar[tuple[str, Any] | None] = ("name", "-poison")
    names_rows = False
    _receiver: Receiver

    @pytest.fixture(autouse=True)
    def receiver(self) -> Iterator[Receiver]:
        def refuses(row: dict[str, Any]) -> str | None:
            return f"{row['name']} is no name" if "poison" in row["name"] else None

        with Receiver(refuses=refuses, names_rows=self.names_rows, secret="s3cret") as receiver:
            type(self)._receiver = receiver
            yield receiver

    def make(self, root: Path) -> Destination:
        return WebhookDestination(
            WebhookOptions(url=f"{self._receiver.url}/in", secret="s3cret", private_network=True), root
        )

    def rows(self, destination: Destination) -> list[dict[str, Any]]:
        return list(self._receiver.state.values())


class TestBatches(_Webhook):
    pass


class TestBatchesThatNameRows(_Webhook):
    names_rows = True
    sync_options: ClassVar[dict[str, Any]] = {"errors": {}}


class TestRowByRow(_Webhook):
    sync_options: ClassVar[dict[str, Any]] = {"rows_per_call": 1}


def opened(url: str, options: dict[str, Any], mode: str = "mirror", **more: Any) -> WebhookDestination:
    made = WebhookDestination(WebhookOptions(url=url, private_network=True, **more), Path())
    made.prepare(Delivery(sync="s", key="id", fields={}, options=WebhookSyncOptions.model_validate(options), mode=mode))
    return made


def batch(*rows: dict[str, Any]) -> Batch:
    return Batch(
        rows=pl.DataFrame(list(rows)),
        key="id",
        payload=pl.Series([json.dumps(row) for row in rows]),
        id="b1",
        ids=pl.Series([f"i{row['id']}" for row in rows]),
    )


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


ANN, BOB = {"id": "1", "mail": "ann@x.org", "n": None}, {"id": "2", "mail": "b“ob\n@x.org", "n": 1.5}


@pytest.mark.parametrize(
    ("options", "bodies"),
    [
        ({}, [{"sync": "s", "operation": "upsert", "ids": ["i1", "i2"], "rows": [ANN, BOB]}]),
        (
            {"rows_per_call": 1},
            [{"sync": "s", "operation": "upsert", "id": i, "row": row} for i, row in (("i1", ANN), ("i2", BOB))],
        ),
        (
            {"row": {"to": "$field.mail", "what": "$operation", "text": "costs $row"}, "body": {"data": {"people": "$rows"}}},
            [{"data": {"people": [{"to": r["mail"], "what": "upsert", "text": "costs $row"} for r in (ANN, BOB)]}}],
        ),
        (
            {"rows_per_call": 1, "body": {"k": "$key", "i": "$id", "v": "$field.n", "missing": "$field.x", "o": "$operation"}},
            [{"k": r["id"], "i": f"i{r['id']}", "v": r["n"], "missing": None, "o": "upsert"} for r in (ANN, BOB)],
        ),
    ],
    ids=["batch", "alone", "templates", "fields"],
)  # fmt: skip
def test_the_shape_of_a_call(receiver: Receiver, options: dict[str, Any], bodies: list[Any]) -> None:
    receiver.handle = lambda request: Reply(200)  # type: ignore[method-assign]
    opened(f"{receiver.url}/in?x=1", options).send(batch(ANN, BOB))
    assert [call.json() for call in receiver.calls] == bodies
    assert receiver.calls[0].query == {"x": "1"}


def test_addresses_methods_and_headers(receiver: Receiver) -> None:
    destination = opened(
        f"{receiver.url}/people/{{key}}", {"rows_per_call": 1, "remove_method": "DELETE"}, method="PUT",
        headers={"X-Key": "k"}, bearer="token",
    )  # fmt: skip
    destination.send(batch({"id": "a/b c", "mail": "x"}))
    destination.remove_rows(batch({"id": "a/b c", "mail": "x"}))
    put, gone = receiver.calls
    assert (put.method, put.path, gone.method) == ("PUT", "/people/a%2Fb%20c", "DELETE")
    assert (put.headers["x-key"], put.headers["authorization"]) == ("k", "Bearer token")
    assert put.headers["idempotency-key"] == "ia/b c"


def test_a_refused_row_says_why_without_its_values(receiver: Receiver) -> None:
    receiver.refuses = lambda row: f"mail {row['mail']} of id {row['id']} is unknown to +49 170 1234567"
    destination = opened(f"{receiver.url}/in", {"rows_per_call": 1})
    result = destination.send(batch(ANN, BOB))
    assert set(result.failed.values()) == {
        "answered 422: mail … of id 1 is unknown to …",
        "answered 422: mail … of id 2 is unknown to …",
    }
    together = opened(f"{receiver.url}/in", {})
    with pytest.raises(BatchRefused) as raised:
        together.send(batch(ANN, BOB))
    assert "@" not in raised.value.reason


def test_an_outage_in_the_middle_leaves_the_rest_for_later(receiver: Receiver) -> None:
    destination = opened(f"{receiver.url}/in", {"rows_per_call": 1})
    destination.send(batch(ANN))
    receiver.faults.append(Fault("status", 503))
    with pytest.raises(Unavailable):
        destination.send(batch(ANN, BOB))
    receiver.faults.extend([Fault("slow", seconds=0.01), Fault("status", 503)])
    assert destination.send(batch(ANN, BOB)).later == {"2": "answered 503"}


def test_an_answer_about_rows_that_were_not_sent(receiver: Receiver) -> None:
    receiver.refuses, receiver.names_rows, receiver.key = (lambda _: "no"), True, "mail"
    with pytest.raises(DestinationError, match="a row that was not sent"):
        opened(f"{receiver.url}/in", {"errors": {}}).send(batch(ANN))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"body": {"x": "$row"}}, "needs rows_per_call: 1"),
        ({"body": {"x": "$field.mail"}}, "needs rows_per_call: 1"),
        ({"rows_per_call": 0}, "greater than"),
        ({"remove_url": "ftp://x"}, "https://"),
    ],
)
def test_shapes_that_cannot_be(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        WebhookSyncOptions.model_validate(options)


def test_a_removal_must_be_told_from_an_upsert() -> None:
    with pytest.raises(DestinationError, match="could not tell a removal"):
        opened("http://x.example", {"body": {"people": "$rows"}})
    opened("http://x.example", {"body": {"people": "$rows"}}, mode="upsert")
    with pytest.raises(DestinationError, match="needs a call per row"):
        opened("http://x.example/{key}", {})


@pytest.mark.parametrize(
    "options",
    [
        {"url": "https://u:p@x"},
        {"url": "https://x", "headers": {"A b": "x"}},
        {"url": "https://x", "headers": {"A": "x\r\nB: y"}},
    ],
)
def test_options_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        WebhookOptions(**options)


def test_secrets_stay_secret(receiver: Receiver) -> None:
    destination = opened(f"{receiver.url}/in?token=t0k3n", {}, secret="s3cret", bearer="b34rer")
    shown = repr(destination.options) + destination.place(destination._prepared()) + destination.test()
    assert not any(word in shown for word in ("s3cret", "b34rer")), shown
    assert "t0k3n" not in destination.place(destination._prepared()) + destination.test()


def test_a_sync_with_faults_ends_as_the_model(syncer: Callable[..., Syncer], receiver: Receiver) -> None:
    destination = WebhookDestination(WebhookOptions(url=f"{receiver.url}/in", private_network=True, timeout=1), Path())
    s = syncer(destination=destination, options={"rows_per_call": 10}, clock=FakeClock())
    # One batch may meet them all, and the waits of calls at once add up on this clock.
    s.limits = LimitsSpec.model_validate({"concurrency": 3, "attempts": 8, "retry_for": 3600})
    receiver.faults.extend(
        [Fault("status", 500), Fault("reset_after"), Fault("half"), Fault("status", 429, {"Retry-After": "90"}),
         Fault("reset"), Fault("slow", seconds=1.5), Fault("status", 408)]
    )  # fmt: skip
    s.profiles([person(n) for n in range(100)])
    assert s.run().delivered == 100
    assert (len(receiver.state), set(receiver.effects.values())) == (100, {1})


def test_reasons_hide_what_looks_personal_and_what_the_row_holds() -> None:
    row = json.dumps({"name": "Al", "tags": ["gold", {"x": "secret"}], "n": 123456, "ok": True})
    text = without_values("Al gold secret 123456 true x@y.org d41d8cd98f00b204e9800998ecf8427e field name", [row])
    assert text == "… … … … true … … field name"


def test_a_cancelled_run_of_single_calls_ends_behind_those_on_their_way(syncer: Callable[..., Syncer]) -> None:
    """Every row is in the ledger as what became of it, and the next run sends the others, each once."""

    class Slow(Receiver):
        told, pause = False, 0.02

        def handle(self, request: Request) -> Reply:
            time.sleep(self.pause)
            with self.lock:
                if len(self.calls) >= 40 and not self.told:
                    self.told = True
                    os.kill(os.getpid(), signal.SIGINT)
            return super().handle(request)

    with Slow() as slow:
        s = syncer(destination=opened(slow.url, {"rows_per_call": 1}), options={"rows_per_call": 1})
        s.profiles([person(n) for n in range(1_700)])
        with pytest.raises(KeyboardInterrupt):
            s.run()
        sent = len(slow.calls)
        assert sent < 600, "it went on to the end of its batches"
        statuses = Counter(row["status"] for row in s.ledger())
        assert statuses == {"delivered": sent, "pending": 1_700 - sent}
        assert set(slow.state) == {row["key"] for row in s.ledger() if row["status"] == "delivered"}
        assert [(run["status"], run["delivered"]) for run in s.runs()] == [("cancelled", sent)]
        slow.pause = 0
        assert s.run().delivered == 1_700 - sent
        assert set(slow.effects.values()) == {1}
