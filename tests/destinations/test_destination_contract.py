"""The contract suite over every built-in destination."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import psycopg
import pytest

from cdp_core.destinations.base import Destination
from cdp_core.destinations.databases.duckdb import DuckDbDestination
from cdp_core.destinations.databases.files import FileDatabaseOptions
from cdp_core.destinations.databases.mysql import MySqlDestination, MySqlOptions
from cdp_core.destinations.databases.postgres import PostgresDestination, PostgresOptions
from cdp_core.destinations.databases.sqlite import SqliteDestination, SqliteOptions
from cdp_core.destinations.files.file import FileDestination, FileOptions
from cdp_core.testing import DestinationContract


class FileContract(DestinationContract):
    def make(self, root: Path) -> FileDestination:
        return FileDestination(FileOptions(path="out"), root)

    def put_foreign(self, destination: Any) -> Callable[[], bool]:
        other = destination.root / "out" / "other.csv"
        other.parent.mkdir(parents=True, exist_ok=True)
        other.write_text("mine")
        return lambda: other.read_text() == "mine" and len(list(other.parent.iterdir())) == 2


class TestCsv(FileContract):
    sync_options: ClassVar = {"file": "people.csv"}

    def rows(self, destination: Any) -> list[dict[str, Any]]:
        return pl.read_csv(destination.root / "out" / "people.csv").to_dicts()


class TestJsonl(FileContract):
    sync_options: ClassVar = {"file": "people.jsonl.gz"}

    def rows(self, destination: Any) -> list[dict[str, Any]]:
        import gzip

        text = gzip.decompress((destination.root / "out" / "people.jsonl.gz").read_bytes()).decode()
        return [json.loads(line) for line in text.splitlines()]


class TestParquet(FileContract):
    sync_options: ClassVar = {"file": "deep/people.parquet"}

    def put_foreign(self, destination: Any) -> None:
        return None

    def rows(self, destination: Any) -> list[dict[str, Any]]:
        return pl.read_parquet(destination.root / "out" / "deep" / "people.parquet").to_dicts()


@pytest.mark.postgres
class TestPostgres(DestinationContract):
    sync_options: ClassVar = {"table": "people"}
    poison: ClassVar = ("name", "nul\0byte")

    @pytest.fixture(autouse=True)
    def _server(self, postgres_url: str) -> None:
        self.url = postgres_url

    def make(self, root: Path) -> Destination:
        return PostgresDestination(PostgresOptions.model_validate({"url": self.url}), root)

    def rows(self, destination: Destination) -> list[dict[str, Any]]:
        with psycopg.connect(self.url, row_factory=psycopg.rows.dict_row) as connection:
            return connection.execute("SELECT * FROM people WHERE id <> 'foreign'").fetchall()

    def put_foreign(self, destination: Destination) -> Callable[[], bool]:
        with psycopg.connect(self.url) as connection:
            connection.execute("CREATE TABLE people (id text PRIMARY KEY, name text, own_column integer)")
            connection.execute("INSERT INTO people VALUES ('foreign', 'untouched', 7)")

        def untouched() -> bool:
            with psycopg.connect(self.url) as connection:
                query = "SELECT name, own_column FROM people WHERE id = 'foreign'"
                return connection.execute(query).fetchall() == [("untouched", 7)]

        return untouched


class SqlContract(DestinationContract):
    """Over a table that bears names of 40 characters."""

    sync_options: ClassVar = {"table": "people"}
    poison: ClassVar = ("name", "x" * 40)
    people: ClassVar = "CREATE TABLE people (id VARCHAR(50) PRIMARY KEY, name VARCHAR(40) CHECK (length(name) <= 40))"

    def execute(self, destination: Any, statement: str) -> list[Any]:
        with destination._open() as connection:
            return destination._execute(connection, statement)

    def make(self, root: Path) -> Destination:
        raise NotImplementedError

    @pytest.fixture
    def destination(self, tmp_path: Path) -> Destination:
        made = self.make(tmp_path)
        self.execute(made, self.people)
        return made

    def rows(self, destination: Destination) -> list[dict[str, Any]]:
        found = self.execute(destination, "SELECT id, name, visits FROM people WHERE id <> 'foreign'")
        return [dict(zip(("id", "name", "visits"), row, strict=True)) for row in found]

    def put_foreign(self, destination: Destination) -> Callable[[], bool]:
        self.execute(destination, "INSERT INTO people VALUES ('foreign', 'untouched')")
        query = "SELECT name FROM people WHERE id = 'foreign' AND visits IS NULL"
        return lambda: [tuple(row) for row in self.execute(destination, query)] == [("untouched",)]


class TestMySql(SqlContract):
    @pytest.fixture(autouse=True)
    def _server(self, mysql_url: str) -> None:
        self.url = mysql_url

    def make(self, root: Path) -> Destination:
        return MySqlDestination(MySqlOptions.model_validate({"url": self.url}), root)


class TestSqlite(SqlContract):
    def make(self, root: Path) -> Destination:
        return SqliteDestination(SqliteOptions(path="out.sqlite"), root)


class TestDuckDb(SqlContract):
    def make(self, root: Path) -> Destination:
        return DuckDbDestination(FileDatabaseOptions(path="out.duckdb"), root)
