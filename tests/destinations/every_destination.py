"""Every built-in destination over a stand-in of its service, ready to be tested: what the contract tests know of each.

A destination is added here by its contract test and the class of its stand-in.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import test_bigquery_contract
import test_braze_contract
import test_customerio_contract
import test_google_contract
import test_hubspot_contract
import test_meta_contract
import test_salesforce_contract
import test_segment_contract
import test_snowflake_contract
import test_webhook
from syncing import accounted

from cdp_core.destinations.limits import LimitsSpec
from cdp_core.destinations.sync import SyncResult, run_sync
from cdp_core.engine import Engine
from cdp_core.errors import DestinationError
from cdp_core.testing.clock import FakeClock
from cdp_core.testing.contract import NOW, DestinationContract, Row, expected
from cdp_core.testing.services.base import Fault, StandIn
from cdp_core.testing.services.bigquery import BigQueryService
from cdp_core.testing.services.braze import Braze
from cdp_core.testing.services.customerio import CustomerIo
from cdp_core.testing.services.google import GoogleAudience
from cdp_core.testing.services.hubspot import HubSpot
from cdp_core.testing.services.meta import MetaAudience
from cdp_core.testing.services.salesforce import Salesforce
from cdp_core.testing.services.segment import Segment
from cdp_core.testing.services.snowflake import SnowflakeService
from cdp_core.testing.services.webhook import Receiver


@dataclass(frozen=True)
class Ready:
    """`attribute` is where the contract test looks for its stand-in. `told_of_removals`: taking a row out is an effect
    at the service too. `answers`: an answer of 200 says more than that: one that does not say so is none.
    `calls_before` are the calls of a run, behind those of its plan, before the first that carries rows.
    """

    contract: type[DestinationContract]
    service: Callable[[], StandIn]
    attribute: str = "service"
    told_of_removals: bool = False
    answers: bool = True
    calls_before: int = 0


def _receiver() -> Receiver:
    return Receiver(secret="s3cret", refuses=lambda row: "no name" if "poison" in row["name"] else None)


EVERY: dict[str, Ready] = {
    "bigquery": Ready(test_bigquery_contract.TestBigQuery, BigQueryService, calls_before=1),
    "braze": Ready(test_braze_contract.TestBraze, Braze, told_of_removals=True),
    "customerio": Ready(test_customerio_contract.TestCustomerIo, CustomerIo, told_of_removals=True),
    "google": Ready(test_google_contract.TestGoogle, GoogleAudience),
    "hubspot": Ready(test_hubspot_contract.TestHubSpot, HubSpot, told_of_removals=True),
    "meta": Ready(test_meta_contract.TestMeta, MetaAudience),
    "salesforce": Ready(test_salesforce_contract.TestSalesforce, Salesforce, calls_before=2),
    "segment": Ready(test_segment_contract.TestSegment, Segment, told_of_removals=True),
    "snowflake": Ready(test_snowflake_contract.TestSnowflake, SnowflakeService, calls_before=1),
    "webhook": Ready(test_webhook.TestBatches, _receiver, "_receiver", answers=False),
    "webhook row by row": Ready(test_webhook.TestRowByRow, _receiver, "_receiver", answers=False),
}

State = dict[str, tuple[str, int]]


@dataclass
class World:
    """A destination, its stand-in, a lake with the ledger, and a model that changes."""

    ready: Ready
    lake: Engine
    service: StandIn
    root: Path
    seed: int = 1
    timeout: float | None = None
    model: dict[str, Row] = field(default_factory=dict)
    clock: FakeClock = field(default_factory=FakeClock)
    runs: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.contract = self.ready.contract()
        setattr(self.contract, self.ready.attribute, self.service)
        self.untouched = self.contract.put_foreign(self.opened())
        self.change(30)

    def opened(self, **options: Any) -> Any:
        if self.ready.attribute == "_receiver":
            self.ready.contract._receiver = self.service  # type: ignore[attr-defined]
        destination: Any = self.contract.make(self.root)
        if self.timeout is not None:
            options.setdefault("timeout", self.timeout)
        destination.options = destination.options.model_copy(update=options)
        return destination

    def change(self, rows: int = 6) -> None:
        """So many rows come, change or leave; of 40 people, each in one of four shapes."""
        for number in self.chance.sample(range(40), rows):
            key = f"p{number}"
            if key in self.model and self.chance.random() < 0.3:
                del self.model[key]
                continue
            now = self.model.get(key)
            shapes = [(name, visits) for name in (f"Name {number}", "Changed") for visits in (number, 99)]
            name, visits = self.chance.choice([s for s in shapes if now is None or s != (now["name"], now["visits"])])
            self.model[key] = {"profile_id": key, "name": name, "visits": visits, "seen_at": NOW}

    def run(self, destination: Any = None, **limits: Any) -> SyncResult | DestinationError:
        """One run, accounted for: what it says of every row is what the ledger says."""
        destination = destination or self.opened()
        plan = self.planned(destination)
        self.runs += 1
        run_id, told = f"r{self.runs}", LimitsSpec.model_validate({"rows_per_call": 4, **limits})
        found: SyncResult | DestinationError
        try:
            found = run_sync(
                self.lake, "s", self.contract.sync(), destination, plan, run_id=run_id, now=NOW, confirm=True,
                limits=told, clock=self.clock,
            )  # fmt: skip
        except DestinationError as error:
            found = error
        accounted(self.lake, run_id, plan)
        return found

    def planned(self, destination: Any) -> Any:
        """The plan of a run, which asks some destinations whether the table is there; faults wait until it is made."""
        faults = self.service.__dict__.pop("next_fault", None)
        try:
            return self.contract.plan(self.lake, destination, list(self.model.values()))
        finally:
            if faults is not None:
                self.service.next_fault = faults  # type: ignore[method-assign]

    def settle(self) -> None:
        """A run without faults, after which the destination is as the model is."""
        self.service.faults.clear()
        self.service.__dict__.pop("next_fault", None)
        found = self.run()
        assert isinstance(found, SyncResult), found
        assert (found.pending, found.failed) == (0, 0), found
        self.agrees()

    def agrees(self) -> None:
        assert self.there() == expected(list(self.model.values()))
        assert self.untouched is None or self.untouched(), "rows of somebody else were touched"
        ledger = self.lake.polars(self.lake.table("sync_ledger"))
        there = ledger.filter((ledger["status"] == "delivered") & (ledger["operation"] != "remove"))
        assert set(there["key"].to_list()) == set(self.model)

    def there(self) -> State:
        return self.contract.there(self.opened())

    def effects(self) -> int:
        return sum(self.service.effects.values())

    def due(self) -> tuple[int, int]:
        """(rows to add or change, rows to remove) from what is there to the model."""
        there, wanted = self.there(), expected(list(self.model.values()))
        return sum(there.get(key) != row for key, row in wanted.items()), len(set(there) - set(wanted))

    def on_call(self, number: int, fault: Fault) -> None:
        """The fault happens to the call of that number from now on, counted from 1."""
        left = [number]

        def next_fault(path: str) -> Fault | None:
            with self.service.lock:
                left[0] -= 1
                return fault if left[0] == 0 else None

        self.service.next_fault = next_fault  # type: ignore[method-assign]

    def storm(
        self,
        share: float,
        faults: list[Fault],
        *,
        down: Callable[[], bool] = lambda: False,
        first: Fault | None = None,
    ) -> None:
        """Every call meets one of the faults with this probability, and always while the service is `down`; the very
        first meets `first`.
        """
        before = [first] if first is not None else []

        def next_fault(path: str) -> Fault | None:
            with self.service.lock:
                if before:
                    return before.pop()
                hit = down() or self.chance.random() < share
                return self.chance.choice(faults) if hit else None

        self.service.next_fault = next_fault  # type: ignore[method-assign]
