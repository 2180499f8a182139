"""What every destination must keep, as a test class to subclass.

class TestWebhook(DestinationContract):
    options = {"url": "http://127.0.0.1:8000"}

    def make(self, root):
        return Webhook(Webhook.Options(**self.options), root)

    def rows(self, destination):
        return received()          # [{"id": …, "name": …, "visits": …}], what is there now
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import ibis
import polars as pl
import pytest

from cdp_core.destinations.base import (
    Batch,
    Destination,
    SendResult,
    SupportsFinish,
    SupportsRemove,
    SupportsSyncTest,
    SupportsTest,
)
from cdp_core.destinations.check import can_remove
from cdp_core.destinations.erase import UNSUPPORTED, delivered, erase
from cdp_core.destinations.gate import Gate
from cdp_core.destinations.open import delivery_for
from cdp_core.destinations.plan import SyncPlan, plan_sync
from cdp_core.destinations.spec import SyncSpec
from cdp_core.destinations.sync import SyncResult, run_sync
from cdp_core.engine import Engine, EngineSpec, open_engine

NOW = datetime(1998, 7, 1)
CANARY = "canary-7f3a"
MAPPING = {"id": "profile_id", "name": "name", "visits": "visits", "seen_at": "seen_at"}
SCHEMA = pl.Schema({"profile_id": pl.String(), "name": pl.String(), "visits": pl.Int64(), "seen_at": pl.Datetime("us")})
Row = dict[str, Any]


class DestinationContract:
    """Subclass it and give `make` and `rows`; the rest is optional.

    `sync_options` are the sync's `options:`. `poison` is a field of the rows (name, visits) and a value for it that the
    destination refuses, None when it takes everything. `put_foreign` puts a row or file of somebody else there and
    gives a function that says whether it is untouched.
    """

    sync_options: ClassVar[dict[str, Any]] = {}
    poison: ClassVar[tuple[str, Any] | None] = None

    def make(self, root: Path) -> Destination:
        raise NotImplementedError

    def rows(self, destination: Destination) -> list[Row]:
        """What is there now: one dict per row with id, name and visits."""
        raise NotImplementedError

    def put_foreign(self, destination: Destination) -> Any:
        return None

    @pytest.fixture
    def lake(self, tmp_path: Path) -> Iterator[Engine]:
        engine = open_engine(tmp_path, EngineSpec.model_validate({}))
        engine.ensure_tables()
        yield engine
        engine.close()

    @pytest.fixture
    def destination(self, tmp_path: Path) -> Destination:
        return self.make(tmp_path)

    def sync(self, mode: str = "mirror") -> SyncSpec:
        return SyncSpec.model_validate(
            {
                "model": "profiles",
                "destination": "it",
                "key": "id",
                "mapping": MAPPING,
                "mode": mode,
                "options": self.sync_options,
            }
        )

    def plan(
        self,
        lake: Engine,
        destination: Destination,
        people: list[Row],
        mode: str = "mirror",
        *,
        gate: Gate | None = None,
    ) -> SyncPlan:
        model = lake.frame(self.model(people))
        ledger = lake.table("sync_ledger")
        return plan_sync(lake, "s", self.sync(mode), model=model, ledger=ledger, destination=destination, gate=gate)

    def model(self, people: list[Row]) -> pl.DataFrame:
        return pl.DataFrame(people, schema=SCHEMA)

    def deliver(self, lake: Engine, destination: Destination, people: list[Row], mode: str = "mirror") -> SyncResult:
        plan = self.plan(lake, destination, people, mode)
        return run_sync(lake, "s", self.sync(mode), destination, plan, run_id="", now=NOW, confirm=True)

    def there(self, destination: Destination) -> dict[str, tuple[str, int]]:
        found = self.rows(destination)
        by_key = {str(row["id"]): (row["name"], int(row["visits"])) for row in found}
        assert len(by_key) == len(found), "a key is there twice"
        return by_key

    def test_rows_arrive_once(self, lake: Engine, destination: Destination) -> None:
        assert self.deliver(lake, destination, people(3)).delivered == 3
        assert self.there(destination) == expected(people(3))
        again = self.deliver(lake, destination, people(3))
        assert (again.delivered, again.unchanged) == (0, 3)
        assert self.there(destination) == expected(people(3))

    def test_resending_has_the_effect_of_sending_once(self, lake: Engine, destination: Destination) -> None:
        """As after a kill between sending and writing it down: everything is pending."""
        self.deliver(lake, destination, people(3))
        ledger = lake.table("sync_ledger")
        lake.replace("sync_ledger", lake.keep(ledger.mutate(status=ibis.literal("pending"))))
        assert self.deliver(lake, destination, people(3)).delivered == 3
        assert self.there(destination) == expected(people(3))

    def test_changes_and_removals_reach_own_rows_only(self, lake: Engine, destination: Destination) -> None:
        untouched = self.put_foreign(destination)
        self.deliver(lake, destination, people(4))
        rest = people(4)[1:]
        rest[0]["visits"] = 99
        if not can_remove(type(destination)):
            pytest.skip("cannot remove rows")
        result = self.deliver(lake, destination, rest)
        assert (result.delivered, result.removed, result.unchanged) == (1, 1, 2)
        found = self.there(destination)
        assert {key: found[key] for key in expected(rest)} == expected(rest)
        assert "p0" not in found
        assert untouched is None or untouched()

    def test_upsert_mode_removes_nothing(self, lake: Engine, destination: Destination) -> None:
        self.deliver(lake, destination, people(3), mode="upsert")
        changed = [{**people(3)[2], "name": "Changed"}]
        assert self.deliver(lake, destination, changed, mode="upsert").removed == 0
        assert self.there(destination) == {**expected(people(3)), **expected(changed)}

    def test_insert_mode_sends_a_row_once_and_leaves_it(self, lake: Engine, destination: Destination) -> None:
        self.deliver(lake, destination, people(3), mode="insert")
        later = [{**people(3)[2], "name": "Changed"}, *people(5)[3:]]
        result = self.deliver(lake, destination, later, mode="insert")
        assert (result.delivered, result.removed, result.unchanged) == (2, 0, 1)
        assert self.there(destination) == expected(people(5))
        assert self.deliver(lake, destination, later, mode="insert").delivered == 0
        assert self.there(destination) == expected(people(5))

    def test_insert_mode_sends_again_what_a_killed_run_left_open(self, lake: Engine, destination: Destination) -> None:
        self.deliver(lake, destination, people(2), mode="insert")
        self.deliver(lake, destination, people(4), mode="insert")
        ledger = lake.table("sync_ledger")
        left = ledger.key.isin(["p2", "p3"]).ifelse("pending", ledger.status)
        lake.replace("sync_ledger", lake.keep(ledger.mutate(status=left)))
        result = self.deliver(lake, destination, people(5), mode="insert")
        assert (result.delivered, result.unchanged) == (3, 2)
        assert self.there(destination) == expected(people(5))

    def test_a_row_that_comes_back_is_added_again(self, lake: Engine, destination: Destination) -> None:
        if not can_remove(type(destination)):
            pytest.skip("cannot remove rows")
        for some in (people(3), people(2), people(3)):
            self.deliver(lake, destination, some)
            assert self.there(destination) == expected(some)

    def test_an_empty_batch_does_nothing(self, lake: Engine, destination: Destination) -> None:
        self.deliver(lake, destination, people(2))
        fields = self.plan(lake, destination, people(2)).fields
        destination.prepare(delivery_for("s", self.sync(), destination, fields))
        nothing = pl.DataFrame(schema={"id": pl.String, "name": pl.String, "visits": pl.Int64, "seen_at": pl.Datetime})
        batch = Batch(rows=nothing, key="id", payload=pl.Series("payload", [], dtype=pl.String))
        assert not destination.send(batch).failed
        if isinstance(destination, SupportsFinish):
            destination.finish(False)
        assert self.there(destination) == expected(people(2))

    def test_a_refused_row_is_reported_and_the_others_arrive(self, lake: Engine, destination: Destination) -> None:
        if self.poison is None:
            pytest.skip("takes every row")
        field, value = self.poison
        some = people(50)
        some[17]["name"] = CANARY
        some[17][field] = f"{CANARY}{value}" if isinstance(value, str) else value
        result = self.deliver(lake, destination, some)
        assert (result.delivered, result.failed) == (49, 1)
        assert set(self.there(destination)) == {row["profile_id"] for row in some} - {"p17"}
        assert not any(CANARY in reason for reason in result.reasons), "a reason holds a customer's value"
        again = self.deliver(lake, destination, some)
        assert (again.delivered, again.failed, again.unchanged) == (0, 1, 49)
        healed = self.deliver(lake, destination, people(50))
        assert (healed.delivered, healed.failed) == (1, 0)
        assert self.there(destination) == expected(people(50))

    def test_erasing_leaves_nothing_of_a_person_and_all_of_the_others(
        self, lake: Engine, destination: Destination
    ) -> None:
        untouched = self.put_foreign(destination)
        self.deliver(lake, destination, people(4))
        fields = self.plan(lake, destination, people(4)).fields
        delivery = delivery_for("s", self.sync(), destination, fields)
        for keys in (["p1", "p3"], ["p1", "p3", "nobody"]):
            rows = delivered(lake, "s", delivery, keys, destination)
            assert rows.rows.height == 2
            result = erase(destination, delivery, rows)
            if result == UNSUPPORTED:
                pytest.skip("cannot erase")
            assert result == SendResult()
            assert self.there(destination) == expected([people(4)[0], people(4)[2]])
        assert untouched is None or untouched()

    def test_removing_what_is_not_there_is_no_failure(self, lake: Engine, destination: Destination) -> None:
        if not isinstance(destination, SupportsRemove):
            pytest.skip("removes by rewriting, or not at all")
        self.deliver(lake, destination, people(2))
        fields = self.plan(lake, destination, people(2)).fields
        destination.prepare(delivery_for("s", self.sync(), destination, fields))
        assert not destination.remove(pl.Series("id", ["nobody"])).failed
        if isinstance(destination, SupportsFinish):
            destination.finish(True)
        assert self.there(destination) == expected(people(2))

    def test_the_connection_test_says_what_was_reached_and_leaves_nothing(
        self, lake: Engine, destination: Destination
    ) -> None:
        if not isinstance(destination, SupportsTest):
            pytest.skip("has no connection test")
        self.deliver(lake, destination, people(2))
        assert destination.test()
        assert self.there(destination) == expected(people(2))

    def test_the_test_of_a_sync_leaves_nothing(self, lake: Engine, destination: Destination) -> None:
        if not isinstance(destination, SupportsSyncTest):
            pytest.skip("has no test of a sync")
        self.deliver(lake, destination, people(2))
        delivery = delivery_for("s", self.sync(), destination, dict.fromkeys(self.sync().mapping, "string"))
        assert destination.test_sync(delivery)
        assert self.there(destination) == expected(people(2))


def people(count: int) -> list[Row]:
    """Rows p0, p1, … as the model gives them."""
    return [{"profile_id": f"p{i}", "name": f"Name {i}", "visits": i, "seen_at": NOW} for i in range(count)]


def expected(rows: list[Row]) -> dict[str, tuple[str, int]]:
    return {row["profile_id"]: (row["name"], row["visits"]) for row in rows}
