"""Meta Custom Audiences against its stand-in: the contract, then what is Meta's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest
from audience_people import AudienceContract, known, sha

from cdp_core.destinations.base import Batch, BatchRefused, Delivery, SendResult, Unavailable
from cdp_core.destinations.services.meta import MetaDestination
from cdp_core.errors import DestinationError
from cdp_core.testing.services.base import Fault
from cdp_core.testing.services.meta import MetaAudience, error

OPTIONS = {"audience_id": MetaAudience.audience}


def opened(service: MetaAudience, **more: Any) -> MetaDestination:
    options = {"base_url": service.url, "access_token": service.token, "private_network": True, **more}
    return MetaDestination(MetaDestination.Options.model_validate(options), Path())


class TestMeta(AudienceContract):
    sync_options: ClassVar = OPTIONS
    mapping: ClassVar = {"EXTERN_ID": "profile_id", "EMAIL": "email"}
    key: ClassVar = "EXTERN_ID"

    @pytest.fixture(autouse=True)
    def _service(self) -> Iterator[None]:
        with MetaAudience() as self.service:
            yield
            # Who is in is found by who was put in: nothing of an earlier value may stay behind.
            assert self.service.people == {("EMAIL", row["EMAIL"]) for row in self.service.state.values()}

    def make(self, root: Path) -> MetaDestination:
        return opened(self.service)

    def rows(self, destination: Any) -> list[dict[str, Any]]:
        found = [known()[row["EMAIL"]] for row in self.service.state.values()]
        assert [row["id"] for row in found] == list(self.service.state)
        return found


@pytest.fixture
def meta() -> Iterator[MetaAudience]:
    with MetaAudience() as service:
        yield service


def sent(
    service: MetaAudience, rows: list[dict[str, Any]], before: list[Any] | None = None, **options: Any
) -> SendResult:
    destination = prepared(service, rows, **options)
    return destination.send(batch(rows, before))


def prepared(service: MetaAudience, rows: list[dict[str, Any]], **options: Any) -> MetaDestination:
    destination = opened(service)
    chosen = MetaDestination.SyncOptions.model_validate({**OPTIONS, **options})
    destination.prepare(Delivery(sync="s", key="id", fields=dict.fromkeys(rows[0], "string"), options=chosen))
    return destination


def batch(rows: list[dict[str, Any]], before: list[Any] | None = None) -> Batch:
    old = None if before is None else pl.Series([b and json.dumps(b) for b in before], dtype=pl.String)
    payload = pl.Series([json.dumps(row) for row in rows])
    return Batch(rows=pl.DataFrame(rows), key="id", payload=payload, id="b1", before=old)


def test_everything_is_normalised_and_hashed_but_the_id(meta: MetaAudience) -> None:
    row = {
        "id": "c1",
        "EMAIL": " Ann@X.org ",
        "PHONE": "030 901820",
        "FN": "Änne",
        "DOBM": 5,
        "COUNTRY": "Germany",
        "ZIP": "01067",
    }
    assert not sent(meta, [row]).failed
    text = {"EMAIL": "ann@x.org", "PHONE": "4930901820", "FN": "änne", "DOBM": "05", "COUNTRY": "de", "ZIP": "01067"}
    assert meta.state == {"c1": {"EXTERN_ID": "c1", **{field: sha(value) for field, value in text.items()}}}
    assert b"nn@X" not in meta.calls[0].body
    session = meta.calls[0].json()["session"]
    assert session["last_batch_flag"] is True
    assert session["estimated_num_total"] == 1


def test_a_row_without_an_identifier_is_refused_with_the_reasons(meta: MetaAudience) -> None:
    rows = [{"id": "a", "EMAIL": "nobody", "PHONE": "030 901820"}, {"id": "b", "EMAIL": "b@x.org", "PHONE": None}]
    result = sent(meta, rows)
    assert result.failed == {"a": "nothing to match by (EMAIL: not_an_email, PHONE: no_country_code)"}
    assert set(meta.state) == {"b"}


def test_an_old_identifier_is_taken_out_and_a_kept_one_is_not(meta: MetaAudience) -> None:
    old = {"id": "a", "EMAIL": "old@x.org", "PHONE": "+4930901820"}
    sent(meta, [old])
    sent(meta, [{**old, "EMAIL": "new@x.org"}], [old])
    assert meta.people == {("EMAIL", sha("new@x.org")), ("PHONE", sha("4930901820"))}
    delete = next(call.json()["payload"] for call in meta.calls if call.method == "DELETE")
    assert delete == {"schema": ["EMAIL"], "data": [[sha("old@x.org")]]}
    sent(meta, [{"id": "a", "EMAIL": "", "PHONE": None}], [{**old, "EMAIL": "new@x.org"}])
    assert (meta.people, meta.state) == (set(), {}), "a person without any identifier left stays in"


def test_an_address_as_the_key_never_leaves_unhashed(meta: MetaAudience) -> None:
    destination = opened(meta)
    options = MetaDestination.SyncOptions.model_validate(OPTIONS)
    destination.prepare(Delivery(sync="s", key="EMAIL", fields={"EMAIL": "string"}, options=options))
    row = {"EMAIL": "ann@x.org"}
    destination.send(Batch(rows=pl.DataFrame([row]), key="EMAIL", payload=pl.Series([json.dumps(row)])))
    destination.remove(pl.Series(["ann@x.org"]))
    assert meta.people == set()
    assert not any(b"ann@x" in call.body for call in meta.calls)


def test_rows_are_removed_by_all_that_was_delivered_and_erased_by_key(meta: MetaAudience) -> None:
    rows = [{"id": "a", "EMAIL": "a@x.org"}, {"id": "b", "EMAIL": "b@x.org"}]
    destination = prepared(meta, rows)
    destination.send(batch(rows))
    destination.remove_rows(batch(rows[:1], rows[:1]))
    assert meta.calls[-1].json()["payload"] == {"schema": ["EXTERN_ID", "EMAIL"], "data": [["a", sha("a@x.org")]]}
    assert destination._delivery is not None
    assert not destination.erase(destination._delivery, pl.Series(["b"])).failed
    assert (meta.state, meta.people) == ({}, set())


def test_people_that_meta_does_not_take_out_are_failed_and_the_others_go_in(meta: MetaAudience) -> None:
    old = [{"id": "a", "EMAIL": "a@x.org"}, {"id": "b", "EMAIL": "b@x.org"}]
    sent(meta, old)
    meta.smallest = 2
    changed = [{"id": "a", "EMAIL": "new@x.org"}, {"id": "b", "EMAIL": "B@x.org"}, {"id": "c", "EMAIL": "c@x.org"}]
    result = sent(meta, changed, [*old, None])
    assert set(result.failed) == {"a"}
    assert "too small" in result.failed["a"]
    assert set(meta.state) == {"a", "b", "c"}
    meta.smallest = 9
    assert set(prepared(meta, old).remove_rows(batch(old, old)).failed) == {"a", "b"}


def test_entries_that_meta_calls_invalid_are_found_by_halving(meta: MetaAudience) -> None:
    meta.invalid = {sha("b@x.org")}
    with pytest.raises(BatchRefused, match="invalid"):
        sent(meta, [{"id": "a", "EMAIL": "a@x.org"}, {"id": "b", "EMAIL": "b@x.org"}])


@pytest.mark.parametrize(
    ("code", "subcode", "kind"),
    [(80003, None, Unavailable), (2, None, Unavailable), (190, 463, DestinationError), (200, None, DestinationError),
     (100, 1713230, DestinationError), (100, 33, DestinationError), (100, None, BatchRefused)],
)  # fmt: skip
def test_what_an_error_code_means(
    meta: MetaAudience, monkeypatch: Any, code: int, subcode: int | None, kind: type
) -> None:
    usage = json.dumps({"1": [{"estimated_time_to_regain_access": 3}]})
    reply = error(code, "ann@x.org is secret", subcode)
    answer = type(reply)(reply.status, reply.body, {"X-Business-Use-Case-Usage": usage})
    monkeypatch.setattr(meta, "handle", lambda request: answer)
    with pytest.raises(DestinationError) as raised:
        sent(meta, [{"id": "a", "EMAIL": "a@x.org"}])
    assert type(raised.value) is kind
    assert "secret" not in str(raised.value)
    if kind is Unavailable:
        assert raised.value.retry_after == 180  # type: ignore[attr-defined]


def test_429_and_a_lost_answer_are_unavailable_and_sending_again_is_sending_once(meta: MetaAudience) -> None:
    rows = [{"id": "a", "EMAIL": "a@x.org"}]
    meta.faults += [Fault("status", 429, {"Retry-After": "9"}), Fault("half"), Fault("garbage")]
    for wait in (9, None, None):
        with pytest.raises(Unavailable) as raised:
            sent(meta, rows)
        assert raised.value.retry_after == wait
    assert not sent(meta, rows).failed
    assert set(meta.effects.values()) == {1}


def test_the_test_names_what_is_missing(meta: MetaAudience) -> None:
    assert "ads_management" in opened(meta).test()
    with pytest.raises(DestinationError, match="190"):
        opened(meta, access_token="old").test()
    meta.permissions = ()
    with pytest.raises(DestinationError, match="no right"):
        opened(meta).test()


def test_a_wrong_mapping_names_the_fields(meta: MetaAudience) -> None:
    with pytest.raises(DestinationError, match="EMAIL") as raised:
        sent(meta, [{"id": "a", "email": "a@x.org"}])
    assert "email" in str(raised.value)
    with pytest.raises(DestinationError, match="identifies"):
        sent(meta, [{"id": "a", "GEN": "f"}])


def test_the_audience_is_looked_at_before_anything_is_sent(meta: MetaAudience) -> None:
    destination = prepared(meta, [{"id": "a", "EMAIL": "a@x.org"}])
    delivery = destination._delivery
    assert delivery is not None
    assert "may" not in destination.test_sync(delivery)
    assert {call.method for call in meta.calls} == {"GET"}
    meta.editable = False
    with pytest.raises(DestinationError, match="may not be changed"):
        destination.test_sync(delivery)
    meta.editable, meta.subtype = True, "LOOKALIKE"
    with pytest.raises(DestinationError, match="no customer list"):
        destination.test_sync(delivery)
    gone = prepared(meta, [{"id": "a", "EMAIL": "a@x.org"}], audience_id="1")
    assert gone._delivery is not None
    with pytest.raises(DestinationError, match="100/33"):
        gone.test_sync(gone._delivery)
