"""Snowflake keeps the contract, on a stand-in that works as its SQL API does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from cdp_core.destinations.base import Destination
from cdp_core.destinations.databases.snowflake import SnowflakeDestination
from cdp_core.testing import contract
from cdp_core.testing.services.snowflake import ACCOUNT, USER, SnowflakeService
from cdp_core.testing.services.tokens import pem, rsa_key

TABLE = "PEOPLE"
COLUMNS = "(ID VARCHAR NOT NULL, NAME VARCHAR, VISITS DECIMAL(5, 0))"


def opened(service: SnowflakeService, root: Path = Path(), **more: Any) -> SnowflakeDestination:
    options = {
        "base_url": service.url, "account": ACCOUNT, "database": "shop", "schema": "crm", "warehouse": "load",
        "private_network": True, "poll_seconds": 0.001, **more,
    }  # fmt: skip
    if "token" not in more:
        options = {"user": USER, "private_key": pem(rsa_key()), **options}
    return SnowflakeDestination(SnowflakeDestination.Options.model_validate(options), root)


class TestSnowflake(contract.DestinationContract):
    sync_options: ClassVar = {"table": TABLE.lower()}
    poison: ClassVar = ("visits", 1_000_000)

    @pytest.fixture(autouse=True)
    def _service(self) -> Iterator[None]:
        with SnowflakeService() as self.service:
            self.service.native(f"CREATE TABLE {TABLE} {COLUMNS}")
            yield

    def make(self, root: Path) -> Destination:
        return opened(self.service, root)

    def rows(self, destination: Destination) -> list[dict[str, Any]]:
        if not self.service.has(TABLE):
            return []
        found = self.service.rows(TABLE, "ID, NAME, VISITS")
        return [dict(zip(("id", "name", "visits"), row, strict=True)) for row in found if row[0] != "theirs"]

    def put_foreign(self, destination: Destination) -> Callable[[], bool]:
        self.service.native(f"CREATE TABLE IF NOT EXISTS {TABLE} {COLUMNS}")
        self.service.native(f"INSERT INTO {TABLE} (ID, NAME, VISITS) VALUES ('theirs', 'Theirs', 7)")
        return lambda: ("theirs", "Theirs", 7) in self.service.rows(TABLE, "ID, NAME, VISITS")
