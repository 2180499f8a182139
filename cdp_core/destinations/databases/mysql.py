"""MySQL and MariaDB as destinations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from cdp_core.destinations.base import Delivery
from cdp_core.destinations.databases.keyed import checked_name
from cdp_core.destinations.databases.mysql_sql import EXACT, MYSQL, loading
from cdp_core.destinations.databases.table import TableDestination
from cdp_core.destinations.databases.texts import lists_as_json, times_as_text

if TYPE_CHECKING:
    import polars as pl
    import pymysql

NAME_CHARACTERS = 64
_SESSION = (
    "SET SESSION time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,"
    "NO_ENGINE_SUBSTITUTION,NO_BACKSLASH_ESCAPES', innodb_lock_wait_timeout = {seconds}"
)


class MySqlOptions(BaseModel):
    """`url`: mysql://user:password@host:3306/database; keep the password in the environment, as ${NAME}."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: SecretStr = Field(description="mysql://user:${PASSWORD}@host:3306/database")
    tls: bool = Field(False, description="Refuse a connection that is not encrypted or whose certificate is not valid")
    connect_timeout: int = Field(10, ge=1, description="Seconds")
    statement_timeout: int = Field(300, ge=1, description="Seconds that one statement may take")

    @field_validator("url")
    @classmethod
    def _parts(cls, url: SecretStr) -> SecretStr:
        text = url.get_secret_value()
        if not text.startswith(("mysql://", "mariadb://")):
            raise ValueError("a url that starts with mysql:// is wanted")
        try:
            parts = urlsplit(text)
            whole = bool(parts.hostname) and (parts.port or 1) > 0 and len(parts.path) > 1
        except ValueError:
            whole = False
        if not whole or parts.query:
            raise ValueError("a url like mysql://user:password@host:3306/database is wanted, with nothing behind it")
        return url


