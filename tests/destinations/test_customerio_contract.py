"""The contract suite over Customer.io, and what is particular to it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest

from cdp_core.destinations.base import Batch, Delivery
from cdp_core.destinations.services.customerio import CustomerIoDestination, CustomerIoOptions
from cdp_core.errors import DestinationError
from cdp_core.testing import DestinationContract
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
    it.send(batch(id=["b"], name=["B"]))
    assert service.state == {}
    assert service.suppressed == {"b"}


def test_a_wrong_key_says_so_and_regions_have_addresses(service: CustomerIo) -> None:
    with pytest.raises(DestinationError, match="has expired"):
        opened(service, api_key="wrong").test()
    eu = CustomerIoDestination(CustomerIoOptions(region="eu", site_id=SITE, api_key=KEY), Path())
    assert "track-eu.customer.io" in eu.place(delivery())
    assert KEY not in eu.place(delivery())
