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
from cdp_core.destinations.databases.postgres import PostgresDestination, PostgresOptions
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
