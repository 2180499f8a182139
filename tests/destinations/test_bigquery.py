"""What is BigQuery's own: jobs and their ids, uploads, quotas, logging in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
import pytest
from syncing import Syncer, person
from test_bigquery_contract import opened

from cdp_core.destinations.base import Batch, BatchRefused, Delivery, Unavailable
from cdp_core.destinations.databases import bigquery_jobs
from cdp_core.destinations.databases.bigquery import BigQueryDestination
from cdp_core.errors import DestinationError, SpecError
from cdp_core.testing.clock import FakeClock
from cdp_core.testing.services.base import Fault
from cdp_core.testing.services.bigquery import BigQueryService

Make = Callable[..., Syncer]
TABLE = BigQueryDestination.SyncOptions(table="people")
FIELDS = {"id": "string", "n": "int64"}


@pytest.fixture
def service() -> Iterator[BigQueryService]:
    with BigQueryService() as one:
        yield one


def prepared(service: BigQueryService, **more: Any) -> BigQueryDestination:
    destination = opened(service, **more)
    destination.prepare(Delivery(sync="s", key="id", fields=FIELDS, options=TABLE))
    return destination


def batch(n: int = 1, ids: list[str] | None = None) -> Batch:
    rows = pl.DataFrame({"id": ["a"], "n": [n]})
    return Batch(rows=rows, key="id", payload=pl.Series(["{}"]), ids=None if ids is None else pl.Series(ids))


def jobs(service: BigQueryService, kind: str) -> list[str]:
    return [name for name, job in service.jobs.items() if kind in job.resource["configuration"]]


@pytest.mark.parametrize(("kind", "reason"), [("load", "backendError"), ("query", "jobRateLimitExceeded")])
def test_a_job_that_failed_in_passing_is_begun_under_another_id(
    service: BigQueryService, kind: str, reason: str
) -> None:
    service.job_errors = [(kind, reason)]
    destination = prepared(service)
    with pytest.raises(Unavailable, match=f"BigQuery: {reason}$"):
        destination.send(batch(ids=["d1"]))
    assert not destination.send(batch(ids=["d1"])).failed
    assert service.rows("people") == [("a", 1)]
    assert {"load": len(jobs(service, "load")), "query": len(jobs(service, "query"))} == {
        "load": 1,
        "query": 1,
        kind: 2,
    }


def test_a_merge_that_failed_in_an_earlier_run_is_done_in_this_one(service: BigQueryService) -> None:
    """The same ids, and so the same job id, which is used up."""
    service.job_errors = [("query", "invalidQuery")]
    for taken in (False, True):
        destination = prepared(service)
        if taken:
            assert not destination.send(batch(ids=["d1"])).failed
        else:
            with pytest.raises(BatchRefused):
                destination.send(batch(ids=["d1"]))
    first, second = jobs(service, "query")
    assert second.startswith(first + "_")
    assert service.rows("people") == [("a", 1)]


def test_ids_of_rows_say_nothing_of_a_table_that_was_made_anew(service: BigQueryService) -> None:
    prepared(service).send(batch(ids=["d1"]))
    prepared(service).send(batch(ids=["d1"]))
    assert len(jobs(service, "query")) == 1, "known by its ids"
    service.drop_table("people")
    prepared(service).send(batch(ids=["d1"]))
    assert service.rows("people") == [("a", 1)]


def test_a_job_that_does_not_end_is_waited_for_by_the_next_try(service: BigQueryService) -> None:
    service.looks = 10_000
    destination = prepared(service, credentials=service.credentials, job_timeout=0.02)
    with pytest.raises(Unavailable, match="the job does not end"):
        destination.send(batch())
    for job in service.jobs.values():
        job.looks = 1
    service.looks = 1
    destination.send(batch())
    assert (len(jobs(service, "load")), len(jobs(service, "query"))) == (1, 1)
    assert sum(call.path.startswith("/upload") for call in service.calls) == 1, "what has begun is not sent again"


@pytest.mark.parametrize(
    ("status", "reason", "error", "says", "wait"),
    [
        (403, "quotaExceeded", Unavailable, "BigQuery: quotaExceeded", 600.0),
        (403, "rateLimitExceeded", Unavailable, "BigQuery: rateLimitExceeded", None),
        (400, "jobBackendError", Unavailable, "BigQuery: jobBackendError", None),
        (403, "accessDenied", DestinationError, "BigQuery refused: accessDenied; the account needs the roles", None),
        (403, "billingNotEnabled", DestinationError, "enable billing for the project", None),
        (404, "notFound", DestinationError, "look at the project, the dataset", None),
        (403, "<b>canary-7f3a</b>", DestinationError, "BigQuery refused: answered 403", None),
    ],
)
def test_what_reasons_become(
    service: BigQueryService, status: int, reason: str, error: type[Exception], says: str, wait: float | None
) -> None:
    destination = prepared(service)
    service.answers = [(status, reason)]
    with pytest.raises(error, match=says) as caught:
        destination.send(batch())
    assert type(caught.value) is error
    assert "canary" not in str(caught.value)
    assert getattr(caught.value, "retry_after", None) == wait


@pytest.mark.parametrize(
    ("message", "error", "says"),
    [
        ("Could not serialize access to table people due to concurrent update", Unavailable, "BigQuery: invalidQuery"),
        ("UPDATE or DELETE would affect rows in the streaming buffer", Unavailable, "BigQuery: invalidQuery"),
        ("Cannot query over table without a filter for partition elimination", DestinationError, "BigQuery refused"),
        ("Bad int64 value: canary", BatchRefused, r"not a value of the column's type \(invalidQuery\)$"),
        ("numeric out of range: canary", BatchRefused, r"out of range \(invalidQuery\)$"),
        ("canary", BatchRefused, r"the data were refused \(invalidQuery\)$"),
    ],
)
def test_what_messages_become(message: str, error: type[Exception], says: str) -> None:
    http: Any = type("Named", (), {"where": "bigquery"})
    api = bigquery_jobs.BigQuery(http, "p", poll=1, patience=1)
    found = api.refused(200, {"reason": "invalidQuery", "message": message})
    assert type(found) is error
    with pytest.raises(error, match=says):
        raise found
    assert "canary" not in str(found)


def test_long_batches_are_uploaded_in_a_session(service: BigQueryService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bigquery_jobs, "MULTIPART_BYTES", 10)
    service.faults.append(Fault("reset_after", path="/upload/bigquery/v2/projects/shop-1/jobs"))
    destination = prepared(service)
    with pytest.raises(Unavailable):
        destination.send(batch())
    destination.send(batch())
    assert service.rows("people") == [("a", 1)]
    uploads = [call for call in service.calls if call.path.startswith("/upload")]
    assert [call.method for call in uploads] == ["POST", "POST", "PUT"]
    assert uploads[-1].body == b'{"c0":"a","c1":"1"}\n'
    service.faults.append(Fault("status", 200, {"Location": "https://elsewhere.example/x"}, path="/upload"))
    with pytest.raises(Unavailable, match="names no place for the upload"):
        destination.send(batch(2))


def test_stages_expire_and_are_dropped(service: BigQueryService) -> None:
    destination = prepared(service)
    service.job_errors = [("load", "backendError")]
    with pytest.raises(Unavailable):
        destination.send(batch())
    (stage,) = (table for name, table in service.tables.items() if name.startswith("cdp_stage_"))
    ahead = int(stage["expirationTime"]) / 1000 - bigquery_jobs.time.time()
    assert 23 * 3600 < ahead <= 24 * 3600
    destination.send(batch())
    assert set(service.tables) == {"people"}


def test_the_table_is_made_with_its_key_and_types(service: BigQueryService) -> None:
    destination = opened(service)
    fields = {"id": "string", "small": "decimal(10, 2)", "large": "decimal(38, 12)", "tags": "array<string>"}
    destination.prepare(Delivery(sync="s", key="id", fields=fields, options=TABLE))
    made = service.tables["people"]
    assert made["tableConstraints"] == {"primaryKey": {"columns": ["id"]}}
    assert [(f["name"], f["type"], f["mode"], f.get("scale")) for f in made["schema"]["fields"]] == [
        ("id", "STRING", "REQUIRED", None), ("small", "NUMERIC", "NULLABLE", "2"), ("large", "BIGNUMERIC", "NULLABLE", "12"),
        ("tags", "STRING", "REPEATED", None),
    ]  # fmt: skip


def test_columns_that_somebody_adds_at_the_same_time_are_kept(service: BigQueryService, syncer: Make) -> None:
    s = syncer(destination=opened(service), options={"table": "people"}, clock=FakeClock())
    s.profiles([person(1, city="Bonn")])
    s.run()
    s.mapping = {**s.mapping, "city": "city"}
    patched, real = [], service._patched

    def meanwhile(request: Any, table: dict[str, Any]) -> Any:
        if not patched:
            patched.append(table)
            theirs = {"name": "theirs", "type": "STRING", "mode": "NULLABLE"}
            body = json.dumps({"schema": {"fields": [*table["schema"]["fields"], theirs]}}).encode()
            real(type(request)("PATCH", request.path, {}, {}, body), table)
        return real(request, table)

    service._patched = meanwhile  # type: ignore[method-assign]
    assert s.run().delivered == 1
    assert service.rows("people", "city, theirs") == [("Bonn", None)]


def test_a_view_and_a_name_of_bigquerys_own_are_refused(service: BigQueryService) -> None:
    service.table("people", {"name": "id", "type": "STRING"}, type="VIEW")
    with pytest.raises(DestinationError, match="no table that rows can be written into"):
        prepared(service)
    with pytest.raises(DestinationError, match="'_PARTITIONTIME'… is no column of BigQuery: names that start so"):
        opened(service).prepare(Delivery(sync="s", key="id", fields={"_PARTITIONTIME": "string"}, options=TABLE))


def test_ways_in(service: BigQueryService) -> None:
    told = json.loads(service.credentials)
    refreshed = {"refresh_token": "refresh", "client_id": "c", "client_secret": "secret"}
    for given in ({"access_token": "given"}, {**refreshed, "token_url": f"{service.url}/token"},
                  {"credentials": json.dumps(told)}):  # fmt: skip
        assert "BigQuery" in opened(service, **given).test()
    wrong = {
        "no token was given": {**told, "client_email": "somebody@else.example"},
        "the key of the service account cannot be read": {"type": "authorized_user"},
        "the private key cannot be read": {**told, "private_key": "-----BEGIN canary"},
    }
    for says, key in wrong.items():
        with pytest.raises(DestinationError, match=says) as error:
            opened(service, credentials=json.dumps(key)).test()
        assert "canary" not in str(error.value)
    with pytest.raises(ValueError, match="credentials, access_token, or refresh_token"):
        opened(service, refresh_token="alone")


def test_options_of_the_sync_are_looked_at(syncer: Make, service: BigQueryService) -> None:
    s = syncer(destination=opened(service), options={"table": "a`b"})
    s.profiles([person(1)])
    with pytest.raises(SpecError, match=r"syncs.s.options.table: a name of 1 to 1024 bytes"):
        s.plan()
