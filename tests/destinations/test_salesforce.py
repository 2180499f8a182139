"""Jobs of Salesforce: lost answers, rows refused, rows for later, removal, and what is told before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cdp_core.destinations.base import Batch, BatchRefused, Delivery, SendResult, Unavailable
from cdp_core.destinations.open import parsed
from cdp_core.destinations.services import salesforce_rows as made
from cdp_core.destinations.services.salesforce import SalesforceDestination, SalesforceOptions, SalesforceSyncOptions
from cdp_core.destinations.services.salesforce_bulk import Outcome
from cdp_core.errors import DestinationError, SpecError
from cdp_core.testing.services.base import Fault, Reply
from cdp_core.testing.services.salesforce import CLIENT, Salesforce

Make = Callable[..., SalesforceDestination]
JOBS = "/services/data/v62.0/jobs/ingest"
PASS = Fault("slow", seconds=0, path=JOBS)
SECRET = "Hopper-Lovelace"


@pytest.fixture
def service() -> Iterator[Salesforce]:
    with Salesforce() as there:
        yield there


@pytest.fixture
def make(service: Salesforce, tmp_path: Path) -> Make:
    """A prepared destination."""

    def made_ready(
        mode: str = "upsert", key: str = "Ext__c", fields: tuple[str, ...] = (), more: Any = None, **options: Any
    ) -> SalesforceDestination:
        given = {"base_url": service.url, "private_network": True, "poll_seconds": 0.001, "job_timeout": 5}
        given |= more if more is not None else CLIENT
        destination = SalesforceDestination(SalesforceOptions.model_validate(given), tmp_path)
        destination.prepare(delivery(mode, key, fields, **options))
        return destination

    return made_ready


def delivery(mode: str = "upsert", key: str = "Ext__c", fields: tuple[str, ...] = (), **options: Any) -> Delivery:
    names = dict.fromkeys((key, *(fields or ("LastName",))), "string")
    chosen = SalesforceSyncOptions.model_validate({"object": "Contact", **options})
    return Delivery(sync="s", key=key, fields=names, options=chosen, mode=mode)


def batch(rows: dict[str, list[Any]], key: str = "Ext__c") -> Batch:
    frame = pl.DataFrame(rows)
    return Batch(rows=frame, key=key, payload=pl.Series([""] * frame.height), id="b")


def people(count: int) -> Batch:
    return batch({"Ext__c": [f"p{i}" for i in range(count)], "LastName": [f"Name {i}" for i in range(count)]})


def there(service: Salesforce) -> dict[str, str]:
    return {r["Ext__c"]: r["LastName"] for r in service.state.values()}


@pytest.mark.parametrize("operation", ["upsert", "insert"])
@pytest.mark.parametrize("place", ["creation", "upload", "close", "close before it came", "look", "results"])
def test_a_lost_answer_has_one_effect(service: Salesforce, make: Make, operation: str, place: str) -> None:
    destination = make("insert", operation=operation)
    before = {"creation": 0, "upload": 1, "close": 2, "close before it came": 2, "look": 3, "results": 5}[place]
    lost = Fault("reset" if place == "close before it came" else "reset_after", path=JOBS)
    service.faults.extend([*[PASS] * before, lost])
    if place in ("creation", "upload", "results"):
        with pytest.raises(Unavailable):
            destination.send(people(4))
    assert not destination.send(people(4)).failed
    assert not service.faults, "the fault came to pass"
    assert there(service) == {f"p{i}": f"Name {i}" for i in range(4)}
    assert len(service.state) == 4
    assert set(service.effects.values()) == {1}
    ended = [job.state for job in service.jobs.values() if job.rows]
    assert ended == (["Aborted", "JobComplete"] if place == "upload" else ["JobComplete"])


def test_a_job_whose_looks_are_lost_is_gone_on_with(service: Salesforce, make: Make) -> None:
    destination = make("insert", operation="insert")
    service.faults.extend([PASS, PASS, PASS, *[Fault("reset", path=JOBS)] * 5])
    with pytest.raises(Unavailable):
        destination.send(people(3))
    assert not destination.send(people(3)).later
    assert len(service.jobs) == 1
    assert len(service.state) == 3


def test_an_insert_of_another_process_is_looked_up(service: Salesforce, make: Make) -> None:
    make("insert", operation="insert").send(people(3))
    assert make("insert", operation="insert").send(people(5)).failed == {}
    assert len(service.state) == 5
    assert set(service.effects.values()) == {1}


def test_jobs_that_nobody_waits_for_are_aborted(service: Salesforce, make: Make) -> None:
    destination = make()
    service.stuck = True
    service.faults.extend([PASS, PASS, PASS, PASS, *[Fault("reset", path=JOBS)] * 5])
    with pytest.raises(Unavailable):
        destination.send(people(4))
    destination.finish(False)
    assert [job.state for job in service.jobs.values()] == ["Aborted"]


def test_rows_for_later(service: Salesforce, make: Make) -> None:
    destination = make()
    service.locked = {"p1"}
    result = destination.send(people(3))
    assert (result.failed, result.later) == ({}, {"p1": "UNABLE_TO_LOCK_ROW"})
    assert destination.send(people(3)).later == {}
    service.breaks_after = 2
    result = destination.send(people(4))
    assert (result.failed, result.later) == ({}, dict.fromkeys(["p2", "p3"], f"{made.UNPROCESSED}: TooManyLockFailure"))


def test_a_job_that_takes_too_long_is_aborted_and_read(service: Salesforce, make: Make) -> None:
    service.stuck = True
    destination = make(more={**CLIENT, "job_timeout": 0.03})
    result = destination.send(people(4))
    assert [job.state for job in service.jobs.values()] == ["Aborted"]
    assert set(result.later) == {"p2", "p3"}
    assert set(there(service)) == {"p0", "p1"}


def test_refused_rows_are_told_by_their_keys_without_values(service: Salesforce, make: Make) -> None:
    names = ["Ann", SECRET * 20, None, "Bo"]
    result = make(key="Number__c").send(batch({"Number__c": [7, 8, 9, 10], "LastName": names}, "Number__c"))
    assert result.failed == {8: "STRING_TOO_LONG (LastName)", 9: "REQUIRED_FIELD_MISSING (LastName)"}
    assert [r["LastName"] for r in service.state.values()] == ["Ann", "Bo"]


def test_refused_rows_that_nobody_knows_are_no_success() -> None:
    failed = pl.DataFrame({"sf__Id": ["x"], "sf__Error": ["A_CODE:x:--"], "K": ["other"]})
    with pytest.raises(DestinationError, match="1 of the rows it refused cannot be told by K"):
        made.settled(pl.DataFrame({"K": ["a"]}), "K", "K", Outcome({}, failed))


def test_rows_that_salesforce_would_misread_are_not_sent(service: Salesforce, make: Make) -> None:
    rows = batch(
        {
            "Ext__c": list("abcd"),
            "LastName": ["x" * 32_001, "#N/A", "fine", "good"],
            "Kinds__c": [[], [], ["a;b"], ["a"]],
        }
    )
    failed = made.refused(rows.rows, "Ext__c")
    assert failed == {
        "a": "LastName is longer than 32,000 characters",
        "b": "LastName holds #N/A, which Salesforce reads as no value",
        "c": "an entry of Kinds__c holds a semicolon, which Salesforce reads as two",
    }
    assert make().send(batch({"Ext__c": ["a", "b"], "LastName": ["#N/A", "Bo"]})).failed.keys() == {"a"}
    assert there(service) == {"b": "Bo"}


def test_what_is_absent_is_cleared(service: Salesforce, make: Make) -> None:
    destination = make(fields=("LastName", "Visits__c"))
    for visits in ([1, 2], [None, 2]):
        destination.send(batch({"Ext__c": ["a", "b"], "LastName": ["A", "B"], "Visits__c": visits}))
    assert [r["Visits__c"] for r in service.state.values()] == [None, "2"]


def test_the_csv() -> None:
    rows = pl.DataFrame(
        {
            "t": ['=1+1,"x"\ny', ""],
            "at": [datetime(1998, 7, 1, 12, 30, 0, 250000), None],
            "on": [date(1998, 7, 1), None],
            "yes": [True, None],
            "some": [["a", "b"], []],
            "n": [0.1, float("nan")],
        }
    )
    assert made.csv(rows).decode() == (
        "t,at,on,yes,some,n\n"
        '"=1+1,""x""\ny",1998-07-01T12:30:00.250Z,1998-07-01,true,a;b,0.1\n'
        "#N/A,#N/A,#N/A,false,#N/A,#N/A\n"
    )


def test_removal_takes_exactly_its_own(service: Salesforce, make: Make) -> None:
    """SOQL finds keys without regard to case, and page by page."""
    theirs = [service.put(Ext__c="P0", LastName="Theirs"), *(service.put(Ext__c="two", LastName="x") for _ in "ab")]
    destination = make("mirror", removal="delete")
    destination.send(people(9))
    result = destination.remove(pl.Series([*(f"p{i}" for i in range(8)), "two", "nobody", "it's"]))
    assert result.failed == {"two": made.TWO_RECORDS}
    assert set(there(service)) == {"P0", "two", "p8"}
    assert set(theirs) <= set(service.state)
    assert sum("/query/" in call.path for call in service.calls), "there were pages"
    assert not make("mirror", removal="keep").remove(pl.Series(["p8"])).failed
    assert "p8" in there(service)


def test_records_by_number(service: Salesforce, make: Make) -> None:
    destination = make("mirror", "Number__c", removal="delete")
    destination.send(batch({"Number__c": [1, 2], "LastName": ["A", "B"]}, "Number__c"))
    assert not destination.remove(pl.Series(["01"])).failed
    assert [r["Number__c"] for r in service.state.values()] == ["2"]


def test_update_changes_records_that_are_there(service: Salesforce, make: Make) -> None:
    one = service.put(Ext__c="p0", LastName="Old")
    result = make(operation="update").send(people(2))
    assert result.failed == {"p1": made.NO_RECORD}
    assert service.state == {one: {"Ext__c": "p0", "LastName": "Name 0"}}
    by_id = make(key="Id", operation="update")
    assert not by_id.send(batch({"Id": [one], "LastName": ["New"]}, "Id")).failed
    assert service.state[one]["LastName"] == "New"


def test_erasure(service: Salesforce, make: Make) -> None:
    destination = make()
    destination.send(people(3))
    with pytest.raises(DestinationError, match="FEATURENOTENABLED") as error:
        destination.erase(delivery(), pl.Series(["p0"]))
    assert "Bulk API Hard Delete" in str(error.value.hint)
    service.hard_delete = True
    assert not destination.erase(delivery(), pl.Series(["p0", "gone"])).failed
    assert set(there(service)) == {"p1", "p2"}
    assert [j.request["operation"] for j in service.jobs.values()] == ["upsert", "hardDelete"]


def test_tokens(service: Salesforce, make: Make) -> None:
    destination = make()
    service.expire()
    assert not destination.send(people(2)).failed
    for way in ({"access_token": "given"}, {**CLIENT, "refresh_token": "refresh"}):
        service.tokens.add("given")
        assert not make(more=way).send(people(2)).failed
    for way in ({"access_token": "old"}, {**CLIENT, "client_secret": "wrong"}):
        with pytest.raises(DestinationError) as error:
            make(more=way)
        assert type(error.value) is DestinationError
        assert error.value.hint
    with pytest.raises(SpecError, match="give client_id and client_secret, or access_token"):
        parsed(SalesforceOptions, {"base_url": "https://x.example.org"}, where="destinations.crm")


def test_limits_are_waited_for(service: Salesforce, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    destination = make()
    answer = Reply(403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}])
    monkeypatch.setattr(service, "_resource", lambda request, parts: answer)
    with pytest.raises(Unavailable, match="REQUEST_LIMIT_EXCEEDED"):
        destination.send(people(2))


def test_answers_that_are_none(service: Salesforce, make: Make) -> None:
    destination = make()
    service.faults.append(Fault("garbage", path=JOBS))
    with pytest.raises(Unavailable):
        destination.send(people(2))
    service.faults.extend([*[PASS] * 5, Fault("garbage", path=JOBS)])
    with pytest.raises(Unavailable, match="failedResults"):
        destination.send(people(2))
    assert not destination.send(people(2)).failed
    assert len(service.state) == 2


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"fields": ("Lastname",)}, "no field 'Lastname'"),
        ({"fields": ("Formula__c",)}, "Formula__c is not createable"),
        ({"key": "LastName"}, "neither an external id"),
        ({"object": "Nothing"}, "NOT_FOUND"),
        ({"mode": "mirror"}, "mode mirror takes records away"),
        ({"operation": "insert"}, "goes with mode insert"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_sent(
    service: Salesforce, make: Make, given: dict[str, Any], text: str
) -> None:
    with pytest.raises((DestinationError, SpecError), match=text):
        make(**given)
    assert not service.jobs


def test_a_job_that_fails_for_its_form(service: Salesforce, make: Make) -> None:
    rows = batch({"Ext__c": ["a"], "LastName": ["A"], "Account.Number__c": ["7"]})
    with pytest.raises(DestinationError, match="InvalidBatch"):
        make(fields=("LastName", "Account.Number__c")).send(rows)


def test_the_connection_test(service: Salesforce, tmp_path: Path) -> None:
    given = {"base_url": service.url, "private_network": True, **CLIENT}
    for more, text in (({}, "lets bulk jobs be seen"), ({"object": "Contact"}, "external ids: Ext__c, Number__c")):
        destination = SalesforceDestination(SalesforceOptions.model_validate({**given, **more}), tmp_path)
        assert text in destination.test()
    assert "'secret'" not in repr(destination.options)


def test_an_empty_batch_makes_no_call(service: Salesforce, make: Make) -> None:
    destination = make("mirror", removal="delete")
    before = len(service.calls)
    assert destination.send(batch({"Ext__c": [], "LastName": []})) == SendResult()
    assert not destination.remove(pl.Series([], dtype=pl.String)).failed
    assert len(service.calls) == before


def test_large_jobs_are_halved(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made, "JOB_BYTES", 20)
    with pytest.raises(BatchRefused, match="for one job"):
        make().send(people(9))


def test_keys_become_queries(service: Salesforce, make: Make) -> None:
    """They fit into an address, 25 of them into a call, and stand in no address of ours."""
    from urllib.parse import quote

    keys = pl.Series([f"ключ {i} & 'x'" for i in range(12_000)])
    parts = made.literals(keys[:500], "string", most=2000)
    assert max(len(quote(part, safe="")) for part in parts) <= 2000
    assert sum(part.count("ключ") for part in parts) == 500
    destination = make("mirror", removal="delete")
    before = len(service.calls)
    assert destination.remove(keys) == SendResult()
    asked = service.calls[before:]
    assert sum(len(call.json()["batchRequests"]) for call in asked) > 25 * (len(asked) - 1) > 25
    assert not any(call.query for call in service.calls)


def test_keys_that_a_field_cannot_hold(service: Salesforce, make: Make) -> None:
    """A key is no piece of a query, and ids of 15 letters are those of 18."""
    long = service.put(Ext__c="a", LastName="A", Number__c="7")
    destination = make("mirror", "Number__c", removal="delete")
    assert not destination.remove(pl.Series(["1) OR (Id != null", "x"])).failed
    assert len(service.state) == 1
    by_id = make("mirror", "Id", removal="delete")
    assert not by_id.remove(pl.Series(["nobody"])).failed
    assert len(service.state) == 1
    assert not by_id.remove(pl.Series([long[:15], "nobody"])).failed
    assert not service.state


def test_jobs_side_by_side(service: Salesforce, make: Make) -> None:
    from concurrent.futures import ThreadPoolExecutor

    destination = make()
    parts = [batch({"Ext__c": [f"{n}-{i}" for i in range(5)], "LastName": ["x"] * 5}) for n in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert all(result == SendResult() for result in pool.map(destination.send, parts))
    assert len(service.jobs) == 4
    assert len(service.state) == 20
