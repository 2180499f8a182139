"""The contract over HubSpot, and what is particular to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest

from cdp_core.destinations.base import Batch, BatchRefused, Delivery, Destination
from cdp_core.destinations.services.hubspot import TWICE, HubSpotDestination, HubSpotOptions, HubSpotSyncOptions
from cdp_core.errors import DestinationError
from cdp_core.testing import DestinationContract
from cdp_core.testing.services.base import Fault
from cdp_core.testing.services.hubspot import TOKEN, HubSpot


@pytest.fixture
def hubspot() -> Iterator[HubSpot]:
    with HubSpot() as service:
        yield service


def made(service: HubSpot, token: str = TOKEN) -> HubSpotDestination:
    return HubSpotDestination(HubSpotOptions(base_url=service.url, token=token, private_network=True), Path())


def opened(service: HubSpot, mode: str = "upsert", **options: Any) -> HubSpotDestination:
    found = made(service)
    given = HubSpotSyncOptions.model_validate(options)
    found.prepare(Delivery(sync="s", key="email", fields={}, options=given, mode=mode))
    return found


def batch(*rows: dict[str, Any]) -> Batch:
    keys = pl.DataFrame({"email": [row["email"] for row in rows]})
    return Batch(rows=keys, key="email", payload=pl.Series([json.dumps(row) for row in rows]))


class TestHubSpot(DestinationContract):
    sync_options: ClassVar[dict[str, Any]] = {"membership": "in_cdp", "removal": "membership"}
    poison: ClassVar[tuple[str, Any] | None] = ("name", "-poison")

    @pytest.fixture(autouse=True)
    def _service(self, hubspot: HubSpot) -> None:
        self.service = hubspot

    def make(self, root: Path) -> Destination:
        return made(self.service)

    def rows(self, destination: Destination) -> list[dict[str, Any]]:
        return [row for row in self.service.state.values() if row["in_cdp"] == "true"]

    def put_foreign(self, destination: Destination) -> Any:
        self.service.state["theirs"] = {"in_cdp": "false", "name": "x"}
        return lambda: self.service.state["theirs"] == {"in_cdp": "false", "name": "x"}


def test_each_refused_contact_is_named(hubspot: HubSpot) -> None:
    found = opened(hubspot).send(
        batch({"email": "a@x.org"}, {"email": "b@x.org", "poison": "single"}, {"email": "A@X.org"})
    )
    assert found.failed == {"A@X.org": TWICE, "b@x.org": "VALIDATION_ERROR"}
    assert set(hubspot.state) == {"a@x.org"}


def test_a_batch_that_is_refused_says_which_property(hubspot: HubSpot) -> None:
    with pytest.raises(BatchRefused) as raised:
        opened(hubspot).send(batch({"email": "a@x.org", "poison": "batch"}))
    assert raised.value.reason == "VALIDATION_ERROR INVALID_EMAIL: email"


def test_values_as_hubspot_reads_them(hubspot: HubSpot) -> None:
    row = {"email": "a@x.org", "vip": True, "n": 3, "born": "1990-05-01", "tags": ["a", None, "b"], "city": None}
    opened(hubspot, membership="member").send(batch(row))
    assert hubspot.state["a@x.org"] == {
        "email": "a@x.org", "vip": "true", "n": "3", "born": "1990-05-01", "tags": "a;b", "city": "", "member": "true",
    }  # fmt: skip


def test_update_makes_no_contacts(hubspot: HubSpot) -> None:
    hubspot.state["a@x.org"] = {}
    result = opened(hubspot, "update").send(batch({"email": "a@x.org", "n": 1}, {"email": "new@x.org"}))
    assert (result.failed, set(hubspot.state)) == ({"new@x.org": "OBJECT_NOT_FOUND"}, {"a@x.org"})


def test_what_becomes_of_who_leaves(hubspot: HubSpot) -> None:
    with pytest.raises(DestinationError, match="what becomes of who leaves"):
        opened(hubspot, "mirror")
    with pytest.raises(DestinationError, match="needs membership"):
        opened(hubspot, "mirror", removal="membership")
    hubspot.state = {"a@x.org": {"n": "1"}, "b@x.org": {}}
    assert (
        not opened(hubspot, "mirror", removal="membership", membership="m")
        .remove(pl.Series(["a@x.org", "gone@x.org"]))
        .failed
    )
    assert hubspot.state["a@x.org"] == {"n": "1", "m": "false"}
    opened(hubspot, "mirror", removal="archive").remove(pl.Series(["a@x.org", "gone@x.org"]))
    assert set(hubspot.state) == {"b@x.org"}


def test_erase_and_rights(hubspot: HubSpot) -> None:
    hubspot.state["a@x.org"] = {}
    given = Delivery(sync="s", key="email", fields={}, options=HubSpotSyncOptions())
    made(hubspot).erase(given, pl.Series(["a@x.org", "never@x.org"]))
    assert (hubspot.state, hubspot.blocked) == ({}, {"a@x.org", "never@x.org"})
    assert made(hubspot).test().endswith("account 62515")
    with pytest.raises(DestinationError, match="expired") as raised:
        made(hubspot, "s3cret").test()
    assert "s3cret" not in str(raised.value) + made(hubspot, "s3cret").place(given)


def test_an_answer_without_results_is_no_success(hubspot: HubSpot) -> None:
    hubspot.faults.append(Fault("garbage"))
    with pytest.raises(DestinationError, match="no results"):
        opened(hubspot).send(batch({"email": "a@x.org"}))


def test_properties_that_are_not_there_are_named_before_anything_is_sent(hubspot: HubSpot) -> None:
    options = HubSpotSyncOptions.model_validate({"membership": "in_cdp", "removal": "membership"})
    fields = dict.fromkeys(("email", "name", "visit"), "string")
    with pytest.raises(DestinationError, match=r"'visit'.*did you mean 'visits'"):
        made(hubspot).test_sync(Delivery(sync="s", key="email", fields=fields, options=options))
    hubspot.properties = {"name", "visit"}
    with pytest.raises(DestinationError, match="'in_cdp'"):
        made(hubspot).test_sync(Delivery(sync="s", key="email", fields=fields, options=options))
    assert not hubspot.state
