"""BigQuery keeps the contract, on a stand-in that works as its API does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from cdp_core.destinations.base import Destination
from cdp_core.destinations.databases.bigquery import BigQueryDestination
from cdp_core.testing import contract
from cdp_core.testing.services.bigquery import DATASET, PROJECT, BigQueryService

TABLE = "people"
COLUMNS = (
    {"name": "id", "type": "STRING", "mode": "REQUIRED"},
    {"name": "name", "type": "STRING"},
    {"name": "visits", "type": "NUMERIC", "precision": "5"},
)


def opened(service: BigQueryService, root: Path = Path(), **more: Any) -> BigQueryDestination:
    options = {
        "base_url": service.url, "project": PROJECT, "dataset": DATASET, "private_network": True,
        "poll_seconds": 0.001, **(more or {"credentials": service.credentials}),
    }  # fmt: skip
    return BigQueryDestination(BigQueryDestination.Options.model_validate(options), root)


class TestBigQuery(contract.DestinationContract):
    sync_options: ClassVar = {"table": TABLE}
    poison: ClassVar = ("visits", 1_000_000)

    @pytest.fixture(autouse=True)
    def _service(self) -> Iterator[None]:
        with BigQueryService() as self.service:
            self.service.table(TABLE, *COLUMNS)
            yield

    def make(self, root: Path) -> Destination:
        return opened(self.service, root)

    def rows(self, destination: Destination) -> list[dict[str, Any]]:
        if TABLE not in self.service.tables:
            return []
        found = self.service.rows(TABLE, "id, name, visits")
        return [dict(zip(("id", "name", "visits"), row, strict=True)) for row in found if row[0] != "theirs"]

    def put_foreign(self, destination: Destination) -> Callable[[], bool]:
        if TABLE not in self.service.tables:
            self.service.table(TABLE, *COLUMNS)
        self.service.put(TABLE, "theirs", "Theirs", 7)
        return lambda: self.service.rows(TABLE, "id, name, visits", "id").count(("theirs", "Theirs", 7)) == 1
