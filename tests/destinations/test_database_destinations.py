"""MariaDB, SQLite and DuckDB: types, names, modes, own rows only, poison rows, other writers, errors."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from mariadb import PASSWORD, MariaDb
from syncing import Syncer, person

from cdp_core.destinations.base import Batch, BatchRefused, Delivery, Unavailable
from cdp_core.destinations.databases.duckdb import DuckDbDestination
from cdp_core.destinations.databases.files import FileDatabaseOptions, FileTableOptions
from cdp_core.destinations.databases.mysql import MySqlDestination, MySqlOptions
from cdp_core.destinations.databases.sqlite import SqliteDestination, SqliteOptions
from cdp_core.destinations.limits import LimitsSpec
from cdp_core.errors import DestinationError, SpecError
from cdp_core.testing.clock import FakeClock

Make = Callable[..., Syncer]
HARD = "quote \" apostrophe ' back\\slash, comma\nline\ttab {brace} %s NULL \\N é😀"
DAY, AT = date(1970, 5, 17), datetime(1998, 7, 1, 12, 30, 0, 250_000)


def made(kind: str, root: Path, **options: Any) -> Any:
    if kind == "mysql":
        return MySqlDestination(MySqlOptions.model_validate(options), root)
    if kind == "sqlite":
        return SqliteDestination(SqliteOptions.model_validate({"path": "out/db.sqlite", **options}), root)
    return DuckDbDestination(FileDatabaseOptions.model_validate({"path": "out/db.duckdb", **options}), root)


@pytest.fixture(params=["mysql", "sqlite", "duckdb"])
def s(request: pytest.FixtureRequest, syncer: Make, tmp_path: Path) -> Syncer:
    url = {"url": request.getfixturevalue("mysql_url")} if request.param == "mysql" else {}
    (tmp_path / "out").mkdir()
    return syncer(destination=made(request.param, tmp_path, **url), options={"table": "people"}, clock=FakeClock())


def sql(s: Syncer, *statements: str) -> list[tuple[Any, ...]]:
    """What the last statement gives, on a connection of its own."""
    with s.destination._open() as connection:
        found = [s.destination._execute(connection, statement) for statement in statements]
    return [tuple(row) for row in found[-1]]


def kind(s: Syncer) -> str:
    return str(s.destination.product).lower()


def test_types_survive(s: Syncer) -> None:
    full = {
        "profile_id": "p1",
        "whole": 2**53 + 1,
        "number": 0.1,
        "large": 1.7976931348623157e308,
        "yes": True,
        "day": DAY,
        "at": AT,
        "money": Decimal("1234567.5"),
        "long": Decimal("12345678901234567890.123456789"),
        "tags": ["a", HARD, "", None, "NULL"],
        "text": HARD,
    }
    rest = list(full)[1:]
    empty = {"profile_id": "p2", **dict.fromkeys(rest), "tags": [], "text": ""}
    absent = {"profile_id": "p3", **dict.fromkeys(rest)}
    s.mapping = {name: name for name in full}
    s.profiles([full, empty, absent], money=pl.Decimal(10, 2), long=pl.Decimal(38, 9))
    assert s.run().delivered == 3
    found = sql(s, "SELECT * FROM people ORDER BY 1")
    tags = [json.loads(t) if isinstance(t, str) else t for t in (row[9] for row in found)]
    assert tags == [full["tags"], [], None]
    assert [row[:1] + row[10:] for row in found] == [("p1", HARD), ("p2", ""), ("p3", None)]
    _, whole, number, large, yes, day, at, money, long, *_ = found[0]
    assert (whole, number, large, bool(yes)) == (2**53 + 1, 0.1, 1.7976931348623157e308, True)
    assert (Decimal(str(money)), Decimal(long)) == (full["money"], full["long"])
    assert (str(day), str(at)[:23]) == ("1970-05-17", "1998-07-01 12:30:00.250")
    assert set(found[2][1:]) == {None}
    s.profiles([{**full, "tags": ["b"]}, empty, absent], money=pl.Decimal(10, 2), long=pl.Decimal(38, 9))
    assert s.run().delivered == 1
    assert (
        json.dumps(sql(s, "SELECT tags FROM people ORDER BY profile_id")[0][0]).strip('"').replace("\\", "") == '["b"]'
    )


def test_numbers_that_cannot_be_kept_are_refused(s: Syncer) -> None:
    s.profiles([person(1, total=float("inf")), person(2), person(3, total=float("nan"))])
    result = s.run()
    taken = {"mysql": ["p2"], "sqlite": ["p1", "p2"], "duckdb": ["p1", "p2", "p3"]}[kind(s)]
    assert [key for (key,) in sql(s, "SELECT id FROM people ORDER BY id")] == taken
    assert result.failed == 3 - len(taken)
    assert all("number, column total" in reason for reason in result.reasons)


def test_names_that_need_quotes(s: Syncer) -> None:
    s.options = {"table": 'or"der `x` %s'}
    s.mapping = {"select": "profile_id", "a b": "email", "Größe": "total", 'a"b`c %s {x}': "email", "it's": "email"}
    s.profiles([person(1), person(2)])
    assert s.run().delivered == 2
    s.profiles([person(1, total=5.0)])
    result = s.run()
    assert (result.delivered, result.removed) == (1, 1)
    table = s.destination.dialect.name('or"der `x` %s')
    assert sql(s, f"SELECT * FROM {table}") == [("p1", "a1@example.org", 5.0, "a1@example.org", "a1@example.org")]


def test_names_that_are_too_long_or_the_same(s: Syncer) -> None:
    s.profiles([person(1)])
    s.mapping = {"id": "profile_id", "n" * 201: "email"}
    with pytest.raises(DestinationError, match=r"syncs.s.mapping: 'nnn.*is no column of .*: a name of 1 to \d+ "):
        s.run()
    s.mapping = {"id": "profile_id", "Email": "email", "email": "email"}
    with pytest.raises(DestinationError, match="'Email' and 'email' are one column"):
        s.run()
    s.mapping = {"id": "profile_id"}
    s.options = {"table": "t" * 201}
    with pytest.raises(SpecError, match=r"syncs.s.options.table: a name of 1 to \d+ "):
        s.run()


def test_keys_differ_by_case_accent_and_space(s: Syncer) -> None:
    keys = ["a", "A", "a ", "á", "ß", "ss"]
    s.profiles([person(n, profile_id=key) for n, key in enumerate(keys)])
    assert s.run().delivered == 6
    s.profiles([person(n, profile_id=key) for n, key in enumerate(keys) if key != "A"])
    assert s.run().removed == 1
    assert {key for (key,) in sql(s, "SELECT id FROM people")} == set(keys) - {"A"}


def test_update_changes_rows_that_are_there_and_adds_none(s: Syncer) -> None:
    sql(
        s, "CREATE TABLE people (id VARCHAR(50) PRIMARY KEY, email VARCHAR(50), note VARCHAR(50))",
        "INSERT INTO people VALUES ('p1', 'old', 'keep'), ('theirs', 'x', 'keep')",
    )  # fmt: skip
    s.mode = "update"
    s.profiles([person(1), person(2)])
    result = s.run()
    assert (result.delivered, result.failed, result.reasons) == (1, 1, {"no row with this key": 1})
    query = "SELECT id, email, note, total FROM people ORDER BY id"
    assert sql(s, query) == [("p1", "a1@example.org", "keep", 1.0), ("theirs", "x", "keep", None)]
    s.mapping = {"id": "profile_id"}
    assert s.run().failed == 1, "a row without other fields is looked for too"


def test_insert_leaves_a_row_that_is_there(s: Syncer) -> None:
    sql(
        s, "CREATE TABLE people (id VARCHAR(50) PRIMARY KEY, email VARCHAR(50))",
        "INSERT INTO people VALUES ('p1', 'theirs')",
    )  # fmt: skip
    s.mode = "insert"
    s.profiles([person(1), person(2)])
    s.run()
    assert sql(s, "SELECT * FROM people ORDER BY id") == [("p1", "theirs", None), ("p2", "a2@example.org", 2.0)]


def test_the_row_of_another_key_is_never_changed(s: Syncer) -> None:
    """Another unique column has the value already: the row is refused, its neighbour goes through."""
    sql(
        s, "CREATE TABLE people (id VARCHAR(50) PRIMARY KEY, email VARCHAR(50) UNIQUE, note VARCHAR(50))",
        "INSERT INTO people VALUES ('theirs', 'a1@example.org', 'keep')",
    )  # fmt: skip
    s.profiles([person(1), person(2)])
    result = s.run()
    assert (result.delivered, result.failed) == (1, 1)
    assert "example.org" not in next(iter(result.reasons))
    assert sql(s, "SELECT id, note FROM people ORDER BY id") == [("p2", None), ("theirs", "keep")]


def test_a_refused_batch_leaves_nothing_behind(s: Syncer) -> None:
    """The first row would change one that is there, the second one has a value that must be unique."""
    sql(
        s, "CREATE TABLE people (id VARCHAR(50) PRIMARY KEY, email VARCHAR(50) UNIQUE)",
        "INSERT INTO people VALUES ('p1', 'old'), ('theirs', 'taken')",
    )  # fmt: skip
    options = FileTableOptions(table="people")
    fields = {"id": "string", "email": "string"}
    s.destination.prepare(Delivery(sync="s", key="id", fields=fields, options=options))
    rows = pl.DataFrame({"id": ["p1", "p2"], "email": ["new", "taken"]})
    with pytest.raises(BatchRefused):
        s.destination.send(Batch(rows=rows, key="id", payload=pl.Series(["{}", "{}"])))
    s.destination.finish(False)
    assert sql(s, "SELECT * FROM people ORDER BY id") == [("p1", "old"), ("theirs", "taken")]


def test_new_fields_another_table_and_a_dropped_one(s: Syncer) -> None:
    s.profiles([person(1, city="Bonn")])
    s.run()
    s.mapping = {**s.mapping, "city": "city", "origin": {"value": 3}}
    s.run()
    row = ("p1", "a1@example.org", 1.0, "Bonn", 3)
    assert sql(s, "SELECT * FROM people") == [row]
    s.options = {"table": "others"}
    assert s.run().delivered == 1
    sql(s, "DROP TABLE others")
    assert s.run().delivered == 1
    assert sql(s, "SELECT * FROM others") == [row]


@pytest.mark.parametrize("key", ["CREATE UNIQUE INDEX k ON people (id)", "CREATE UNIQUE INDEX k ON people (ID)"])
def test_a_table_without_a_unique_key_is_refused(s: Syncer, key: str) -> None:
    sql(
        s, "CREATE TABLE people (id VARCHAR(50), email VARCHAR(50))", "CREATE UNIQUE INDEX two ON people (id, email)"
    )  # fmt: skip
    s.profiles([person(1)])
    with pytest.raises(DestinationError, match=r"people has no unique index on 'id'.*without one"):
        s.run()
    sql(s, key)
    assert s.run().delivered == 1


@pytest.mark.parametrize(
    ("define", "bad", "mysql", "sqlite", "duckdb"),
    [
        ("age VARCHAR(9) CHECK (age <> 'canary')", "canary", "a check failed (error 4025)", "constraint check", "constraint"),
        ("age VARCHAR(9) NOT NULL", None, "null is not allowed, column age (error 1048)", "constraint notnull, people.age",
         "constraint, not null people.age"),
        ("age INTEGER CHECK (age > 0)", "canary", "not a value of the column's type, column age (error 1366)", None,
         "conversion"),
        ("age VARCHAR(5)", "canary", "too long, column age (error 1406)", None, None),
        ("age DATE", "canary", "not a value of the column's type, column age (error 1292)", None, "conversion"),
    ],
)  # fmt: skip
def test_poison_rows_are_found_and_named_without_their_value(
    s: Syncer, define: str, bad: str | None, mysql: str, sqlite: str | None, duckdb: str | None
) -> None:
    expected = {"mysql": mysql, "sqlite": sqlite, "duckdb": duckdb}[kind(s)]
    sql(s, f"CREATE TABLE people (id VARCHAR(50) PRIMARY KEY, {define})")
    s.mapping = {"id": "profile_id", "age": "age"}
    good = "2020-01-01" if "DATE" in define else "2020"
    s.profiles([person(n, age=bad if n in (13, 150) else good) for n in range(200)], age=pl.String)
    result = s.run()
    if expected is None:
        assert result.delivered == 200, "the database does not look at it"
        return
    assert (result.delivered, result.failed) == (198, 2)
    (reason,) = result.reasons
    assert reason.startswith(expected), reason
    assert "canary" not in reason.replace("age <> 'canary'", "")
    assert {row["key"] for row in s.ledger() if row["status"] == "failed"} == {"p13", "p150"}
    assert sql(s, "SELECT count(*) FROM people") == [(198,)]


def test_whole_number_keys_and_a_table_of_keys_only(s: Syncer) -> None:
    s.mapping = {"n": "events"}
    s.profiles([person(n, events=n) for n in (1, 2, 10)])
    s.run()
    s.profiles([person(n, events=n) for n in (10, 11)])
    result = s.run()
    assert (result.delivered, result.removed) == (1, 2)
    assert sql(s, "SELECT n FROM people ORDER BY n") == [(10,), (11,)]


def test_erase_and_the_connection_test(s: Syncer) -> None:
    delivery = Delivery(sync="s", key="id", fields={"id": "string"}, options=FileTableOptions(table="people"))
    assert not s.destination.erase(delivery, pl.Series(["p1"])).failed, "nothing there yet"
    assert s.destination.test()
    s.profiles([person(1), person(2)])
    s.run()
    assert not s.destination.erase(delivery, pl.Series(["p1"])).failed
    assert sql(s, "SELECT id FROM people") == [("p2",)]
    assert s.destination.test().split("answers: ")[1].split()[0].lower().removesuffix("db") in (
        "maria",
        "sqlite",
        "duck",
    )


def test_a_connection_that_drops_in_the_middle(syncer: Make, mysql_url: str, mariadb_server: MariaDb) -> None:
    """The server ends the session after the first batch; what was sent is on the books, the rest comes later."""
    s = syncer(destination=made("mysql", Path(), url=mysql_url), options={"table": "people"})
    s.destination.batch_rows = 100
    s.limits = LimitsSpec(attempts=1)
    s.profiles([person(n) for n in range(250)])
    real = s.destination.send
    sent = []

    def send(batch: Any) -> Any:
        if sent and s.destination._connection is not None:
            with mariadb_server.connect() as other, other.cursor() as cursor:
                cursor.execute(f"KILL {s.destination._connection.thread_id()}")
        sent.append(batch)
        return real(batch)

    s.destination.send = send
    with pytest.raises(Unavailable, match="MySQL is not available: the connection was"):
        s.run()
    statuses = [row["status"] for row in s.ledger()]
    assert (statuses.count("delivered"), statuses.count("pending")) == (100, 150)
    s.limits, s.clock = None, FakeClock()
    assert s.run().delivered == 150, "the same run connects again"
    assert len(sent) == 6
    assert sql(s, "SELECT count(*), sum(total) FROM people") == [(250, sum(range(250)))]


def test_mysql_errors_never_hold_the_password(mariadb_server: MariaDb, mysql_url: str) -> None:
    wrong = {
        "the password or the user is wrong": mysql_url.replace(PASSWORD, "wrong-canary"),
        "the database does not exist": mysql_url.rsplit("/", 1)[0] + "/nowhere",
        "the connection failed; is the server up": mysql_url.replace(f":{mariadb_server.port}/", ":1/"),
    }
    for what, url in wrong.items():
        with pytest.raises(DestinationError, match=what) as error:
            made("mysql", Path(), url=url, connect_timeout=2).test()
        assert "canary" not in str(error.value)
        assert error.value.__suppress_context__
    assert "canary" not in repr(made("mysql", Path(), url=mysql_url).options)


def test_mysql_takes_a_statement_that_is_too_slow_for_an_outage(syncer: Make, mysql_url: str) -> None:
    """Another transaction holds the row; after `statement_timeout` the batch is left for the next run."""
    s = syncer(destination=made("mysql", Path(), url=mysql_url, statement_timeout=1), options={"table": "people"})
    s.limits = LimitsSpec(attempts=1)
    s.profiles([person(1)])
    s.run()
    s.profiles([person(1, total=9.0)])
    with s.destination._open() as other:
        other.begin()
        s.destination._execute(other, "UPDATE people SET total = 7")
        with pytest.raises(Unavailable, match="MySQL is not available"):
            s.run()
        other.rollback()
    assert s.run().delivered == 1
    assert sql(s, "SELECT total FROM people") == [(9.0,)]


def test_too_many_connections_are_an_outage(mysql_url: str, mariadb_server: MariaDb) -> None:
    name = mysql_url.rsplit("/", 1)[1]
    with mariadb_server.connect() as admin, admin.cursor() as cursor:
        cursor.execute(f"CREATE USER {name}@'%' IDENTIFIED BY 'r' WITH MAX_USER_CONNECTIONS 1")
        cursor.execute(f"GRANT ALL ON {name}.* TO {name}@'%'")
    crowded = made("mysql", Path(), url=f"mysql://{name}:r@127.0.0.1:{mariadb_server.port}/{name}")
    with crowded._open(), pytest.raises(Unavailable, match="the user has too many connections"):
        crowded.test()
    assert crowded.test()


def test_lack_of_rights_is_no_row_error(syncer: Make, mysql_url: str, mariadb_server: MariaDb) -> None:
    s = syncer(destination=made("mysql", Path(), url=mysql_url), options={"table": "people"})
    name = mysql_url.rsplit("/", 1)[1]
    sql(
        s, "CREATE TABLE people (id VARCHAR(50) PRIMARY KEY, email VARCHAR(50), total DOUBLE)",
        f"CREATE USER {name}@'%' IDENTIFIED BY 'r'", f"GRANT SELECT, CREATE TEMPORARY TABLES ON {name}.* TO {name}@'%'",
    )  # fmt: skip
    s.destination = made("mysql", Path(), url=f"mysql://{name}:r@127.0.0.1:{mariadb_server.port}/{name}")
    s.profiles([person(1)])
    with pytest.raises(DestinationError, match="the user lacks a right on the table"):
        s.run()
    assert [row["status"] for row in s.ledger()] == ["pending"]


_HOLDS = {
    "sqlite": "import sqlite3; c = sqlite3.connect(path, isolation_level=None); c.execute('BEGIN EXCLUSIVE')",
    "duckdb": "import duckdb; c = duckdb.connect(path)",
}


@pytest.mark.parametrize("which", ["sqlite", "duckdb"])
def test_a_file_that_another_program_holds(syncer: Make, tmp_path: Path, which: str) -> None:
    more = {"lock_timeout": 0.1} if which == "sqlite" else {}
    s = syncer(destination=made(which, tmp_path, **more), options={"table": "people"})
    s.limits = LimitsSpec(attempts=1)
    s.profiles([person(1)])
    s.run()
    s.profiles([person(1), person(2)])
    plan = s.plan()
    code = f"path = {str(s.destination.path)!r}; {_HOLDS[which]}; print('held', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(Unavailable, match="another program"):
            s.run(plan)
        other.stdin.close()
    s.run()
    assert sql(s, "SELECT id FROM people ORDER BY id") == [("p1",), ("p2",)]


def test_two_writers_take_turns(syncer: Make, tmp_path: Path, mysql_url: str) -> None:
    """Both have the table open; neither loses the other's rows."""
    for which in ("mysql", "sqlite", "duckdb"):
        url = {"url": mysql_url} if which == "mysql" else {}
        first, second = (
            syncer(destination=made(which, tmp_path, **url), options={"table": "people"}, name=f"{which}{n}")
            for n in (1, 2)
        )
        first.profiles([person(1)])
        first.run()
        plan = second.plan()
        first.profiles([person(1), person(2)])
        first.run()
        second.run(plan)
        assert sql(first, "SELECT id FROM people ORDER BY id") == [("p1",), ("p2",)]


@pytest.mark.parametrize("which", ["sqlite", "duckdb"])
def test_a_file_that_is_no_database(tmp_path: Path, which: str) -> None:
    destination = made(which, tmp_path)
    destination.path.parent.mkdir()
    destination.path.write_text("something else, long enough to be looked at" * 50)
    with pytest.raises(DestinationError, match="the file is no"):
        destination.test()
    assert destination.path.read_text().startswith("something else")


@pytest.mark.parametrize("which", ["sqlite", "duckdb"])
def test_a_statement_that_takes_too_long_is_interrupted(tmp_path: Path, which: str) -> None:
    destination = made(which, tmp_path, statement_timeout=0.2)
    destination.path.parent.mkdir()
    endless = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n > 0) SELECT max(n % 7) FROM t"
    with (
        pytest.raises(Unavailable, match="raise statement_timeout"),
        destination._open() as connection,
        destination._translated(),
        destination._transaction(connection),
    ):
        destination._execute(connection, endless)
