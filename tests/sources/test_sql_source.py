"""Databases: SQLite and a real PostgreSQL."""

from __future__ import annotations

import sqlite3
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cdp_core.errors import SourceError, SpecError
from tests.postgres import PASSWORD, Server
from tests.sources.source_kit import Load, people

LITE = {"type": "sql", "url": "sqlite:///data/shop.db", "table": "people", "map": people()}


@pytest.fixture
def shop(tmp_path: Path) -> Any:
    (tmp_path / "data").mkdir()
    connection = sqlite3.connect(tmp_path / "data" / "shop.db")
    connection.execute("CREATE TABLE people (id INTEGER, zip TEXT, amount REAL, any, updated_at TEXT)")
    yield connection
    connection.close()


def add(connection: sqlite3.Connection, *rows: tuple[Any, ...]) -> None:
    with connection:
        connection.executemany("INSERT INTO people VALUES (?, ?, ?, ?, ?)", rows)


def test_sqlite_types(load: Load, shop: sqlite3.Connection) -> None:
    add(shop, (1, "007", 1.5, 5, "1998-01-01"), (2, "8", None, "x", "1998-01-02"), (3, None, 3.0, b"raw", None))
    loaded = load(LITE)
    assert loaded.objects("traits") == {
        "1": {"zip": "007", "amount": 1.5, "any": "5", "updated_at": "1998-01-01"},
        "2": {"zip": "8", "any": "x", "updated_at": "1998-01-02"},
        "3": {"amount": 3, "any": "raw"},
    }
    assert str(loaded.rows().schema["id"]) == "Int64"


def test_an_unchanged_file_is_not_opened(load: Load, shop: sqlite3.Connection) -> None:
    add(shop, (1, "", 1, 1, ""))
    first = load(LITE)
    assert load(LITE, before=first).staged[0].parts.is_empty()


def test_a_cursor_reads_on_and_loses_no_late_row(load: Load, shop: sqlite3.Connection) -> None:
    spec = LITE | {"cursor": "updated_at"}
    add(shop, (1, "a", 1, 1, "1998-01-01"), (2, "b", 1, 1, "1998-01-02"), (3, "c", 1, 1, None))
    first = load(spec)
    assert first.state["cursor"].item() == "1998-01-02"
    add(shop, (4, "d", 1, 1, "1998-01-02"), (5, "e", 1, 1, "1998-01-03"))
    second = load(spec, before=first)
    assert sorted(second.events["record_id"]) == ["2", "3", "4", "5"]
    old = dict(first.events.select("record_id", "message_id").rows())
    new = dict(second.events.select("record_id", "message_id").rows())
    assert new["2"] == old["2"]
    assert second.state["cursor"].item() == "1998-01-03"


def test_a_query_and_an_edited_one(load: Load, shop: sqlite3.Connection) -> None:
    add(shop, (1, "a:b", 1, 1, "1998-01-01"), (2, "c", 2, 1, "1998-01-02"))
    spec = LITE | {"table": None, "query": "SELECT id, zip, 'x:y' AS t FROM people WHERE zip LIKE '%:%';"}
    first = load(spec)
    assert first.objects("traits") == {"1": {"zip": "a:b", "t": "x:y"}}
    second = load(spec | {"query": "SELECT id FROM people"}, before=first)
    assert second.read == 2


def test_many_chunks(load: Load, shop: sqlite3.Connection) -> None:
    add(shop, *((n, str(n), n / 4, n if n < 50_000 else "text", "1998-01-01") for n in range(60_000)))
    loaded = load(LITE)
    assert loaded.read == loaded.events.height == 60_000
    assert loaded.events["message_id"].n_unique() == 60_000
    assert str(loaded.rows().schema["any"]) == "String"


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"url": "sqlite:///data/shp.db"}, SourceError, r"no file data/shp\.db; did you mean data/shop\.db\?"),
        ({"table": "peeple"}, SourceError, "the database refused: no such table: peeple"),
        ({"url": "nonsense"}, SpecError, r"sources\.s: option 'url' is no SQLAlchemy URL"),
        ({"url": "mysql+nodriver://u:p@h/d"}, SourceError, "the database refused"),
        ({"cursor": "updated"}, SpecError, r"unknown column 'updated' .*did you mean 'updated_at'\?"),
        ({"query": "SELECT 1"}, SpecError, "either `table` or `query` is needed"),
    ],
)
def test_mistakes(
    load: Load, shop: sqlite3.Connection, change: dict[str, str], error: type[Exception], said: str
) -> None:
    add(shop, (1, "a", 1, 1, ""))
    with pytest.raises(error, match=said) as caught:
        load(LITE | change)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_database(load: Load, tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("id,name\n" * 1000)
    with pytest.raises(SourceError, match="the database refused: file is not a database"):
        load(LITE | {"url": "sqlite:///x.db"})


@pytest.mark.postgres
def test_postgres(load: Load, postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("SET TimeZone = 'America/New_York'")
        connection.execute(
            "CREATE TABLE people (id text, n int, big numeric(30), price numeric(10, 2), tags jsonb, day date, ok boolean, "
            "label uuid, updated_at timestamptz, naive timestamp)"
        )
        insert = "INSERT INTO people VALUES (%s, %s, %s, %s, %s, %s, %s, gen_random_uuid(), %s, %s)"
        at = datetime(1998, 1, 1, 12, tzinfo=UTC)
        connection.execute(
            insert,
            ("007", 5, 10**25, Decimal("1.50"), '{"a": [1]}', date(1998, 1, 2), True, at, datetime(1998, 1, 1, 5)),
        )
        connection.execute(insert, ("8", None, None, None, None, None, None, at.replace(hour=13), None))
        spec = {
            "type": "sql",
            "url": postgres_url,
            "table": "public.people",
            "cursor": "updated_at",
            "map": people(time="updated_at"),
        }
        first = load(spec)
        traits = first.objects("traits")["007"]
        assert len(traits.pop("label")) == 36
        assert traits == {
            "n": 5, "big": str(10**25), "price": 1.5, "tags": {"a": [1]}, "day": "1998-01-02", "ok": True,
            "naive": "1998-01-01T05:00:00Z",
        }  # fmt: skip
        assert sorted(first.events["timestamp"]) == [datetime(1998, 1, 1, 12), datetime(1998, 1, 1, 13)]
        connection.execute(insert, ("9", 1, 1, 1, None, None, None, at.replace(hour=14), None))
        second = load(spec, before=first)
    assert sorted(second.events["record_id"]) == ["8", "9"]
    assert set(second.events["message_id"]) & set(first.events["message_id"]) == {
        dict(first.events.select("record_id", "message_id").rows())["8"]
    }


@pytest.mark.postgres
def test_a_database_that_is_down(load: Load, postgres_server: Server) -> None:
    spec = {"type": "sql", "url": postgres_server.url("nowhere"), "table": "people", "map": people()}
    with pytest.raises(SourceError, match=r"source 's': the database refused: .*nowhere.* does not exist") as caught:
        load(spec)
    unused = spec | {"url": postgres_server.url().replace(str(postgres_server.port), "1")}
    with pytest.raises(SourceError, match=r"the database refused: .*[Cc]onnection refused") as down:
        load(unused)
    for error in (caught, down):
        assert PASSWORD not in str(error.value)
        assert "\n" not in str(error.value)
