"""Calls of the Segment spec keep the contract: traits are what is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from cdp_core.destinations.base import Destination
from cdp_core.destinations.services.segment import SegmentDestination, SegmentOptions
from cdp_core.testing import contract
from cdp_core.testing.services.segment import PUBLIC_API, WRITE_KEY, Segment


class TestSegment(contract.DestinationContract):
    sync_options: ClassVar = {"as": "identify"}
    poison: ClassVar = ("name", "x" * 40_000)

    @pytest.fixture(autouse=True)
    def _service(self) -> Iterator[None]:
        with Segment() as self.service:
            yield

    def make(self, root: Path) -> Destination:
        given = {"base_url": self.service.url, "private_network": True, "write_key": WRITE_KEY}
        given |= {"regulation_url": self.service.url, "regulation_token": PUBLIC_API}
        return SegmentDestination(SegmentOptions.model_validate(given), root)

    def rows(self, destination: Destination) -> list[dict[str, Any]]:
        return [{"id": one, **traits} for one, traits in self.service.state.items() if one != "foreign"]

    def put_foreign(self, destination: Destination) -> Callable[[], bool]:
        self.service.state["foreign"] = {"name": "theirs"}
        return lambda: self.service.state["foreign"] == {"name": "theirs"}