class MySqlSyncOptions(BaseModel):
    """`table` is made when it is missing; missing columns are added. An existing table needs a unique key column."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str

    @field_validator("table")
    @classmethod
    def _name(cls, name: str) -> str:
        return checked_name(name, NAME_CHARACTERS, unit="characters")


class MySqlDestination(TableDestination):
    """A table. A batch travels as one JSON document, which the server reads with JSON_TABLE: MySQL 8, MariaDB 10.6.

    Times are DATETIME(6) in UTC, lists are JSON, the key is VARCHAR(512) when it is a text, compared byte by byte.
    """

    Options: ClassVar[type[BaseModel]] = MySqlOptions
    SyncOptions: ClassVar[type[BaseModel]] = MySqlSyncOptions
    product = "MySQL"
    dialect = MYSQL
    longest_name = NAME_CHARACTERS
    name_unit = "characters"
    batch_rows = 10_000
    batch_bytes = 4_000_000
    options: MySqlOptions

    def place(self, delivery: Delivery) -> str:
        """Server, database and table; a new password sends nothing again."""
        return f"mysql:{self._shown()}/{delivery.options.table}:{delivery.key}"

    def test(self) -> str:
        with self._open() as connection, self._translated():
            ((version,),) = self._execute(connection, "SELECT version()")
            self._execute(connection, "CREATE TEMPORARY TABLE cdp_probe (n integer)")
        product = "MariaDB" if "mariadb" in version.lower() else "MySQL"
        return f"{self._shown()} answers: {product} {version.split('-')[0]}"

    def _connect(self) -> pymysql.Connection[Any]:
        import ssl

        import pymysql

        parts = urlsplit(self.options.url.get_secret_value())
        with self._translated():
            return pymysql.connect(
                host=parts.hostname,
                port=parts.port or 3306,
                user=unquote(parts.username or ""),
                password=unquote(parts.password or ""),
                database=unquote(parts.path[1:]),
                charset="utf8mb4",
                autocommit=True,
                connect_timeout=self.options.connect_timeout,
                read_timeout=self.options.statement_timeout,
                write_timeout=self.options.statement_timeout,
                init_command=_SESSION.format(seconds=min(50, self.options.statement_timeout)),
                program_name="cdp",
                ssl=ssl.create_default_context() if self.options.tls else None,
            )

    @contextmanager
    def _transaction(self, connection: Any) -> Iterator[None]:
        """Making and altering tables ends a transaction here; a batch does neither."""
        connection.begin()
        try:
            yield
            connection.commit()
        except BaseException:
            if connection.open:
                self._roll_back(connection)
            raise

    def _roll_back(self, connection: Any) -> None:
        try:
            connection.rollback()
        except self._errors():
            # The connection is lost, and the server has rolled back.
            return

    def _execute(self, connection: Any, statement: str, values: Any = None) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall()) if cursor.description else []

    def _make_stage(self, connection: Any, table: str, columns: list[str]) -> None:
        stage, named = MYSQL.stage, MYSQL.names(columns)
        self._execute(connection, f"DROP TEMPORARY TABLE IF EXISTS {stage}")
        self._execute(connection, f"CREATE TEMPORARY TABLE {stage} AS SELECT {named} FROM {table} LIMIT 0")

    def _create(self, connection: Any, delivery: Delivery) -> None:
        """Two keys are two rows, whatever their case, accents and spaces."""
        query = "SELECT collation_name FROM information_schema.collations WHERE collation_name IN %s"
        known = {name for (name,) in self._execute(connection, query, [EXACT])}
        exact = next(name for name in EXACT if name in known)
        create = MYSQL.create(self._table(delivery.options), delivery.fields, delivery.key)
        self._execute(connection, f"{create} ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE={exact}")

    def _table(self, options: Any) -> str:
        return MYSQL.name(options.table)

    def _columns(self, connection: Any, options: Any) -> set[str]:
        query = "SELECT column_name FROM information_schema.columns WHERE table_schema = database() AND table_name = %s"
        return {name for (name,) in self._execute(connection, query, [options.table])}

    def _unique(self, connection: Any, options: Any, key: str) -> bool:
        query = """
            SELECT index_name FROM information_schema.statistics
            WHERE table_schema = database() AND table_name = %s AND non_unique = 0
            GROUP BY index_name
            HAVING count(*) = 1 AND lower(min(column_name)) = lower(%s) AND max(sub_part) IS NULL"""
        return bool(self._execute(connection, query, [options.table, key]))

    def _same(self, name: str) -> str:
        return name.lower()

    def _load(self, connection: Any, rows: pl.DataFrame) -> None:
        """All values as text: the stage's columns take them, or refuse what does not fit."""
        import polars as pl
        import polars.selectors as cs

        texts = rows.with_columns(*lists_as_json(rows), *times_as_text(rows), cs.boolean().cast(pl.Int8))
        texts = texts.select(pl.all().cast(pl.String)).rename({name: f"c{n}" for n, name in enumerate(rows.columns)})
        self._execute(connection, loading(rows.columns), [texts.write_json()])

    def _unfit(self, rows: pl.DataFrame) -> dict[str, pl.Expr]:
        import polars as pl
        import polars.selectors as cs

        floats = rows.select(cs.float()).columns
        return {f"not a finite number, column {name}": ~pl.col(name).is_finite().fill_null(True) for name in floats}

    def _errors(self) -> tuple[type[Exception], ...]:
        import pymysql

        return (pymysql.MySQLError,)

    def _reason(self, error: Exception) -> str | None:
        from cdp_core.destinations.databases.mysql_errors import reason

        return reason(error, self._prepared().fields)

    def _described(self, error: Exception) -> tuple[str, str | None, bool]:
        from cdp_core.destinations.databases.mysql_errors import described

        return described(error)

    def _shown(self) -> str:
        """host:port/database."""
        parts = urlsplit(self.options.url.get_secret_value())
        return f"{parts.hostname}:{parts.port or 3306}{parts.path}"
