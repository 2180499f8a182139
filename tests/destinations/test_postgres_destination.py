"""A real PostgreSQL: types, names, own rows only, poison rows, and a server that goes away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from postgres import PASSWORD, Server
from syncing import Syncer, person

from cdp_core.destinations.base import Delivery, Unavailable
from cdp_core.destinations.databases.postgres import PostgresDestination, PostgresOptions, PostgresSyncOptions
from cdp_core.destinations.limits import LimitsSpec
from cdp_core.errors import DestinationError
from cdp_core.testing.clock import FakeClock

pytestmark = pytest.mark.postgres
Make = Callable[..., Syncer]


@pytest.fixture
def s(syncer: Make, postgres_url: str) -> Syncer:
    return syncer(destination=destination(postgres_url), options={"table": "people"})


@pytest.fixture
def db(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("SET timezone TO 'UTC'")
        yield connection


def destination(url: str, **more: Any) -> PostgresDestination:
    return PostgresDestination(PostgresOptions.model_validate({"url": url, **more}), Path())


def rows(db: psycopg.Connection[Any], query: str = "SELECT * FROM people ORDER BY 1") -> list[Any]:
    return db.execute(query).fetchall()


def test_types_survive(s: Syncer, db: psycopg.Connection[Any]) -> None:
    hard = "quote \" apostrophe ' back\\slash, comma\nline\ttab {brace} NULL \\N é😀"
    full = {
        "profile_id": "p1",
        "whole": 2**53 + 1,
        "number": 0.1,
        "yes": True,
        "day": date(1970, 5, 17),
        "at": datetime(1998, 7, 1, 12, 30, 0, 250_000),
        "money": Decimal("1.50"),
        "tags": ["a", hard, "", None, "NULL"],
        "text": hard,
    }
    empty = {"profile_id": "p2", **dict.fromkeys(list(full)[1:]), "tags": [], "text": ""}
    absent = {"profile_id": "p3", **dict.fromkeys(list(full)[1:])}
    s.mapping = {name: name for name in full}
    s.profiles([full, empty, absent], money=pl.Decimal(10, 2))
    assert s.run().delivered == 3
    kinds = dict(rows(db, "SELECT column_name, udt_name FROM information_schema.columns WHERE table_name = 'people'"))
    assert kinds == {
        "profile_id": "text",
        "whole": "int8",
        "number": "float8",
        "yes": "bool",
        "day": "date",
        "at": "timestamptz",
        "money": "numeric",
        "tags": "_text",
        "text": "text",
    }
    expected = tuple(full.values())
    found = rows(db)
    assert found[0] == (*expected[:5], datetime(1998, 7, 1, 12, 30, 0, 250_000, tzinfo=UTC), *expected[6:])
    assert found[1:] == [tuple(empty.values()), tuple(absent.values())]


def test_infinities_and_not_a_number_arrive(s: Syncer, db: psycopg.Connection[Any]) -> None:
    s.profiles([person(1, total=float("inf")), person(2, total=float("-inf")), person(3, total=float("nan"))])
    assert s.run().delivered == 3
    assert [str(r[0]) for r in rows(db, "SELECT total FROM people ORDER BY id")] == ["inf", "-inf", "nan"]


def test_names_that_need_quotes(s: Syncer, db: psycopg.Connection[Any]) -> None:
    s.options = {"table": 'or"der', "schema": "select"}
    s.mapping = {"user": "profile_id", "Group": "email", "group": "total", 'a"b %s {x}': "email"}
    s.profiles([person(1)])
    assert s.run().delivered == 1
    s.profiles([person(1, total=5.0)])
    assert s.run().delivered == 1
    found = db.execute('SELECT * FROM "select"."or""der"').fetchall()
    assert found == [("p1", "a1@example.org", 5.0, "a1@example.org")]


def test_only_own_rows_are_changed_or_removed(s: Syncer, db: psycopg.Connection[Any]) -> None:
    db.execute("CREATE TABLE people (id text PRIMARY KEY, email text, note text)")
    db.execute("INSERT INTO people VALUES ('theirs', 'x', 'keep'), ('p7', 'theirs too', 'keep')")
    s.profiles([person(1), person(2)])
    s.run()
    s.profiles([person(2)])
    assert s.run().removed == 1
    assert rows(db, "SELECT id, email, note, total FROM people ORDER BY id") == [
        ("p2", "a2@example.org", None, 2.0),
        ("p7", "theirs too", "keep", None),
        ("theirs", "x", "keep", None),
    ]


def test_new_fields_become_columns(s: Syncer, db: psycopg.Connection[Any]) -> None:
    s.profiles([person(1, city="Bonn")])
    s.run()
    s.mapping = {**s.mapping, "city": "city", "origin": {"value": 3}}
    plan = s.plan()
    assert plan.change == 1
    s.run(plan)
    assert rows(db) == [("p1", "a1@example.org", 1.0, "Bonn", 3)]


def test_another_table_gets_every_row(s: Syncer, db: psycopg.Connection[Any]) -> None:
    s.profiles([person(1), person(2)])
    s.run()
    s.options = {"table": "others"}
    assert s.plan().due == 2
    s.run()
    assert rows(db, "SELECT count(*) FROM others") == [(2,)]


def test_a_table_dropped_by_hand_is_filled_again(s: Syncer, db: psycopg.Connection[Any]) -> None:
    s.profiles([person(1)])
    s.run()
    db.execute("DROP TABLE people")
    plan = s.plan()
    assert (plan.add, plan.note is not None) == (1, True)
    s.run(plan)
    assert len(rows(db)) == 1


def test_a_table_without_a_unique_key_is_refused(s: Syncer, db: psycopg.Connection[Any]) -> None:
    db.execute("CREATE TABLE people (id text, email text)")
    s.profiles([person(1)])
    with pytest.raises(DestinationError, match=r"public.people has no unique index on 'id'.*without one"):
        s.run()
    db.execute("CREATE UNIQUE INDEX ON people (id)")
    assert s.run().delivered == 1


@pytest.mark.parametrize(
    ("define", "bad", "reason"),
    [
        ("age text CHECK (age <> 'canary')", "canary", "check violation, constraint people_age_check (SQLSTATE 23514)"),
        ("age integer", "canary", "invalid text representation, column age (SQLSTATE 22P02)"),
        ("age varchar(5)", "canary!", "string data right truncation, column age (SQLSTATE 22001)"),
        ("age text NOT NULL", None, "not null violation, column age (SQLSTATE 23502)"),
        ("age date", "canary", "invalid datetime format, column age (SQLSTATE 22007)"),
    ],
)
def test_poison_rows_are_found_and_named_without_their_value(
    s: Syncer, db: psycopg.Connection[Any], define: str, bad: str | None, reason: str
) -> None:
    good = "2020" if "date" not in define else "2020-01-01"
    db.execute(f"CREATE TABLE people (id text PRIMARY KEY, {define})")
    s.mapping = {"id": "profile_id", "age": "age"}
    s.profiles([person(n, age=bad if n in (13, 500) else good) for n in range(1000)], age=pl.String)
    result = s.run()
    assert (result.delivered, result.failed) == (998, 2)
    assert result.reasons == {reason: 2}
    assert {row["key"] for row in s.ledger() if row["status"] == "failed"} == {"p13", "p500"}
    assert rows(db, "SELECT count(*) FROM people") == [(998,)]


def test_a_row_that_may_not_be_removed_is_reported(s: Syncer, db: psycopg.Connection[Any]) -> None:
    s.profiles([person(n) for n in range(3)])
    s.run()
    db.execute("CREATE TABLE orders (owner text REFERENCES people (id)); INSERT INTO orders VALUES ('p1')")
    s.profiles([person(0)])
    result = s.run()
    assert (result.removed, result.failed) == (1, 1)
    assert next(iter(result.reasons)).startswith("foreign key violation")
    db.execute("DROP TABLE orders")
    assert s.run().removed == 1
    assert rows(db, "SELECT id FROM people") == [("p0",)]


def test_a_connection_that_drops_in_the_middle(s: Syncer, db: psycopg.Connection[Any]) -> None:
    """The server ends the session after the first batch; what was sent is on the books, the rest comes later."""
    s.destination.batch_rows = 100
    s.limits = LimitsSpec(attempts=1)
    s.profiles([person(n) for n in range(250)])
    real = s.destination.send
    sent = []

    def send(batch: Any) -> Any:
        if sent:
            db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cdp'")
        sent.append(batch)
        return real(batch)

    s.destination.send = send
    with pytest.raises(Unavailable):
        s.run()
    statuses = [row["status"] for row in s.ledger()]
    assert (statuses.count("delivered"), statuses.count("pending")) == (100, 150)
    s.limits = None
    s.clock = FakeClock()
    assert s.run().delivered == 150, "the same run connects again"
    assert len(sent) == 6
    assert rows(db, "SELECT count(*), sum(total) FROM people") == [(250, sum(range(250)))]


def test_update_changes_rows_that_are_there_and_adds_none(s: Syncer, db: psycopg.Connection[Any]) -> None:
    db.execute("CREATE TABLE people (id text PRIMARY KEY, email text, note text)")
    db.execute("INSERT INTO people VALUES ('p1', 'old', 'keep'), ('theirs', 'x', 'keep')")
    s.mode = "update"
    s.profiles([person(1), person(2)])
    result = s.run()
    assert (result.delivered, result.failed, result.reasons) == (1, 1, {"no row with this key": 1})
    assert rows(db) == [("p1", "a1@example.org", "keep", 1.0), ("theirs", "x", "keep", None)]


def test_insert_leaves_a_row_that_is_there(s: Syncer, db: psycopg.Connection[Any]) -> None:
    db.execute("CREATE TABLE people (id text PRIMARY KEY, email text)")
    db.execute("INSERT INTO people VALUES ('p1', 'theirs')")
    s.mode = "insert"
    s.profiles([person(1), person(2)])
    s.run()
    assert rows(db) == [("p1", "theirs", None), ("p2", "a2@example.org", 2.0)]


def test_whole_number_keys_are_removed_by_number(s: Syncer, db: psycopg.Connection[Any]) -> None:
    s.mapping = {"n": "events", "email": "email"}
    s.profiles([person(n, events=n) for n in (1, 2, 10)])
    s.run()
    s.profiles([person(10, events=10)])
    assert s.run().removed == 2
    assert rows(db) == [(10, "a10@example.org")]


def test_a_table_of_keys_only(s: Syncer, db: psycopg.Connection[Any]) -> None:
    s.mapping = {"id": "profile_id"}
    s.profiles([person(1), person(2)])
    s.run()
    s.profiles([person(2), person(3)])
    s.run()
    assert rows(db) == [("p2",), ("p3",)]


def test_erase(s: Syncer, db: psycopg.Connection[Any]) -> None:
    s.profiles([person(1), person(2)])
    s.run()
    delivery = Delivery(sync="s", key="id", fields={"id": "string"}, options=PostgresSyncOptions(table="people"))
    assert not s.destination.erase(delivery, pl.Series(["p1"])).failed
    assert rows(db, "SELECT id FROM people") == [("p2",)]


def test_errors_never_hold_the_password(postgres_server: Server, postgres_url: str) -> None:
    wrong = {
        "password": postgres_url.replace(PASSWORD, "wrong-canary"),
        "database": postgres_url.rsplit("/", 1)[0] + "/nowhere",
        "port": postgres_url.replace(f":{postgres_server.port}/", ":1/"),
        "not a port": postgres_url.replace(f":{postgres_server.port}/", ":abc/"),
        "option": postgres_url + "?nonsense=1",
    }
    for what, url in wrong.items():
        with pytest.raises(DestinationError) as error:
            destination(url, connect_timeout=2).test()
        text = str(error.value)
        assert PASSWORD not in text, what
        assert "canary" not in text, what
        assert "\n" not in text, what
        assert error.value.__suppress_context__, what
    with pytest.raises(DestinationError, match=r"cannot be reached: the password or the user is wrong"):
        destination(wrong["password"]).test()
    with pytest.raises(DestinationError, match=r"127.0.0.1:1/.*cannot be reached: the connection was refused"):
        destination(wrong["port"]).test()


def test_too_many_connections_are_an_outage_and_a_wrong_password_is_none(
    db: psycopg.Connection[Any], postgres_url: str
) -> None:
    db.execute("DROP ROLE IF EXISTS crowd")
    db.execute("CREATE ROLE crowd LOGIN PASSWORD 'r' CONNECTION LIMIT 1")
    _, _, rest = postgres_url.partition("@")
    crowded = destination(f"postgresql://crowd:r@{rest}")
    with crowded._open(), pytest.raises(Unavailable, match="it has too many connections"):
        crowded.test()
    with pytest.raises(DestinationError, match="the password or the user is wrong") as wrong:
        destination(f"postgresql://crowd:wrong@{rest}").test()
    assert not isinstance(wrong.value, Unavailable), "no later try will mend it"


def test_a_statement_that_takes_too_long_is_an_outage(
    s: Syncer, db: psycopg.Connection[Any], postgres_url: str
) -> None:
    """Another transaction holds the row; after `statement_timeout` the batch is left for the next run."""
    s.limits = LimitsSpec(attempts=1)
    s.profiles([person(1)])
    s.run()
    s.profiles([person(1, total=9.0)])
    s.destination = destination(postgres_url, statement_timeout=1)
    with db.transaction():
        db.execute("UPDATE people SET total = 7")
        with pytest.raises(Unavailable, match="SQLSTATE 57014; raise statement_timeout"):
            s.run()
    assert s.run().delivered == 1
    assert rows(db, "SELECT total FROM people") == [(9.0,)]


def test_lack_of_rights_is_no_row_error(s: Syncer, db: psycopg.Connection[Any], postgres_url: str) -> None:
    db.execute("CREATE TABLE people (id text PRIMARY KEY, email text, total float8)")
    db.execute("DROP ROLE IF EXISTS reader")
    db.execute("CREATE ROLE reader LOGIN PASSWORD 'r'; GRANT SELECT ON people TO reader")
    s.profiles([person(1)])
    _, _, rest = postgres_url.partition("@")
    s.destination = destination(f"postgresql://reader:r@{rest}")
    with pytest.raises(DestinationError, match=r"insufficient privilege.*SQLSTATE 42501; the user lacks a right"):
        s.run()
    assert [row["status"] for row in s.ledger()] == ["pending"]
