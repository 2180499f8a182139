"""Salesforce keeps the contract, on a stand-in that works as the Bulk API 2.0 does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from cdp_core.destinations.base import Destination
from cdp_core.destinations.services.salesforce import SalesforceDestination, SalesforceOptions
from cdp_core.testing import contract
from cdp_core.testing.services.salesforce import CLIENT, Salesforce

FIELDS = {"id": "Ext__c", "name": "LastName", "visits": "Visits__c", "seen_at": "Seen__c"}


class TestSalesforce(contract.DestinationContract):
    sync_options: ClassVar = {"object": "Contact", "removal": "delete"}
    poison: ClassVar = ("name", "x" * 100)

    @pytest.fixture(autouse=True)
    def _service(self) -> Iterator[None]:
        with Salesforce() as self.service:
            self.service.hard_delete = True
            yield

    def make(self, root: Path) -> Destination:
        given = {"base_url": self.service.url, "private_network": True, "poll_seconds": 0.001, **CLIENT}
        return ByContractNames(SalesforceOptions.model_validate(given), root)

    def rows(self, destination: Destination) -> list[dict[str, Any]]:
        return [
            {"id": r["Ext__c"], "name": r["LastName"], "visits": float(r["Visits__c"])}
            for r in self.service.state.values()
            if not r["Ext__c"].startswith("foreign")
        ]

    def put_foreign(self, destination: Destination) -> Callable[[], bool]:
        theirs = [self.service.put(Ext__c=f"foreign{i}", LastName="Theirs") for i in range(2)]
        return lambda: all(self.service.state[one]["LastName"] == "Theirs" for one in theirs)


class ByContractNames(SalesforceDestination):
    """The contract's fields under the API names of the stand-in."""

    def prepare(self, delivery: Any) -> None:
        from dataclasses import replace

        super().prepare(replace(delivery, key="Ext__c", fields={FIELDS[n]: t for n, t in delivery.fields.items()}))

    def send(self, batch: Any) -> Any:
        from dataclasses import replace

        rows = batch.rows.rename(FIELDS)
        return super().send(replace(batch, rows=rows, key="Ext__c"))

    def erase(self, delivery: Any, keys: Any) -> Any:
        from dataclasses import replace

        return super().erase(replace(delivery, key="Ext__c"), keys)
