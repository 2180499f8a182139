"""Every built-in destination over a stand-in of its service, ready to be tested: what the contract tests know of each.

A destination is added here by its contract test and the class of its stand-in, or of the line to its real server.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bucket_relay
import database_lines
import polars as pl
import test_bigquery_contract
import test_braze_contract
import test_customerio_contract
import test_google_contract
import test_hubspot_contract
import test_mailchimp_contract
import test_meta_contract
import test_salesforce_contract
import test_segment_contract
import test_snowflake_contract
import test_webhook
from fault_kinds import ON_A_LINE, OVER_HTTP, SHORT, TO_A_BUCKET, Faults
from pydantic import SecretStr
from syncing import accounted

from cdp_core.destinations.gate import Gate
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
from cdp_core.testing.services.mailchimp import Mailchimp
from cdp_core.testing.services.meta import MetaAudience
from cdp_core.testing.services.salesforce import Salesforce
from cdp_core.testing.services.segment import Segment
from cdp_core.testing.services.snowflake import SnowflakeService
from cdp_core.testing.services.webhook import Receiver

NOWHERE = {"base_url": "http://cdp.invalid"}


@dataclass(frozen=True)
class Ready:
    """`attribute` is where the contract test looks for its stand-in. `told_of_removals`: taking a row out is an effect
    at the service too. `answers`: an answer of 200 says more than that: one that does not say so is none.
    `calls_before` are the calls of a run, behind those of its plan, before the first that carries rows. `needs` is the
    fixture whose value makes the stand-in, `faults` are those of the way there, `options` make it give up soon, and
    `nowhere` have a host without a name. `steps` counts the effects beyond one that the rows due need at the service.
    `refuses` is a field and what the service refuses in it, where the contract has none. `sticks`: a run has one call
    with rows, so every fault meets the first. `calls_a_batch` are the calls that one batch needs at most.
    """

    contract: type[DestinationContract]
    service: Callable[..., StandIn]
    attribute: str = "service"
    told_of_removals: bool = False
    answers: bool = True
    calls_before: int = 0
    needs: str = ""
    faults: Faults = OVER_HTTP
    options: Mapping[str, Any] = field(default_factory=lambda: {"timeout": SHORT})
    nowhere: Mapping[str, Any] = field(default_factory=lambda: NOWHERE)
    steps: Callable[[World], int] = lambda world: 0
    refuses: tuple[str, Any] | None = None
    sticks: bool = False
    calls_a_batch: int = 1

    @property
    def poison(self) -> tuple[str, Any] | None:
        return self.refuses or self.contract.poison


def _receiver() -> Receiver:
    return Receiver(secret="s3cret", refuses=lambda row: "no name" if "poison" in row["name"] else None)


def _back_at_mailchimp(world: World) -> int:
    """Who has lost the tag is still a member: what has changed is one call, the tag another."""
    found = {key: world.service.state[key] for key in world.wanted() if key in world.service.state}
    rows = [(found[key], world.model[key]) for key in found if "cdp" not in found[key]["tags"]]
    return sum((there["name"], there["visits"]) != (row["name"], row["visits"]) for there, row in rows)


def _database(contract: type[DestinationContract], line: Any, needs: str, scheme: str) -> Ready:
    return Ready(
        contract, line, "line", told_of_removals=True, calls_before=1, needs=needs, faults=ON_A_LINE,
        options={"statement_timeout": 1, "connect_timeout": 1},
        nowhere={"url": SecretStr(f"{scheme}://u:p@cdp.invalid/people")},
    )  # fmt: skip


def _bucket(contract: type[DestinationContract], relay: Any, *, sticks: bool = False) -> Ready:
    return Ready(
        contract, relay, "relay", told_of_removals=True, answers=False, needs="moto_server", faults=TO_A_BUCKET,
        options={}, nowhere={}, sticks=sticks,
    )  # fmt: skip


_WEBHOOK: dict[str, Any] = {"attribute": "_receiver", "answers": False, "nowhere": {"url": "http://cdp.invalid/in"}}
EVERY: dict[str, Ready] = {
    "bigquery": Ready(test_bigquery_contract.TestBigQuery, BigQueryService, calls_before=1, calls_a_batch=9),
    "braze": Ready(test_braze_contract.TestBraze, Braze, told_of_removals=True),
    "customerio": Ready(test_customerio_contract.TestCustomerIo, CustomerIo, told_of_removals=True),
    "google": Ready(test_google_contract.TestGoogle, GoogleAudience),
    "hubspot": Ready(test_hubspot_contract.TestHubSpot, HubSpot, told_of_removals=True),
    "mailchimp": Ready(
        test_mailchimp_contract.TestMailchimp,
        Mailchimp,
        told_of_removals=True,
        steps=_back_at_mailchimp,
        refuses=("profile_id", "fake"),
    ),
    "meta": Ready(test_meta_contract.TestMeta, MetaAudience),
    "mysql": _database(database_lines.MySql, database_lines.MySqlLine, "mariadb_server", "mysql"),
    "postgres": _database(database_lines.Postgres, database_lines.PostgresLine, "postgres_server", "postgresql"),
    "salesforce": Ready(test_salesforce_contract.TestSalesforce, Salesforce, calls_before=2),
    "segment": Ready(test_segment_contract.TestSegment, Segment, told_of_removals=True),
    "snowflake": Ready(test_snowflake_contract.TestSnowflake, SnowflakeService, calls_before=1),
    "storage": _bucket(bucket_relay.Whole, bucket_relay.WholeObjects, sticks=True),
    "storage_deltas": _bucket(bucket_relay.Deltas, bucket_relay.DeltaObjects),
    "webhook": Ready(test_webhook.TestBatches, _receiver, **_WEBHOOK),
    "webhook row by row": Ready(test_webhook.TestRowByRow, _receiver, **_WEBHOOK),
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
    model: dict[str, Row] = field(default_factory=dict)
    barred: set[str] = field(default_factory=set)
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
        destination.options = destination.options.model_copy(update={**self.ready.options, **options})
        return destination

    def change(self, rows: int = 6) -> None:
        """So many rows come, change or leave, of 40 people, each in one of four shapes; and a tenth of all may not be
        sent for now.
        """
        for number in self.chance.sample(range(40), rows):
            key = f"p{number}"
            if key in self.model and self.chance.random() < 0.3:
                del self.model[key]
                continue
            now = self.model.get(key)
            shapes = [(name, visits) for name in (f"Name {number}", "Changed") for visits in (number, 99)]
            name, visits = self.chance.choice([s for s in shapes if now is None or s != (now["name"], now["visits"])])
            self.model[key] = {"profile_id": key, "name": name, "visits": visits, "seen_at": NOW}
        self.barred = {key for key in sorted(self.model) if self.chance.random() < 0.1}

    def run(self, destination: Any = None, **limits: Any) -> SyncResult | DestinationError:
        """One run, accounted for: what it says of every row is what the ledger says."""
        plan = self.planned(self.opened())
        destination = destination or self.opened()
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
        recalled = self.lake.polars(plan.rows.filter(plan.rows.operation == "remove").select("key"))["key"]
        told_of = plan.add + plan.change + plan.unchanged + plan.invalid + plan.withheld
        assert told_of + sum(key in self.model for key in recalled) == len(self.model)
        return found

    def planned(self, destination: Any) -> Any:
        """The plan of a run, which asks some destinations whether the table is there; faults wait until it is made."""
        faults = self.service.__dict__.pop("next_fault", None)
        try:
            barred = self.lake.frame(
                pl.DataFrame({"profile_id": sorted(self.barred)}, schema={"profile_id": pl.String})
            )
            gate = Gate(suppressed=barred)
            return self.contract.plan(self.lake, destination, list(self.model.values()), gate=gate)
        finally:
            if faults is not None:
                self.service.next_fault = faults  # type: ignore[method-assign]

    def settle(self) -> None:
        """A run without faults, where anything is to be done, after which the destination is as the model is."""
        self.service.faults.clear()
        self.service.__dict__.pop("next_fault", None)
        if any(self.due()) or self.pending():
            found = self.run()
            assert isinstance(found, SyncResult), found
            assert (found.pending, found.failed) == (0, 0), found
        self.agrees()

    def pending(self) -> int:
        return len(self.ledger("pending"))

    def refused(self) -> list[tuple[str, str]]:
        """Keys and reasons of the rows that failed."""
        return [(row["key"], row["error"]) for row in self.ledger("failed")]

    def ledger(self, status: str) -> list[dict[str, Any]]:
        ledger = self.lake.table("sync_ledger")
        return self.lake.polars(ledger.filter(ledger.status == status)).to_dicts()

    def wanted(self) -> State:
        """What is to be there: the model without those who may not be sent."""
        return expected([row for key, row in self.model.items() if key not in self.barred])

    def agrees(self) -> None:
        assert self.there() == self.wanted()
        assert self.untouched is None or self.untouched(), "rows of somebody else were touched"
        ledger = self.lake.polars(self.lake.table("sync_ledger"))
        there = ledger.filter((ledger["status"] == "delivered") & (ledger["operation"] != "remove"))
        assert set(there["key"].to_list()) == set(self.wanted())
        gone = {row["key"] for row in self.ledger("delivered") if row["operation"] == "remove"}
        withheld = {row["key"] for row in self.ledger("withheld")}
        assert self.barred & set(self.model) <= withheld | gone, "nobody knows why they are not there"

    def there(self) -> State:
        return self.contract.there(self.opened())

    def effects(self) -> int:
        return sum(self.service.effects.values())

    def due(self) -> tuple[int, int]:
        """(rows to add or change, rows to remove) from what is there to the model."""
        there, wanted = self.there(), self.wanted()
        return sum(there.get(key) != row for key, row in wanted.items()), len(set(there) - set(wanted))

    def effects_due(self) -> int:
        """How many effects there are when all that is due has been done once."""
        sent, gone = self.due()
        return sent + (gone if self.ready.told_of_removals else 0) + self.ready.steps(self)

    def on_call(self, number: int, fault: Fault) -> Callable[[], bool]:
        """The fault happens to the call of that number from now on, counted from 1. Gives what says whether it has."""
        left = [number]

        def next_fault(path: str) -> Fault | None:
            with self.service.lock:
                left[0] -= path != "connect"
                return fault if left[0] == 0 and path != "connect" else None

        self.service.next_fault = next_fault  # type: ignore[method-assign]
        return lambda: left[0] <= 0

    def storm(
        self,
        share: float,
        faults: list[Fault],
        *,
        down: Callable[[], bool] = lambda: False,
        first: Fault | None = None,
    ) -> None:
        """Every call meets one of the faults with this probability, and always that of an outage while the service is
        `down`; the very first meets `first`.
        """
        before = [first] if first is not None else []

        def next_fault(path: str) -> Fault | None:
            with self.service.lock:
                if down():
                    return self.ready.faults.away
                if before:
                    return before.pop()
                hit = path != "connect" and self.chance.random() < share
                return self.chance.choice(faults) if hit else None

        self.service.next_fault = next_fault  # type: ignore[method-assign]
