"""DuckDB as a destination."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

import duckdb
from pydantic import BaseModel

from cdp_core.destinations.databases.dialect import Dialect
from cdp_core.destinations.databases.files import FileDatabase, FileDatabaseOptions, FileTableOptions
from cdp_core.modes import FILE

if TYPE_CHECKING:
    import polars as pl

DUCKDB = Dialect(
    stage="temp.cdp_stage",
    decimal="DECIMAL",
    types={
        "string": "VARCHAR",
        "int64": "BIGINT",
        "float64": "DOUBLE",
        "boolean": "BOOLEAN",
        "timestamp": "TIMESTAMP",
        "date": "DATE",
        "array<string>": "VARCHAR[]",
    },
)
_BATCH = "cdp_batch"


class DuckDbDestination(FileDatabase):
    """A table in a DuckDB file. Times are TIMESTAMP in UTC; lists are VARCHAR[]."""

    Options: ClassVar[type[BaseModel]] = FileDatabaseOptions
    SyncOptions: ClassVar[type[BaseModel]] = FileTableOptions
    product = "DuckDB"
    type_name = "duckdb"
    dialect = DUCKDB
    batch_rows = 100_000
    options: FileDatabaseOptions

    def _version(self) -> str:
        return str(duckdb.__version__)

    def _make_private(self) -> None:
        """An empty file is no database to DuckDB."""
        if not self.path.exists():
            self._connect().close()
            self.path.chmod(FILE)

    def _connect(self) -> duckdb.DuckDBPyConnection:
        with self._translated():
            return duckdb.connect(self.path)

    def _execute(self, connection: Any, statement: str, values: Any = None) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = connection.execute(statement, values).fetchall()
        return found

    def _columns(self, connection: Any, options: Any) -> set[str]:
        query = """
            SELECT column_name FROM duckdb_columns() JOIN duckdb_tables() USING (table_oid, database_name)
            WHERE database_name = current_database() AND duckdb_columns.schema_name = 'main'
              AND lower(duckdb_columns.table_name) = lower(?)"""
        return {name for (name,) in self._execute(connection, query, [options.table])}

    def _unique(self, connection: Any, options: Any, key: str) -> bool:
        constraints = """
            SELECT 1 FROM duckdb_constraints()
            WHERE database_name = current_database() AND schema_name = 'main' AND lower(table_name) = lower($table)
              AND constraint_type IN ('PRIMARY KEY', 'UNIQUE') AND len(constraint_column_names) = 1
              AND lower(constraint_column_names[1]) = lower($key)"""
        indexes = """
            SELECT expressions FROM duckdb_indexes()
            WHERE database_name = current_database() AND schema_name = 'main' AND lower(table_name) = lower($table)
              AND is_unique"""
        if self._execute(connection, constraints, {"table": options.table, "key": key}):
            return True
        found = self._execute(connection, indexes, {"table": options.table})
        ways = {f"[{key}]", f"[{DUCKDB.name(key)}]", f"['{DUCKDB.name(key)}']"}
        return any(str(expressions).lower() in {way.lower() for way in ways} for (expressions,) in found)

    def _load(self, connection: Any, rows: pl.DataFrame) -> None:
        connection.register(_BATCH, rows.to_arrow())
        try:
            self._execute(connection, f"INSERT INTO {DUCKDB.stage} SELECT * FROM {_BATCH}")
        finally:
            connection.unregister(_BATCH)

    def _errors(self) -> tuple[type[Exception], ...]:
        return (duckdb.Error,)

    def _reason(self, error: Exception) -> str | None:
        """DuckDB quotes the offending value, so only the kind is told, and the names that stand before it."""
        if not isinstance(error, duckdb.ConstraintException | duckdb.ConversionException | duckdb.OutOfRangeException):
            return None
        kind = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__.removesuffix("Exception")).lower()
        of = re.match(r"Constraint Error: (NOT NULL|CHECK) constraint failed[^:]*: ?([\w.]+)", str(error))
        return f"{kind}, {of[1].lower()} {of[2]}" if of else f"{kind}"

    def _described(self, error: Exception) -> tuple[str, str | None, bool]:
        text = str(error)
        if "Could not set lock" in text or "being used by another process" in text:
            return "DuckDB refused: another program has the file open", "close it there: DuckDB has one writer", True
        if isinstance(error, duckdb.InterruptException):
            return "DuckDB refused: the statement took too long", "raise statement_timeout", True
        if isinstance(error, duckdb.TransactionException):
            return "DuckDB refused: somebody else changed the same rows", None, True
        kind = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__.removesuffix("Exception")).lower()
        hint = "look at the path: the file is no DuckDB database, or has no rights" if kind.startswith("io") else None
        return f"DuckDB refused: {kind} error", hint, False
