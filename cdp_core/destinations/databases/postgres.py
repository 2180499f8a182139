"""PostgreSQL as a destination."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from cdp_core.destinations.base import Delivery
from cdp_core.destinations.databases.keyed import checked_name
from cdp_core.destinations.databases.postgres_table import POSTGRES
from cdp_core.destinations.databases.table import TableDestination

if TYPE_CHECKING:
    import polars as pl
    import psycopg

NAME_BYTES = 63
"""Longer names are cut by PostgreSQL (NAMEDATALEN), and two could become one."""


class PostgresOptions(BaseModel):
    """`url`: postgresql://user:password@host:5432/database; keep the password in the environment, as ${NAME}."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: SecretStr = Field(description="postgresql://user:${PASSWORD}@host:5432/database")
    connect_timeout: int = Field(10, ge=1, description="Seconds")
    statement_timeout: int = Field(300, ge=1, description="Seconds that one batch may take")

    @field_validator("url")
    @classmethod
    def _scheme(cls, url: SecretStr) -> SecretStr:
        if not url.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("a url that starts with postgresql:// is wanted")
        return url


class PostgresSyncOptions(BaseModel):
    """`table` is made when it is missing; missing columns are added. An existing table needs a unique key column."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    table: str
    schema_: str = Field("public", alias="schema")

    @field_validator("table", "schema_")
    @classmethod
    def _name(cls, name: str) -> str:
        return checked_name(name, NAME_BYTES)


class PostgresDestination(TableDestination):
    """A table. A batch is one COPY into a temporary table and one INSERT … ON CONFLICT DO UPDATE."""

    Options: ClassVar[type[BaseModel]] = PostgresOptions
    SyncOptions: ClassVar[type[BaseModel]] = PostgresSyncOptions
    product = "PostgreSQL"
    dialect = POSTGRES
    longest_name = NAME_BYTES
    options: PostgresOptions

    def place(self, delivery: Delivery) -> str:
        """Server, database, schema and table; a new password sends nothing again."""
        return f"postgres:{self._shown()}/{self._plain(delivery.options)}:{delivery.key}"

    def test(self) -> str:
        with self._open() as connection, self._translated():
            version = connection.execute("SHOW server_version").fetchone()
            connection.execute("CREATE TEMP TABLE cdp_probe (n integer) ON COMMIT DROP")
            connection.rollback()
        return f"{self._shown()} answers: PostgreSQL {version[0] if version else '?'}"

    def _connect(self) -> psycopg.Connection[Any]:
        import psycopg

        with self._translated():
            return psycopg.connect(
                self.options.url.get_secret_value(),
                autocommit=True,
                connect_timeout=self.options.connect_timeout,
                application_name="cdp",
                options=f"-c statement_timeout={self.options.statement_timeout * 1000} -c timezone=UTC",
                client_encoding="utf8",
            )

    @contextmanager
    def _transaction(self, connection: psycopg.Connection[Any]) -> Iterator[None]:
        """A server that needs too long says so itself, by `statement_timeout`; one that says nothing is hung up on."""
        seconds = self.options.statement_timeout + self.options.connect_timeout
        silent = threading.Timer(seconds, hang_up, [connection])
        silent.daemon = True
        silent.start()
        try:
            with connection.transaction():
                yield
        finally:
            silent.cancel()

    def _execute(self, connection: Any, statement: str, values: Any = None) -> list[tuple[Any, ...]]:
        cursor = connection.execute(statement, values)
        return cursor.fetchall() if cursor.description else []

    def _table(self, options: Any) -> str:
        return POSTGRES.name(options.schema_, options.table)

    def _plain(self, options: Any) -> str:
        return f"{options.schema_}.{options.table}"

    def _create(self, connection: Any, delivery: Delivery) -> None:
        schema = delivery.options.schema_
        if schema != "public":
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {POSTGRES.name(schema)}")
        super()._create(connection, delivery)

    def _columns(self, connection: Any, options: Any) -> set[str]:
        from cdp_core.destinations.databases.postgres_table import columns_of

        return columns_of(connection, options.schema_, options.table)

    def _unique(self, connection: Any, options: Any, key: str) -> bool:
        from cdp_core.destinations.databases.postgres_table import unique

        return unique(connection, options.schema_, options.table, key)

    def _load(self, connection: Any, rows: pl.DataFrame) -> None:
        from cdp_core.destinations.databases.postgres_copy import load

        load(connection, rows)

    def _errors(self) -> tuple[type[Exception], ...]:
        import psycopg

        return (psycopg.Error,)

    def _reason(self, error: Any) -> str | None:
        from cdp_core.destinations.databases.postgres_table import reason

        return reason(error)

    def _described(self, error: Any) -> tuple[str, str | None, bool]:
        from cdp_core.destinations.databases.postgres_table import described

        return described(error)

    def _shown(self) -> str:
        """host:port/database."""
        try:
            parts = urlsplit(self.options.url.get_secret_value())
            return f"{parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path}"
        except ValueError:
            return "the url of the destination"


def hang_up(connection: psycopg.Connection[Any]) -> None:
    """From another thread: whoever waits for the server's answer finds the line closed."""
    import psycopg

    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)
