"""The contract over Braze, and what is particular to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest

from cdp_core.destinations.base import Batch, Delivery, Destination, Unavailable
from cdp_core.destinations.services.braze import NOBODY, BrazeDestination, BrazeOptions, BrazeSyncOptions
from cdp_core.errors import DestinationError
from cdp_core.testing import DestinationContract
from cdp_core.testing.services.base import Fault
from cdp_core.testing.services.braze import KEY, Braze


@pytest.fixture
def braze() -> Iterator[Braze]:
    with Braze() as service:
        yield service


def made(service: Braze, key: str = KEY) -> BrazeDestination:
    return BrazeDestination(BrazeOptions(base_url=service.url, api_key=key, private_network=True), Path())


def opened(service: Braze, mode: str = "upsert", fields: tuple[str, ...] = (), **options: Any) -> BrazeDestination:
    found = made(service)
    given = BrazeSyncOptions.model_validate(options)
    found.prepare(Delivery(sync="s", key="id", fields=dict.fromkeys(fields, "string"), options=given, mode=mode))
    return found


def batch(*rows: dict[str, Any]) -> Batch:
    keys = pl.DataFrame({"id": [row["id"] for row in rows]})
    return Batch(rows=keys, key="id", payload=pl.Series([json.dumps(row) for row in rows]))


class TestBraze(DestinationContract):
    sync_options: ClassVar[dict[str, Any]] = {"membership": "in_cdp"}
    poison: ClassVar[tuple[str, Any] | None] = ("name", "-poison")

    @pytest.fixture(autouse=True)
    def _service(self, braze: Braze) -> None:
        self.service = braze

    def make(self, root: Path) -> Destination:
        return made(self.service)

    def rows(self, destination: Destination) -> list[dict[str, Any]]:
        return [{"id": key, **row} for key, row in self.service.state.items() if row["in_cdp"]]

    def put_foreign(self, destination: Destination) -> Any:
        self.service.state["theirs"] = {"in_cdp": False}
        return lambda: self.service.state["theirs"] == {"in_cdp": False}


def test_attributes_as_they_are_and_null_takes_away(braze: Braze) -> None:
    braze.state["1"] = {"city": "Leeds", "theirs": 1}
    opened(braze).send(batch({"id": "1", "city": None, "vip": True, "tags": ["a"], "born": "1990-05-01"}))
    assert braze.state["1"] == {"theirs": 1, "vip": True, "tags": ["a"], "born": "1990-05-01"}


def test_a_refused_object_is_named_by_its_place_though_the_answer_says_success(braze: Braze) -> None:
    result = opened(braze).send(batch({"id": "1"}, {"id": "2", "name": "poison"}, {"id": "3"}))
    assert (result.failed, set(braze.state)) == ({"2": "The value is invalid"}, {"1", "3"})


def test_update_makes_no_users(braze: Braze) -> None:
    braze.state["1"] = {}
    opened(braze, "update").send(batch({"id": "1", "n": 1}, {"id": "2", "n": 2}))
    assert braze.state == {"1": {"n": 1}}


def test_who_leaves_keeps_all_but_the_membership(braze: Braze) -> None:
    with pytest.raises(DestinationError, match="what becomes of who leaves"):
        opened(braze, "mirror")
    braze.state["1"] = {"n": 1, "m": True}
    opened(braze, "mirror", membership="m").remove(pl.Series(["1", "2"]))
    assert braze.state == {"1": {"n": 1, "m": False}}


def test_events(braze: Braze) -> None:
    fields = ("user_id", "event", "timestamp", "total")
    rows = [
        {"id": "e1", "user_id": "u1", "event": "Paid", "timestamp": "2024-01-01T00:00:00Z", "total": 5, "note": None},
        {"id": "e2", "user_id": None, "event": "Paid", "timestamp": "2024-01-01T00:00:00Z"},
    ]
    result = opened(braze, "insert", fields, **{"as": "events"}).send(batch(*rows))
    assert result.failed == {"e2": NOBODY}
    assert braze.events == [
        {"external_id": "u1", "name": "Paid", "time": "2024-01-01T00:00:00Z", "properties": {"total": 5}}
    ]
    with pytest.raises(DestinationError, match="needs the mapped field timestamp"):
        opened(braze, "insert", ("user_id", "event"), **{"as": "events"})


def test_erase_rights_and_limits(braze: Braze) -> None:
    braze.state = {str(n): {} for n in range(120)}
    given = Delivery(sync="s", key="id", fields={}, options=BrazeSyncOptions())
    made(braze).erase(given, pl.Series([str(n) for n in range(119)]))
    assert set(braze.state) == {"119"}
    assert made(braze).test().endswith("answers")
    with pytest.raises(DestinationError, match="expired") as raised:
        made(braze, "s3cret").test()
    assert "s3cret" not in str(raised.value) + made(braze, "s3cret").place(given)
    braze.faults.append(Fault("status", 429, {"X-Ratelimit-Retry-After": "12"}))
    with pytest.raises(Unavailable) as away:
        opened(braze).send(batch({"id": "1"}))
    assert away.value.retry_after == 12


def test_an_answer_without_success_is_none(braze: Braze) -> None:
    braze.faults.append(Fault("garbage"))
    with pytest.raises(DestinationError, match="no success"):
        opened(braze).send(batch({"id": "1"}))
