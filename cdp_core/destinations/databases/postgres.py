"""PostgreSQL as a destination: upsert by key, set-wise, with the refused rows found by halving the batch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from cdp_core.destinations.base import Batch, Delivery, SendResult
from cdp_core.errors import DestinationError, Retryable

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        if not name or "\0" in name or len(name.encode()) > NAME_BYTES:
            raise ValueError(f"a name of 1 to {NAME_BYTES} bytes is wanted")
        return name


class ServerError(DestinationError, Retryable):
    """The server cannot be reached or hung up; the same call may succeed later."""


class PostgresDestination:
    """A table. Rows are upserted by the sync's key and removed by it; other rows of the table are never touched.

    A batch is one COPY into a temporary table and one INSERT … ON CONFLICT DO UPDATE in one transaction. When the
    server refuses it for its data, it is halved until the refused rows are found; the others go through.
    """

    Options: ClassVar[type[BaseModel]] = PostgresOptions
    SyncOptions: ClassVar[type[BaseModel]] = PostgresSyncOptions
    batch_rows = 20_000

    def __init__(self, options: PostgresOptions, root: Path) -> None:
        self.options = options
        self._connection: psycopg.Connection[Any] | None = None
        self._delivery: Delivery | None = None

    def place(self, delivery: Delivery) -> str:
        """Server, database, schema and table; a new password sends nothing again."""
        options: PostgresSyncOptions = delivery.options
        return f"postgres:{self._shown()}/{options.schema_}.{options.table}:{delivery.key}"

    def present(self, delivery: Delivery) -> bool:
        from cdp_core.destinations.databases import postgres_table

        with self._open() as connection, self._translated():
            return postgres_table.exists(connection, delivery.options.schema_, delivery.options.table)

    def prepare(self, delivery: Delivery) -> None:
        from cdp_core.destinations.databases import postgres_table

        self._delivery = delivery
        self._connection = self._connect()
        with self._translated(), self._connection.transaction():
            postgres_table.ensure(self._connection, delivery)

    def send(self, batch: Batch) -> SendResult:
        if not batch.rows.height:
            return SendResult()
        from cdp_core.destinations.databases import postgres_copy

        delivery = self._prepared()
        return self._halving(batch.rows, batch.key, lambda c, rows: postgres_copy.upsert(c, delivery, rows))

    def remove(self, keys: pl.Series) -> SendResult:
        if not keys.len():
            return SendResult()
        from cdp_core.destinations.databases import postgres_copy

        delivery = self._prepared()
        return self._halving(
            keys.alias(delivery.key).to_frame(), delivery.key, lambda c, rows: postgres_copy.delete(c, delivery, rows)
        )

    def erase(self, delivery: Delivery, keys: pl.Series) -> SendResult:
        self._delivery = delivery
        self._connection = self._connect()
        try:
            return self.remove(keys)
        finally:
            self.finish(True)

    def finish(self, complete: bool) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def test(self) -> str:
        with self._open() as connection, self._translated():
            version = connection.execute("SHOW server_version").fetchone()
            connection.execute("CREATE TEMP TABLE cdp_probe (n integer) ON COMMIT DROP")
            connection.rollback()
        return f"{self._shown()} answers: PostgreSQL {version[0] if version else '?'}"

    def _halving(
        self, rows: pl.DataFrame, key: str, action: Callable[[psycopg.Connection[Any], pl.DataFrame], None]
    ) -> SendResult:
        failed: dict[Any, str] = {}
        waiting = [rows]
        with self._translated():
            while waiting:
                part = waiting.pop()
                reason = self._tried(part, action)
                if reason is None:
                    continue
                if part.height == 1:
                    failed[part[key][0]] = reason
                else:
                    half = part.height // 2
                    waiting += [part[half:], part[:half]]
        return SendResult(failed)

    def _tried(self, rows: pl.DataFrame, action: Callable[[psycopg.Connection[Any], pl.DataFrame], None]) -> str | None:
        """None when the rows went through, the reason when their data was refused; other errors are raised."""
        import psycopg

        from cdp_core.destinations.databases.postgres_table import reason

        assert self._connection is not None
        try:
            with self._connection.transaction():
                action(self._connection, rows)
        except psycopg.Error as error:
            text = reason(error)
            if text is None:
                raise
            return text
        return None

    def _prepared(self) -> Delivery:
        if self._delivery is None or self._connection is None:
            raise DestinationError("prepare() has not been called", where=self._shown())
        return self._delivery

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
    def _open(self) -> Iterator[psycopg.Connection[Any]]:
        connection = self._connect()
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Errors of the driver as one line with neither password nor data in it."""
        import psycopg

        from cdp_core.destinations.databases.postgres_table import described

        try:
            yield
        except psycopg.Error as error:
            what, hint, again = described(error)
            raise (ServerError if again else DestinationError)(what, where=self._shown(), hint=hint) from None

    def _shown(self) -> str:
        """host:port/database."""
        try:
            parts = urlsplit(self.options.url.get_secret_value())
            return f"{parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path}"
        except ValueError:
            return "the url of the destination"
