"""What is Snowflake's own: signed tokens, names, error codes, statements below 1 MB."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import polars as pl
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from syncing import Syncer, person
from test_snowflake_contract import opened

from cdp_core.destinations.base import Batch, BatchRefused, Delivery, Unavailable
from cdp_core.destinations.databases.snowflake import SnowflakeDestination
from cdp_core.errors import DestinationError
from cdp_core.testing.clock import FakeClock
from cdp_core.testing.services.snowflake import LONGEST, PAT, SnowflakeService
from cdp_core.testing.services.tokens import pem, rsa_key

Make = Callable[..., Syncer]
TABLE = SnowflakeDestination.SyncOptions(table="people")
FIELDS = {"id": "string", "n": "int64"}


@pytest.fixture
def service() -> Iterator[SnowflakeService]:
    with SnowflakeService() as one:
        yield one


def prepared(service: SnowflakeService, fields: dict[str, str] = FIELDS, **more: Any) -> SnowflakeDestination:
    destination = opened(service, **more)
    destination.prepare(Delivery(sync="s", key="id", fields=fields, options=TABLE))
    return destination


def batch(**columns: Any) -> Batch:
    rows = pl.DataFrame(columns or {"id": ["a"], "n": [1]})
    return Batch(rows=rows, key="id", payload=pl.Series(["{}"] * rows.height))


def test_ways_in(service: SnowflakeService) -> None:
    hidden = {"private_key": pem(rsa_key(), b"opensesame"), "private_key_passphrase": "opensesame"}
    written = {"private_key": pem(rsa_key()).replace("\n", "\\n")}
    for given in ({}, {"token": PAT}, hidden, written):
        assert "Snowflake 9.99" in opened(service, **given).test()
    wrong: dict[str, dict[str, Any]] = {
        "Snowflake refused: error 390144; look at account, user and key": {"user": "somebody"},
        "error 390144": {"private_key": pem(generate_private_key(public_exponent=65537, key_size=2048))},
        "the private key cannot be read": {**hidden, "private_key_passphrase": "canary"},
        "error 000606; name a warehouse": {"warehouse": "other"},
        "error 002043; look at the database": {"database": "other"},
    }
    for says, given in wrong.items():
        with pytest.raises(DestinationError, match=says) as error:
            opened(service, **given).test()
        assert "canary" not in str(error.value)
    with pytest.raises(ValueError, match="give user and private_key, or token"):
        opened(service, token=PAT, user="u", private_key="k")


def test_tokens_that_expire_on_the_way_are_signed_anew(service: SnowflakeService) -> None:
    destination = prepared(service)
    for number in range(3):
        service.expire()
        destination.send(batch(id=["a"], n=[number]))
    assert service.rows("PEOPLE") == [("a", 2)]
    refused = [call for call in service.calls if call.method == "POST"]
    assert len(refused) - len(service.by_request) == 3


@pytest.mark.parametrize(
    ("status", "code", "state", "error", "says"),
    [
        (422, "100038", "22018", BatchRefused, r"not a value of the column's type \(error 100038\)$"),
        (422, "100072", "22000", BatchRefused, "null is not allowed"),
        (422, "100999", "22999", BatchRefused, "the data were refused"),
        (422, "002023", "22000", DestinationError, "Snowflake refused: error 002023; map fields of the columns' types"),
        (422, "003001", "42501", DestinationError, "the role needs USAGE"),
        (422, "000625", "57014", Unavailable, "Snowflake: error 000625"),
        (408, "000630", "57014", Unavailable, "Snowflake: error 000630"),
        (422, "canary", "canary", DestinationError, "Snowflake refused: answered 422"),
        (403, "390422", "", DestinationError, "network policy"),
    ],
)
def test_what_codes_become(
    service: SnowflakeService, status: int, code: str, state: str, error: type[Exception], says: str
) -> None:
    """After an error that passes, the statement goes out under a request id of its own."""
    destination = prepared(service)
    service.errors = [(status, code, state)]
    with pytest.raises(error, match=says) as caught:
        destination.send(batch())
    assert type(caught.value) is error
    assert "canary" not in str(caught.value)
    destination.send(batch())
    first, second = (call.query for call in service.calls[-2:])
    assert first["requestId"] != second["requestId"]
    assert "retry" not in second
    assert service.rows("PEOPLE") == [("a", 1)]


def test_a_statement_that_takes_long_is_looked_at_until_it_ends(service: SnowflakeService) -> None:
    service.looks = 3
    destination = prepared(service)
    destination.send(batch())
    assert [call.method for call in service.calls[-4:]] == ["POST", "GET", "GET", "GET"]
    service.looks = 10_000
    slow = prepared(service, statement_timeout=1)
    with pytest.raises(Unavailable, match="the statement does not end"):
        slow.send(batch(id=["a"], n=[2]))
    for statement in service.by_handle.values():
        statement.looks = 0
    before = len(service.by_request)
    slow.send(batch(id=["a"], n=[2]))
    assert len(service.by_request) == before, "it was gone on with"


def test_names_are_folded_as_snowflake_does_or_kept(service: SnowflakeService, syncer: Make) -> None:
    s = syncer(destination=opened(service), options={"table": "people"}, clock=FakeClock())
    s.mapping = {"id": "profile_id", "e mail": "email", "Größe": "total"}
    s.profiles([person(1)])
    s.run()
    create = next(text for text in service.sql.statements if text.startswith("CREATE"))
    assert create.startswith(
        'CREATE TABLE IF NOT EXISTS "SHOP"."CRM"."PEOPLE" ("ID" VARCHAR NOT NULL, "e mail" VARCHAR, '
    )
    exact = opened(service, exact_names=True, database="SHOP", schema="CRM", warehouse="LOAD")
    merge = exact._sql("people")
    assert merge == '"SHOP"."CRM"."people"'
    s.mapping = {"id": "profile_id", "Mail": "email", "mail": "email"}
    with pytest.raises(DestinationError, match="are one column to Snowflake"):
        s.run()
    assert exact._same("Mail") != exact._same("mail")


def test_statements_stay_below_one_megabyte(service: SnowflakeService, syncer: Make) -> None:
    s = syncer(destination=opened(service), options={"table": "people"}, clock=FakeClock())
    s.profiles([person(n, email='"x\\' * 200) for n in range(3000)])
    assert s.run().delivered == 3000
    bodies = [call.json() for call in service.calls if b"MERGE" in call.body]
    sizes = [len(body["bindings"]["1"]["value"]) + len(body["statement"]) for body in bodies]
    assert 3 <= len(sizes) <= 8
    assert max(sizes) < LONGEST
    assert service.rows("PEOPLE", "count(*), count(DISTINCT ID)") == [(3000, 3000)]


def test_a_batch_that_grows_beyond_a_statement_is_halved(service: SnowflakeService) -> None:
    """Short names and many small numbers are longer in the statement than in the payload."""
    destination = prepared(service)
    rows = {"id": [f"{n:060}" for n in range(15_000)], "n": [0] * 15_000}
    with pytest.raises(BatchRefused, match="too long for one statement"):
        destination.send(batch(**rows))
    assert not destination.send(batch(**{name: values[:7_500] for name, values in rows.items()})).failed


def test_statements_run_in_utc_and_say_whose_they_are(service: SnowflakeService) -> None:
    fields = {"id": "string", "at": "timestamp"}
    prepared(service, fields).send(batch(id=["a"], at=[datetime(1998, 7, 1, 12, 30)]))
    body = json.loads(service.calls[-1].body)
    assert body["parameters"] == {"timezone": "UTC", "query_tag": "cdp"}
    assert {body[name] for name in ("database", "schema", "warehouse")} == {"SHOP", "CRM", "LOAD"}
    assert "a" not in body["statement"].split('"'), "values are bound, never written into a statement"
    assert service.rows("PEOPLE") == [("a", datetime(1998, 7, 1, 12, 30))]
