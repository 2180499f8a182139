"""Google Customer Match against its stand-in: the contract, then what is Google's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest
import yaml
from audience_people import AudienceContract, known, sha

import cdp_core as cdp
from cdp_core.destinations.base import Batch, Delivery, SendResult, Unavailable
from cdp_core.destinations.services.google import GoogleDestination
from cdp_core.errors import DestinationError
from cdp_core.testing.services.base import Fault
from cdp_core.testing.services.google import GoogleAudience
from cdp_core.testing.services.tokens import service_account

OPTIONS = {"audience_id": GoogleAudience.audience}


def opened(service: GoogleAudience, **more: Any) -> GoogleDestination:
    options = {"base_url": service.url, "operating_account": "123-456-7890", "private_network": True}
    options |= more or {"access_token": service.token}
    return GoogleDestination(GoogleDestination.Options.model_validate(options), Path())


class TestGoogle(AudienceContract):
    sync_options: ClassVar = OPTIONS
    mapping: ClassVar = {"profile_id": "profile_id", "email": "email"}
    key: ClassVar = "profile_id"

    @pytest.fixture(autouse=True)
    def _service(self) -> Iterator[None]:
        with GoogleAudience() as self.service:
            yield

    def make(self, root: Path) -> GoogleDestination:
        return opened(self.service)

    def rows(self, destination: Any) -> list[dict[str, Any]]:
        return [known()[json.loads(key)["emailAddress"]] for key in self.service.state]


@pytest.fixture
def google() -> Iterator[GoogleAudience]:
    with GoogleAudience() as service:
        yield service


def prepared(service: GoogleAudience, fields: Any, options: Any = OPTIONS, **more: Any) -> GoogleDestination:
    destination = opened(service, **more)
    chosen = GoogleDestination.SyncOptions.model_validate(options)
    destination.prepare(Delivery(sync="s", key="id", fields=dict.fromkeys(fields, "string"), options=chosen))
    return destination


def batch(rows: list[dict[str, Any]], before: list[Any] | None = None) -> Batch:
    old = None if before is None else pl.Series([b and json.dumps(b) for b in before], dtype=pl.String)
    payload = pl.Series([json.dumps(row) for row in rows])
    return Batch(rows=pl.DataFrame(rows, infer_schema_length=None), key="id", payload=payload, before=old)


def sent(
    service: GoogleAudience, rows: list[dict[str, Any]], before: list[Any] | None = None, **more: Any
) -> SendResult:
    return prepared(service, rows[0], **more).send(batch(rows, before))


def held(service: GoogleAudience) -> list[Any]:
    return [json.loads(key) for key in service.state]


def test_address_needs_all_four_and_keeps_two_in_clear(google: GoogleAudience) -> None:
    row = {
        "id": "a",
        "given_name": "Dr. Ann",
        "family_name": 'O"Hara',
        "region_code": "USA",
        "postal_code": "94043-1234",
    }
    rows = [row, {**row, "id": "b", "postal_code": None}]
    result = sent(google, rows, options={**OPTIONS, "ad_user_data": "granted", "ad_personalization": "denied"})
    assert result.failed == {"b": "nothing to match by (address: postal_code missing)"}
    names = {"givenName": sha("ann"), "familyName": sha("ohara")}
    assert held(google) == [{"address": {**names, "regionCode": "US", "postalCode": "94043-1234"}}]
    assert google.consents == [{"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_DENIED"}]
    with pytest.raises(DestinationError, match="all four"):
        prepared(google, ["id", "given_name"])


def test_several_identifiers_and_what_is_gone_of_them(google: GoogleAudience) -> None:
    old = {"id": "a", "email": "J.Doe+x@gmail.com", "phone": "+1 650 555 1212"}
    sent(google, [old])
    assert held(google) == [{"emailAddress": sha("jdoe@gmail.com")}, {"phoneNumber": sha("+16505551212")}]
    sent(google, [{**old, "email": "new@x.org"}], [old])
    assert {"emailAddress": sha("jdoe@gmail.com")} not in held(google)
    assert {"phoneNumber": sha("+16505551212")} in held(google)
    destination = prepared(google, old)
    destination.remove_rows(batch([{**old, "email": "new@x.org"}], [{**old, "email": "new@x.org"}]))
    assert held(google) == []


def test_a_changed_spelling_of_the_same_address_takes_nothing_out(google: GoogleAudience) -> None:
    old = {"id": "a", "email": "J.Doe@gmail.com"}
    sent(google, [old])
    sent(google, [{"id": "a", "email": "jdoe@gmail.com "}], [old])
    assert [call.path for call in google.calls] == ["/audienceMembers:ingest"] * 2


def test_members_that_google_names_are_refused_and_the_others_go_through(google: GoogleAudience) -> None:
    google.invalid = {sha("m3@x.org"), sha("m7@x.org")}
    result = sent(google, [{"id": f"m{i}", "email": f"m{i}@x.org"} for i in range(10)])
    assert result.failed == dict.fromkeys(("m3", "m7"), "Google: INVALID_AUDIENCE_MEMBER")
    assert len(google.state) == 8
    assert len(google.calls) == 2


def test_mobile_ids_go_alone(google: GoogleAudience) -> None:
    number = "AECE52E7-03EE-455A-B3C4-E57283966239"
    sent(google, [{"id": "a", "mobile_id": number}])
    assert held(google) == [{"mobileId": number}]
    with pytest.raises(DestinationError, match="of its own"):
        prepared(google, ["id", "mobile_id", "email"])


def test_what_is_wrong_with_the_audience_ends_the_run(google: GoogleAudience) -> None:
    with pytest.raises(DestinationError, match="INVALID_USER_LIST_ID") as raised:
        sent(google, [{"id": "a", "email": "a@x.org"}], options={"audience_id": 1})
    assert not isinstance(raised.value, Unavailable)
    with pytest.raises(DestinationError, match="403"):
        sent(google, [{"id": "a", "email": "a@x.org"}], operating_account="1", access_token=google.token)


def test_a_service_account_logs_in(google: GoogleAudience) -> None:
    key = service_account(f"{google.url}/token")
    assert "token" in prepared(google, ["id", "email"], credentials=key).test()
    with pytest.raises(DestinationError, match="no token"):
        opened(google, credentials=key.replace("cdp@", "other@")).test()


def test_a_token_is_fetched_and_used(google: GoogleAudience) -> None:
    more = {"refresh_token": "fresh", "client_id": "c", "client_secret": "s", "token_url": f"{google.url}/token"}
    destination = prepared(google, ["id", "email"], **more)
    assert "token" in destination.test()
    destination.send(batch([{"id": "a", "email": "a@x.org"}]))
    assert (google.refreshed, len(google.state)) == (1, 1)
    with pytest.raises(DestinationError, match="no token"):
        prepared(google, ["id", "email"], **{**more, "refresh_token": "stale"}).test()
    with pytest.raises(DestinationError, match="401"):
        opened(google, access_token="old").test()


def test_a_limit_names_its_time_and_a_lost_answer_is_sent_again(google: GoogleAudience) -> None:
    google.faults += [Fault("status", 429, {"Retry-After": "5"}), Fault("reset_after"), Fault("garbage")]
    rows = [{"id": "a", "email": "a@x.org"}]
    for wait in (5, None, None):
        with pytest.raises(Unavailable) as raised:
            sent(google, rows)
        assert raised.value.retry_after == wait
    sent(google, rows)
    assert set(google.effects.values()) == {1}


def test_google_checks_an_invented_member_and_does_not_take_it(google: GoogleAudience) -> None:
    fields = ["id", "email", "phone", "given_name", "family_name", "region_code", "postal_code"]
    for some in (fields, ["id", "email"], ["id", "mobile_id"]):
        destination = prepared(google, some)
        assert destination._delivery is not None
        assert "777" in destination.test_sync(destination._delivery)
        assert (google.state, google.calls[-1].json()["validateOnly"]) == ({}, True)
    google.invalid = {"00000000"}
    with pytest.raises(DestinationError, match="would refuse a member: INVALID_AUDIENCE_MEMBER"):
        destination.test_sync(destination._delivery)
    wrong = prepared(google, ["id", "email"], {"audience_id": 1})
    assert wrong._delivery is not None
    with pytest.raises(DestinationError, match="INVALID_USER_LIST_ID"):
        wrong.test_sync(wrong._delivery)
    wrong = prepared(google, ["id", "email"], operating_account="1", access_token=google.token)
    assert wrong._delivery is not None
    with pytest.raises(DestinationError, match="403"):
        wrong.test_sync(wrong._delivery)


def test_a_destination_is_tried_with_all_its_syncs(google: GoogleAudience, tmp_path: Path) -> None:
    spec: dict[str, Any] = {
        "name": "t",
        "destinations": {
            "google": {"type": "google_customer_match", "base_url": google.url, "operating_account": google.account,
                       "access_token": google.token, "private_network": True}
        },
        "syncs": {
            name: {"model": "profiles", "destination": "google", "key": "id", "options": {"audience_id": audience},
                   "mapping": {"id": "profile_id", "email": "profile_id"}, "enabled": enabled}
            for name, audience, enabled in (("good", 777, True), ("off", 1, False))
        },
    }  # fmt: skip
    for expected, said in ((True, "sync good: Google would take"), (False, "sync off: destination google")):
        (tmp_path / "cdp.yaml").write_text(yaml.safe_dump(spec))
        with cdp.open(tmp_path) as ws:
            tried = ws.destinations.test("google")
        assert (tried.ok, said in tried.said) == (expected, True), tried.said
        spec["syncs"]["off"]["enabled"] = True
    assert google.state == {}
