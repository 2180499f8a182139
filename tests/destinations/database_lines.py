"""Databases behind a line that can be cut, whose triggers count what was done to every row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import psycopg
import test_destination_contract
from mariadb import MariaDb
from postgres import Server

from cdp_core.destinations.databases.mysql import MySqlDestination, MySqlOptions
from cdp_core.destinations.databases.postgres import PostgresDestination, PostgresOptions
from cdp_core.testing.contract import Row
from cdp_core.testing.proxy import Proxy

FOREIGN = ("untouched", 7)


class Line(Proxy):
    """A database of its own with the table `people`. An effect is a row that comes, goes or changes."""

    setup: ClassVar[tuple[str, ...]]

    def __init__(self, server: Server | MariaDb) -> None:
        super().__init__(server.port)
        self.direct = server.fresh_database()
        self.database = urlsplit(self.direct).path[1:]
        self.server = server
        self.query(*self.setup)

    @property
    def url(self) -> str:
        return self.direct.replace(f":{self.server.port}/", f":{self.port}/")

    @property
    def effects(self) -> Counter[str]:
        return Counter(dict(self.query("SELECT id, count(*) FROM effects WHERE id <> 'foreign' GROUP BY id")))

    def query(self, *statements: str) -> list[Any]:
        """What the last statement gives, past the line."""
        raise NotImplementedError


class PostgresLine(Line):
    setup = (
        "CREATE TABLE people (id text PRIMARY KEY, name text, visits bigint, seen_at timestamptz, own integer)",
        "CREATE TABLE effects (id text)",
        """CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO effects VALUES (coalesce(new.id, old.id)); RETURN NULL; END $$""",
        "CREATE TRIGGER a AFTER INSERT OR DELETE ON people FOR EACH ROW EXECUTE FUNCTION tell()",
        """CREATE TRIGGER b AFTER UPDATE ON people FOR EACH ROW WHEN (old.* IS DISTINCT FROM new.*)
        EXECUTE FUNCTION tell()""",
    )

    def query(self, *statements: str) -> list[Any]:
        with psycopg.connect(self.direct, autocommit=True) as connection:
            cursor = [connection.execute(statement) for statement in statements][-1]
            return cursor.fetchall() if cursor.description else []


class MySqlLine(Line):
    setup = (
        """CREATE TABLE people (id VARCHAR(50) PRIMARY KEY, name VARCHAR(40) CHECK (length(name) <= 40), visits BIGINT,
        seen_at DATETIME(6), own INTEGER)""",
        "CREATE TABLE effects (id VARCHAR(50))",
        "CREATE TRIGGER a AFTER INSERT ON people FOR EACH ROW INSERT INTO effects VALUES (new.id)",
        "CREATE TRIGGER b AFTER DELETE ON people FOR EACH ROW INSERT INTO effects VALUES (old.id)",
        """CREATE TRIGGER c AFTER UPDATE ON people FOR EACH ROW
        IF NOT (old.name <=> new.name AND old.visits <=> new.visits AND old.seen_at <=> new.seen_at)
        THEN INSERT INTO effects VALUES (new.id); END IF""",
    )

    def query(self, *statements: str) -> list[Any]:
        with self.server.connect(self.database) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []


class _OverLine:
    """A contract whose destination goes over the line, while the test looks past it."""

    line: Line

    def rows(self, destination: Any) -> list[Row]:
        found = self.line.query("SELECT id, name, visits FROM people WHERE id <> 'foreign'")
        return [dict(zip(("id", "name", "visits"), row, strict=True)) for row in found]

    def put_foreign(self, destination: Any) -> Callable[[], bool]:
        self.line.query("INSERT INTO people (id, name, own) VALUES ('foreign', 'untouched', 7)")
        return lambda: self.line.query("SELECT name, own FROM people WHERE id = 'foreign'") == [FOREIGN]


class Postgres(_OverLine, test_destination_contract.TestPostgres):
    def make(self, root: Path) -> PostgresDestination:
        return PostgresDestination(PostgresOptions.model_validate({"url": self.line.url}), root)


class MySql(_OverLine, test_destination_contract.TestMySql):
    def make(self, root: Path) -> MySqlDestination:
        return MySqlDestination(MySqlOptions.model_validate({"url": self.line.url}), root)
