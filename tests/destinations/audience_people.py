"""The contract suite's people as members of an audience: an e-mail address that holds name and visits."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import ClassVar

import polars as pl

from cdp_core.destinations.spec import SyncSpec
from cdp_core.testing.contract import DestinationContract, Row


def address(key: str, name: str, visits: int) -> str:
    return f"{key}.{visits}.{name.lower().replace(' ', '_')}@example.org"


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def known() -> dict[str, Row]:
    """From the hash of an address to the row that it was made of."""
    rows = [
        {"id": f"p{i}", "name": name, "visits": visits}
        for i in range(60)
        for name in (f"Name {i}", "Changed")
        for visits in (i, 99)
    ]
    return {sha(address(row["id"], row["name"], row["visits"])): row for row in rows}


class AudienceContract(DestinationContract):
    poison: ClassVar = ("name", "@twice@")
    mapping: ClassVar[dict[str, str]]
    key: ClassVar[str]

    def sync(self, mode: str = "mirror") -> SyncSpec:
        spec = {"model": "profiles", "destination": "it", "key": self.key, "mapping": self.mapping, "mode": mode}
        return SyncSpec.model_validate({**spec, "options": self.sync_options})

    def model(self, people: list[Row]) -> pl.DataFrame:
        emails = [address(p["profile_id"], p["name"], p["visits"]) for p in people]
        return super().model(people).with_columns(email=pl.Series(emails, dtype=pl.String))
