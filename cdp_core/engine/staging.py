"""The staging file: a scratch database for a batch between reading and publishing.

It belongs to one run, lives in the lake folder and is deleted with the run. Sources fill it, expectations are run
on it, and only what passes is published. Being a file of its own, another process can validate it.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl
    from ibis.backends.duckdb import Backend


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

    def __init__(self, path: Path, *, memory_limit: str = "2GB") -> None:
        self.path = path
        self._memory_limit = memory_limit
        self._backend: Backend | None = None

    @property
    def con(self) -> Backend:
        if self._backend is None:
            import ibis

            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._backend = ibis.duckdb.connect(str(self.path), memory_limit=self._memory_limit)
            self._backend.raw_sql("SET preserve_insertion_order = false")
            self._backend.raw_sql("SET TimeZone = 'UTC'")
        return self._backend

    def url(self) -> str:
        """SQLAlchemy URL of the file, for a validator."""
        return f"duckdb:///{self.path}"

    def names(self) -> list[str]:
        rows = self.con.raw_sql("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()
        return [name for (name,) in rows]

    def has(self, name: str) -> bool:
        return name in self.names()

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

    def drop(self, name: str) -> None:
        self.con.raw_sql(f"DROP TABLE IF EXISTS {_quote(name)}")

    def append(self, name: str, frame: pl.DataFrame) -> None:
        """Add a frame's rows; columns are matched by name and missing ones on either side become null."""
        raw: Any = self.con.con
        raw.register("incoming", frame.to_arrow(compat_level=_compat()))
        try:
            if not self.has(name):
                raw.execute(f"CREATE TABLE {_quote(name)} AS SELECT * FROM incoming")
                return
            known = self.columns(name)
            for column, kind in raw.execute("SELECT column_name, column_type FROM (DESCRIBE incoming)").fetchall():
                if column not in known:
                    raw.execute(f"ALTER TABLE {_quote(name)} ADD COLUMN {_quote(column)} {kind}")
            raw.execute(f"INSERT INTO {_quote(name)} BY NAME SELECT * FROM incoming")
        finally:
            raw.unregister("incoming")

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
        if self._backend is not None:
            with contextlib.suppress(Exception):
                self._backend.disconnect()
            self._backend = None
        for path in (self.path, self.path.with_name(self.path.name + ".wal")):
            path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._backend is not None:
            self._backend.raw_sql("CHECKPOINT")
            self._backend.disconnect()
            self._backend = None


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _compat() -> Any:
    import polars as pl

    return pl.CompatLevel.oldest()
