"""The contract suite over Customer.io, and what is particular to it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest
from event_world import World, paid

import cdp_core as cdp
from cdp_core.destinations.base import Batch, Delivery, Unavailable
from cdp_core.destinations.services.customerio import CustomerIoDestination, CustomerIoOptions
from cdp_core.errors import DestinationError, SpecError
from cdp_core.testing import DestinationContract
from cdp_core.testing.services.base import Fault
from cdp_core.testing.services.customerio import KEY, SITE, CustomerIo


@pytest.fixture
def service() -> Iterator[CustomerIo]:
    with CustomerIo() as running:
        yield running


def opened(service: CustomerIo, **more: Any) -> CustomerIoDestination:
    options = {"base_url": service.url, "private_network": True, "site_id": SITE, "api_key": KEY, **more}
    return CustomerIoDestination(CustomerIoOptions.model_validate(options), Path())


def delivery(**options: Any) -> Delivery:
    return Delivery(sync="s", key="id", fields={}, options=CustomerIoDestination.SyncOptions(**options))


def batch(**columns: Any) -> Batch:
    rows = pl.DataFrame(columns)
    return Batch(rows=rows, key="id", payload=rows.select(pl.struct(pl.all()).struct.json_encode()).to_series())


class TestCustomerIo(DestinationContract):
    poison: ClassVar = ("name", "x" * 33_000)

    @pytest.fixture(autouse=True)
    def _service(self, service: CustomerIo) -> None:
        self.service = service

    def make(self, root: Path) -> CustomerIoDestination:
        return opened(self.service)

    def rows(self, destination: Any) -> list[dict[str, Any]]:
        return [{"id": k, **row} for k, row in self.service.state.items() if row["cdp_member"]]


def test_a_refused_person_is_named_by_key_and_code(service: CustomerIo) -> None:
    it = opened(service)
    it.prepare(delivery())
    bad = "x" * 200
    result = it.send(batch(id=["a", bad, "c"], at=[datetime(1970, 1, 1, 0, 1)] * 3, on=[True] * 3))
    assert result.failed == {bad: "invalid: identifiers"}
    assert service.state["c"] == {"at": 60, "on": True, "cdp_member": True}


def test_removal_and_erasure(service: CustomerIo) -> None:
    it = opened(service)
    it.prepare(delivery())
    it.send(batch(id=["a", "b"], name=["A", "B"]))
    it.remove(pl.Series(["a"]))
    assert service.state["a"] == {"name": "A", "cdp_member": False}
    it.prepare(delivery(removal="delete"))
    it.remove(pl.Series(["a"]))
    assert "a" not in service.state
    it.erase(delivery(), pl.Series(["b"]))
    it.prepare(delivery())
    it.send(batch(id=["b"], name=["B"]))
    assert service.state == {}
    assert service.suppressed == {"b"}


def test_a_wrong_key_says_so_and_regions_have_addresses(service: CustomerIo) -> None:
    with pytest.raises(DestinationError, match="has expired"):
        opened(service, api_key="wrong").test()
    eu = CustomerIoDestination(CustomerIoOptions(region="eu", site_id=SITE, api_key=KEY), Path())
    assert "track-eu.customer.io" in eu.place(delivery())
    assert KEY not in eu.place(delivery())


def test_how_people_leave_is_part_of_the_place(service: CustomerIo) -> None:
    it = opened(service)
    assert it.place(delivery()) != it.place(delivery(removal="delete"))
    assert it.place(delivery(attribute="a")).partition("?")[0] == it.place(delivery(removal="delete")).partition("?")[0]


def test_a_call_stays_below_500_kb_however_much_people_have(service: CustomerIo) -> None:
    it = opened(service)
    it.prepare(delivery())
    sizes = [900 if n % 50 else 31_000 for n in range(1000)]
    result = it.send(batch(id=[f"p{n}" for n in range(1000)], text=["é" * (size // 2) for size in sizes]))
    assert not result.failed
    assert len(service.state) == 1000
    assert len(service.calls) < 5, "more calls than the bytes need"


def test_fields_are_called_as_they_like_but_as_the_attribute(service: CustomerIo) -> None:
    it = opened(service)
    it.prepare(delivery())
    names = ("type", "action", "identifiers", "attributes", "attribute", "key", "item", "eager", "schema")
    it.send(batch(id=["a"], **{name: ["x"] for name in names}))
    assert service.state["a"] == {**dict.fromkeys(names, "x"), "cdp_member": True}
    clash = Delivery(sync="s", key="id", fields={"vip": "boolean"}, options=delivery(attribute="vip").options)
    for ask in (it.place, it.prepare):
        with pytest.raises(SpecError, match="'vip' is the attribute"):
            ask(clash)


EVENTS = {"user_id": "string", "event": "string", "timestamp": "timestamp"}


def told(fields: dict[str, str], mode: str = "insert", **options: Any) -> Delivery:
    chosen = CustomerIoDestination.SyncOptions(**{"as": "events", **options})
    return Delivery(sync="s", key="event_id", fields=fields, options=chosen, mode=mode)


def happened(ids: list[str], **columns: Any) -> Batch:
    rows = pl.DataFrame({"event_id": ids, **columns})
    payload = rows.select(pl.struct(pl.all()).struct.json_encode()).to_series()
    digests = pl.Series([hashlib.md5(i.encode()).hexdigest() for i in ids])
    return Batch(rows=rows, key="event_id", payload=payload, ids=digests)


def test_an_event_is_there_once_even_if_its_answer_was_lost(service: CustomerIo) -> None:
    at = datetime(1998, 7, 1, 12)
    same = happened(["e1", "e2"], user_id=["u1", "u1"], event=["Paid", "Paid"], timestamp=[at, None], total=[1.5, None])
    service.faults.append(Fault("reset_after"))
    for _ in range(2):
        it = opened(service)
        it.prepare(told({**EVENTS, "total": "float64"}))
        try:
            it.send(same)
        except Unavailable:
            continue
    first, second = service.events.values()
    assert (first["action"], first["name"], first["identifiers"]) == ("event", "Paid", {"id": "u1"})
    assert (first["timestamp"], first["attributes"]) == (899294400, {"total": 1.5})
    assert first["id"].startswith("00T5H1Z3G0"), "the time of a ULID is its event's"
    assert "timestamp" not in second
    assert set(service.effects.values()) == {1}


def test_events_of_nobody_are_refused_and_pages_are_pages(service: CustomerIo) -> None:
    it = opened(service)
    fields = {**EVENTS, "type": "string", "properties": "string"}
    it.prepare(told(fields, properties="properties", identifier="email"))
    at, whole = datetime(1998, 7, 1), '{"a":{"b":["é\\"",1]}}'
    result = it.send(
        happened(
            ["e1", "e2", "e3", "e4", "e5"],
            user_id=["u1", None, "u1", "u2", "u2"],
            event=["Paid", "Paid", "", "Prices", "Paid"],
            timestamp=[at] * 5,
            type=["track", "track", "track", "page", "identify"],
            properties=[whole, whole, whole, None, "[1]"],
        )
    )
    reasons = {"e2": "an event of nobody", "e3": "an event without a name", "e5": "properties is no JSON object"}
    assert result.failed == reasons
    found = [(e["action"], e["name"], e["identifiers"], e["attributes"]) for e in service.events.values()]
    assert found == [("event", "Paid", {"email": "u1"}, json.loads(whole)), ("page", "Prices", {"email": "u2"}, {})]


def test_what_events_need_is_said_before_anything_is_sent(service: CustomerIo) -> None:
    it = opened(service)
    with pytest.raises(SpecError, match="'userid'"):
        it.place(told(EVENTS, user="userid"))
    with pytest.raises(SpecError, match="not taken back"):
        it.place(told(EVENTS, mode="mirror"))
    with pytest.raises(SpecError, match="and total more"):
        it.place(told({**EVENTS, "properties": "string", "total": "float64"}, properties="properties"))


def test_stored_events_arrive_once_each(service: CustomerIo, tmp_path: Path) -> None:
    world = World(tmp_path)
    where = {"base_url": service.url, "private_network": True, "site_id": SITE, "api_key": KEY}
    mapping = {"user": "profile_id", "event": "event", "timestamp": "timestamp", "properties": "properties"}
    options = {"as": "events", "user": "user", "properties": "properties"}
    world.configure({"options": options, "mapping": mapping}, destination={"type": "customerio", **where})
    world.say("web", paid(1, 5), paid(2, 6))
    world.say("shop", paid(1, 7))
    for expected in (3, 0):
        with cdp.open(world.root) as ws:
            assert ws.run().status == "succeeded"
            assert ws.sync("events").run().delivered == expected
    assert sorted(e["attributes"]["total"] for e in service.events.values()) == [5, 6, 7]
