"""SQLite as a destination."""

from __future__ import annotations

import re
import sqlite3
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, Field

from cdp_core.destinations.databases.dialect import Dialect
from cdp_core.destinations.databases.files import FileDatabase, FileDatabaseOptions, FileTableOptions
from cdp_core.destinations.databases.texts import lists_as_json, times_as_text

if TYPE_CHECKING:
    import polars as pl

EXACT_DIGITS = 15
"""SQLite keeps numbers with a point in 8 bytes; longer decimals stay exact as text only."""

_HINTS = {
    "SQLITE_BUSY": "another program is writing to the file: raise lock_timeout, or wait for it",
    "SQLITE_CANTOPEN": "look at the path and at the rights of its folder",
    "SQLITE_READONLY": "look at the rights of the file",
    "SQLITE_NOTADB": "the file is no SQLite database: name another",
    "SQLITE_INTERRUPT": "raise statement_timeout",
    "SQLITE_FULL": "the disk is full",
}


class SqliteOptions(FileDatabaseOptions):
    lock_timeout: float = Field(30, ge=0, description="Seconds to wait for another program that writes to the file")


class SqliteDialect(Dialect):
    """
    >>> SQLITE.type("decimal(10, 2)"), SQLITE.type("decimal(38, 9)")
    ('NUMERIC', 'TEXT')
    """

    def type(self, kind: str) -> str:
        if kind.startswith("decimal"):
            return "NUMERIC" if int(re.findall(r"\d+", kind)[0]) <= EXACT_DIGITS else "TEXT"
        return super().type(kind)


SQLITE = SqliteDialect(
    stage="temp.cdp_stage",
    types={
        "string": "TEXT",
        "int64": "INTEGER",
        "float64": "REAL",
        "boolean": "BOOLEAN",
        "timestamp": "TEXT",
        "date": "TEXT",
        "array<string>": "TEXT",
    },
)


class SqliteDestination(FileDatabase):
    """A table in an SQLite file. Times are UTC as text, 1998-07-01 12:30:00.250000; lists are JSON."""

    Options: ClassVar[type[BaseModel]] = SqliteOptions
    SyncOptions: ClassVar[type[BaseModel]] = FileTableOptions
    product = "SQLite"
    type_name = "sqlite"
    dialect = SQLITE
    options: SqliteOptions
    _begin = "BEGIN IMMEDIATE"

    def _version(self) -> str:
        return sqlite3.sqlite_version

    def _connect(self) -> sqlite3.Connection:
        with self._translated():
            # The engine may send from a thread that has not prepared.
            connection = sqlite3.connect(
                self.path, timeout=self.options.lock_timeout, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA temp_store = MEMORY")
            # Else the bytes of rows that were removed, or erased, stay in the file.
            connection.execute("PRAGMA secure_delete = ON")
            return connection

    def _execute(self, connection: Any, statement: str, values: Any = None) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = connection.execute(statement, values or ()).fetchall()
        return found

    def _columns(self, connection: Any, options: Any) -> set[str]:
        query = "SELECT name FROM pragma_table_xinfo(?, 'main')"
        return {name for (name,) in self._execute(connection, query, (options.table,))}

    def _unique(self, connection: Any, options: Any, key: str) -> bool:
        """A primary key of INTEGER has no index: it is the row's number itself."""
        query = """
            SELECT l.name FROM pragma_index_list(?, 'main') l JOIN pragma_index_info(l.name, 'main') i
            WHERE l."unique" AND NOT l.partial
            GROUP BY l.name HAVING count(*) = 1 AND lower(min(i.name)) = lower(?)
            UNION ALL
            SELECT min(name) FROM pragma_table_info(?, 'main') WHERE pk > 0
            HAVING count(*) = 1 AND lower(min(name)) = lower(?)"""
        return bool(self._execute(connection, query, (options.table, key, options.table, key)))

    def _load(self, connection: Any, rows: pl.DataFrame) -> None:
        import polars as pl
        import polars.selectors as cs

        plain = rows.with_columns(*lists_as_json(rows), *times_as_text(rows))
        plain = plain.with_columns(cs.decimal().cast(pl.String))
        places = ", ".join("?" * plain.width)
        connection.executemany(f"INSERT INTO {SQLITE.stage} VALUES ({places})", plain.iter_rows())

    def _unfit(self, rows: pl.DataFrame) -> dict[str, pl.Expr]:
        """SQLite writes null for what is not a number."""
        import polars as pl
        import polars.selectors as cs

        floats = rows.select(cs.float()).columns
        return {f"not a number, column {name}": pl.col(name).is_nan().fill_null(False) for name in floats}

    def _errors(self) -> tuple[type[Exception], ...]:
        return (sqlite3.Error, OverflowError)

    def _reason(self, error: Exception) -> str | None:
        """`SQLITE_CONSTRAINT_NOTNULL` → `constraint notnull, people.age`."""
        name = getattr(error, "sqlite_errorname", None) or ""
        if not name.startswith(("SQLITE_CONSTRAINT", "SQLITE_MISMATCH", "SQLITE_TOOBIG")):
            return None
        kind = name.removeprefix("SQLITE_").replace("_", " ").lower()
        # Behind the colon stands what the schema says, but for a trigger, which may say anything.
        of = re.fullmatch(r"(?:NOT NULL|UNIQUE|CHECK) constraint failed: (.+)", str(error), re.DOTALL)
        return f"{kind}, {of[1]}" if of else kind

    def _described(self, error: Exception) -> tuple[str, str | None, bool]:
        name = getattr(error, "sqlite_errorname", None) or ""
        base = "_".join(name.split("_")[:2])
        kind = name.removeprefix("SQLITE_").replace("_", " ").lower() or type(error).__name__
        again = base in ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_INTERRUPT", "SQLITE_IOERR")
        return f"SQLite refused: {kind}", _HINTS.get(base), again
