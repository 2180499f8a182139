"""The staging file: a scratch database for a batch between reading and publishing.

It belongs to one run, lives in the lake folder and is deleted with the run. Sources fill it, expectations are run
on it, and only what passes is published. Being a file of its own, another process can validate it.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core.modes import private_folder

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl
    from ibis.backends.duckdb import Backend


_ENOUGH_ROWS = 250_000


class Staging:
    """Scratch tables of one run.

    >>> import polars as pl, tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     staging = Staging(pathlib.Path(folder) / "batch.duckdb")
    ...     staging.append("t", pl.DataFrame({"a": [1, 2]}))
    ...     staging.append("t", pl.DataFrame({"b": ["x"]}))
    ...     print(staging.polars(staging.table("t")).to_dicts()[-1])
    ...     staging.discard()
    {'a': None, 'b': 'x'}
    """

    def __init__(self, path: Path, *, memory_limit: str = "1GB") -> None:
        self.path = path
        self._memory_limit = memory_limit
        self._backend: Backend | None = None
        self._waiting: dict[str, list[pl.DataFrame]] = {}
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="staging")
        self._written: Future[None] | None = None

    @property
    def con(self) -> Backend:
        """The connection, with everything that was appended in it."""
        for name in list(self._waiting):
            self._write(name)
        self._settle()
        return self._connection()

    @property
    def bench(self) -> Backend:
        """The connection for work that reads no staged table: appended rows may still be waiting."""
        return self._connection()

    def _connection(self) -> Backend:
        if self._backend is None:
            import ibis

            private_folder(self.path.parent)
            self._backend = ibis.duckdb.connect(str(self.path), memory_limit=self._memory_limit)
            self._backend.raw_sql("SET preserve_insertion_order = false")
            self._backend.raw_sql("SET TimeZone = 'UTC'; SET force_compression = 'uncompressed'")
        return self._backend

    def url(self) -> str:
        """SQLAlchemy URL of the file, for a validator."""
        return f"duckdb:///{self.path}"

    def names(self) -> list[str]:
        rows = self.con.raw_sql("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()
        return [name for (name,) in rows]

    def has(self, name: str) -> bool:
        if name in self._waiting:
            return True
        self._settle()
        query = f"SELECT count(*) FROM duckdb_tables() WHERE table_name = {_text(name)}"
        return bool(self.bench.raw_sql(query).fetchall()[0][0])

    def table(self, name: str) -> ir.Table:
        return self.con.table(name)

    def columns(self, name: str) -> dict[str, str]:
        """Column names of a staged table and their storage types."""
        rows = self.con.raw_sql(f"SELECT column_name, column_type FROM (DESCRIBE {_quote(name)})").fetchall()
        return dict(rows)

    def replace(self, name: str, rows: ir.Table) -> ir.Table:
        """Compute an expression over staged tables into a staged table."""
        fresh = f"new_{uuid.uuid4().hex[:12]}"
        self.con.create_table(fresh, rows)
        self.con.raw_sql(f"DROP TABLE IF EXISTS {_quote(name)}")
        self.con.raw_sql(f"ALTER TABLE {_quote(fresh)} RENAME TO {_quote(name)}")
        return self.table(name)

    def exchange(self, name: str, gone: str, key: list[str], rows: ir.Table) -> None:
        """Replace the rows that share `key` with the staged table `gone` by `rows`; the others stay where they are."""
        spare = f"new_{uuid.uuid4().hex[:12]}"
        self.con.create_table(spare, rows)
        match = " AND ".join(f"old.{_quote(k)} IS NOT DISTINCT FROM gone.{_quote(k)}" for k in key)
        self.con.raw_sql(f"DELETE FROM {_quote(name)} AS old USING {_quote(gone)} AS gone WHERE {match}")
        self.con.raw_sql(f"INSERT INTO {_quote(name)} BY NAME SELECT * FROM {_quote(spare)}")
        self.drop(spare)

    def drop(self, name: str) -> None:
        self.con.raw_sql(f"DROP TABLE IF EXISTS {_quote(name)}")

    def append(self, name: str, frame: pl.DataFrame) -> None:
        """Add a frame's rows; columns are matched by name and missing ones on either side become null.

        Rows wait until there are many of a kind: what fills whole row groups is written once, small appends would be
        written to the log first and compressed again and again.
        """
        waiting = self._waiting.setdefault(name, [])
        if waiting and _differ(waiting[0], frame):
            self._write(name)
            waiting = self._waiting.setdefault(name, [])
        waiting.append(frame)
        if sum(part.height for part in waiting) >= _ENOUGH_ROWS:
            self._write(name)

    def _write(self, name: str) -> None:
        """Hand the waiting rows to the writing thread, one batch at a time: the next one is read meanwhile."""
        import polars as pl

        self._settle()
        rows = pl.concat(self._waiting.pop(name), how="diagonal", rechunk=False)
        cursor = self._connection().con.cursor()
        self._written = self._writer.submit(_insert, cursor, name, rows)

    def _settle(self) -> None:
        """Wait for what is being written, and raise what went wrong there."""
        if self._written is not None:
            written, self._written = self._written, None
            written.result()

    def polars(self, rows: ir.Table) -> pl.DataFrame:
        return rows.to_polars()

    def raw(self, query: str) -> pl.DataFrame:
        """Run a query of a validator's own making (its SQL is for this file) and give the rows."""
        raw: Any = self.con.con
        return raw.cursor().sql(query).pl()

    @contextmanager
    def released(self) -> Iterator[Path]:
        """Close the file so that another process or engine may open it; it reopens on next use."""
        self._close()
        try:
            yield self.path
        finally:
            self._backend = None

    def discard(self) -> None:
        """Delete the file. What it still had to write is not wanted any more, so a full disk cannot hinder it."""
        self._waiting.clear()
        with contextlib.suppress(Exception):
            self._settle()
        if self._backend is not None:
            with contextlib.suppress(Exception):
                self._backend.disconnect()
            self._backend = None
        for path in (self.path, self.path.with_name(self.path.name + ".wal")):
            path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._backend is not None or self._waiting:
            self.con.raw_sql("CHECKPOINT")
            assert self._backend is not None
            self._backend.disconnect()
            self._backend = None


def _insert(cursor: Any, name: str, rows: pl.DataFrame) -> None:
    cursor.register("incoming", rows.to_arrow(compat_level=_compat()))
    try:
        query = f"SELECT column_name FROM duckdb_columns() WHERE table_name = {_text(name)}"
        known = {column for (column,) in cursor.execute(query).fetchall()}
        if not known:
            cursor.execute(f"CREATE TABLE {_quote(name)} AS SELECT * FROM incoming")
            return
        for column, kind in cursor.execute("SELECT column_name, column_type FROM (DESCRIBE incoming)").fetchall():
            if column not in known:
                cursor.execute(f"ALTER TABLE {_quote(name)} ADD COLUMN {_quote(column)} {kind}")
        cursor.execute(f"INSERT INTO {_quote(name)} BY NAME SELECT * FROM incoming")
    finally:
        cursor.close()


def _differ(first: pl.DataFrame, second: pl.DataFrame) -> bool:
    """Whether a column of both has two types; the table's own type decides then, row by row."""
    return any(second.schema[c] != kind for c, kind in first.schema.items() if c in second.schema)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _compat() -> Any:
    import polars as pl

    return pl.CompatLevel.oldest()
