"""The contract over Mailchimp, and what is particular to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest

from cdp_core.destinations.base import Batch, Delivery, Destination, Unavailable
from cdp_core.destinations.services.mailchimp import MailchimpDestination, MailchimpOptions, MailchimpSyncOptions
from cdp_core.errors import DestinationError
from cdp_core.testing import DestinationContract
from cdp_core.testing.services.base import Fault
from cdp_core.testing.services.mailchimp import KEY, LIST, Mailchimp


@pytest.fixture
def mailchimp() -> Iterator[Mailchimp]:
    with Mailchimp() as service:
        yield service


def made(service: Mailchimp, key: str = KEY) -> MailchimpDestination:
    return MailchimpDestination(MailchimpOptions(base_url=service.url, api_key=key, private_network=True), Path())


def opened(service: Mailchimp, mode: str = "upsert", **options: Any) -> MailchimpDestination:
    found = made(service)
    given = MailchimpSyncOptions.model_validate({"list_id": LIST, **options})
    found.prepare(Delivery(sync="s", key="mail", fields={}, options=given, mode=mode))
    return found


def batch(*rows: dict[str, Any], before: list[str | None] | None = None) -> Batch:
    return Batch(
        rows=pl.DataFrame({"mail": [row["mail"] for row in rows]}),
        key="mail",
        payload=pl.Series([json.dumps(row) for row in rows]),
        before=pl.Series(before or [None] * len(rows), dtype=pl.String),
    )


class TestMailchimp(DestinationContract):
    sync_options: ClassVar[dict[str, Any]] = {"list_id": LIST, "tag": "cdp"}

    @pytest.fixture(autouse=True)
    def _service(self, mailchimp: Mailchimp) -> None:
        self.service = mailchimp

    def make(self, root: Path) -> Destination:
        return made(self.service)

    def rows(self, destination: Destination) -> list[dict[str, Any]]:
        return [{"id": row["email_address"], **row} for row in self.service.state.values() if "cdp" in row["tags"]]

    def put_foreign(self, destination: Destination) -> Any:
        theirs = {"email_address": "x@y.org", "tags": ["vip"], "status": "subscribed"}
        self.service.state["x@y.org"] = theirs
        return lambda: self.service.state["x@y.org"] == theirs


ANN = {"mail": "Ann@x.org", "FNAME": "Ann", "PHONE": None, "language": "de"}


def test_new_members_come_together_and_keep_what_they_chose(mailchimp: Mailchimp) -> None:
    mailchimp.state["bob@x.org"] = {"email_address": "bob@x.org", "status": "unsubscribed", "tags": []}
    assert not opened(mailchimp, tag="vip").send(batch(ANN, {"mail": "bob@x.org", "FNAME": "Bob"})).failed
    ann, bob = mailchimp.state["ann@x.org"], mailchimp.state["bob@x.org"]
    assert (ann["status"], ann["merge_fields"], ann["language"], ann["tags"]) == (
        "subscribed", {"FNAME": "Ann", "PHONE": ""}, "de", ["vip"],
    )  # fmt: skip
    assert (bob["status"], bob["merge_fields"], bob["tags"]) == ("unsubscribed", {"FNAME": "Bob"}, ["vip"])
    assert [call.method for call in mailchimp.calls] == ["POST", "PUT", "POST"]


def test_refused_members_are_named_without_their_address(mailchimp: Mailchimp) -> None:
    mailchimp.banned.add("gone@x.org")
    result = opened(mailchimp).send(
        batch({"mail": "fake@x.org"}, ANN, {"mail": "gone@x.org"}, before=[None, None, "{}"])
    )
    assert result.failed == {"fake@x.org": "ERROR_GENERIC", "gone@x.org": "Member In Compliance State"}
    assert set(mailchimp.state) == {"ann@x.org"}


def test_an_outage_in_the_middle_leaves_the_rest_for_later(mailchimp: Mailchimp) -> None:
    found = opened(mailchimp)
    mailchimp.faults.extend([Fault("slow", seconds=0.01), Fault("status", 503)])
    rows = [{"mail": f"p{n}@x.org"} for n in range(3)]
    result = found.send(batch(*rows, before=["{}"] * 3))
    assert (result.later, set(mailchimp.state)) == (
        {"p1@x.org": "answered 503", "p2@x.org": "answered 503"}, {"p0@x.org"},
    )  # fmt: skip


def test_an_outage_before_anything_was_taken_is_one(mailchimp: Mailchimp) -> None:
    found, rows = opened(mailchimp), [{"mail": "p0@x.org"}, {"mail": "p1@x.org"}]
    mailchimp.faults.append(Fault("status", 429, {"Retry-After": "90"}))
    with pytest.raises(Unavailable, match="429"):
        found.send(batch(*rows, before=["{}"] * 2))
    mailchimp.faults.extend([Fault("slow", seconds=0.01), Fault("status", 429, {"Retry-After": "90"})])
    assert found.send(batch(*rows, before=["{}"] * 2)).retry_after == 90


@pytest.mark.parametrize(
    ("options", "left"),
    [({"tag": "vip"}, {"status": "subscribed", "tags": []}), ({"removal": "archive"}, None),
     ({"removal": "unsubscribe"}, {"status": "unsubscribed", "tags": ["vip"]})],
)  # fmt: skip
def test_what_becomes_of_who_leaves(mailchimp: Mailchimp, options: dict[str, Any], left: dict[str, Any] | None) -> None:
    mailchimp.state["ann@x.org"] = {"status": "subscribed", "tags": ["vip"]}
    assert not opened(mailchimp, "mirror", **options).remove(pl.Series(["Ann@x.org", "nobody@x.org"])).failed
    assert mailchimp.state.get("ann@x.org") == left


def test_options_that_do_not_go_together(mailchimp: Mailchimp) -> None:
    with pytest.raises(DestinationError, match="what becomes of who leaves"):
        opened(mailchimp, "mirror")
    with pytest.raises(DestinationError, match="needs a tag"):
        opened(mailchimp, "mirror", removal="untag")
    with pytest.raises(ValueError, match="data centre"):
        MailchimpOptions(api_key="nokey")
    assert MailchimpOptions(api_key="abc-us21").address == "https://us21.api.mailchimp.com/3.0"


def test_erase_and_rights(mailchimp: Mailchimp) -> None:
    mailchimp.state["ann@x.org"] = {"tags": []}
    given = Delivery(sync="s", key="mail", fields={}, options=MailchimpSyncOptions(list_id=LIST))
    assert not made(mailchimp).erase(given, pl.Series(["Ann@x.org", "nobody@x.org"])).failed
    assert (mailchimp.state, mailchimp.banned) == ({}, {"ann@x.org"})
    assert made(mailchimp).test().endswith("answers")
    with pytest.raises(DestinationError, match="expired") as raised:
        made(mailchimp, "s3cret-us1").test()
    assert "s3cret" not in str(raised.value) + made(mailchimp, "s3cret-us1").place(given)


def test_an_answer_about_nothing_is_no_success(mailchimp: Mailchimp) -> None:
    mailchimp.faults.append(Fault("garbage"))
    with pytest.raises(DestinationError, match="what became of the members"):
        opened(mailchimp).send(batch(ANN))
