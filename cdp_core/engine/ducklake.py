"""The default engine: DuckDB over a DuckLake. Parquet files, a SQLite catalog in WAL mode, one writer, any readers."""

from __future__ import annotations

import importlib.util
import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core import tables
from cdp_core.engine import json_functions
from cdp_core.engine.query import rename_tables
from cdp_core.engine.shape import shaped
from cdp_core.engine.spec import EngineSpec
from cdp_core.engine.trouble import storage_error
from cdp_core.errors import EngineError, SpecError

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl
    from ibis.backends.duckdb import Backend

    from cdp_core.engine.json_edit import Edit
    from cdp_core.engine.staging import Staging

_EXTENSIONS = ("ducklake", "sqlite_scanner")
_COMMIT_TRIES = 20
_MOSTLY_DELETED = 0.25
"""A file is rewritten when more than this share of its rows is deleted: until then readers skip them."""


class DuckLakeEngine:
    """One connection to the lake. See `Engine` for the meaning of every method."""

    kind = "duckdb"
    local = True

    def __init__(self, con: Backend, folder: Path, spec: EngineSpec) -> None:
        self.con = con
        self.folder = folder
        self.spec = spec
        self._numbers = itertools.count()
        self._scratch: list[str] = []
        self._depth = 0

    @classmethod
    def open(cls, root: Path, spec: EngineSpec) -> DuckLakeEngine:
        """Open or create the lake under `root`. Raises EngineError when the folder cannot be written."""
        import ibis

        folder = (root / spec.lake).resolve()
        try:
            (folder / "files").mkdir(parents=True, exist_ok=True)
            (folder / "spill").mkdir(exist_ok=True)
        except OSError as error:
            raise EngineError(
                f"the lake folder cannot be written: {error.strerror}", where=spec.lake, hint="check its rights"
            ) from None
        con = ibis.duckdb.connect(
            memory_limit=spec.memory_limit,
            threads=spec.threads or os.cpu_count() or 2,
            temp_directory=str(folder / "spill"),
        )
        engine = cls(con, folder, spec)
        engine._attach_lake()
        return engine

    def _attach_lake(self) -> None:
        import duckdb

        for name in _EXTENSIONS:
            _load_extension(self.con, name)
        raw = self._raw
        raw.execute("SET preserve_insertion_order = false; SET TimeZone = 'UTC'")
        # Only the staging file would be compressed, and it is read once and thrown away.
        raw.execute("SET force_compression = 'uncompressed'")
        options = f"DATA_PATH {_text(self.folder / 'files')}, OVERRIDE_DATA_PATH true"
        options += ", META_JOURNAL_MODE 'WAL', META_BUSY_TIMEOUT 10000"
        catalog = _text(f"ducklake:sqlite:{self.folder / 'catalog.sqlite'}")
        for attempt in range(_COMMIT_TRIES):
            try:
                raw.execute(f"ATTACH {catalog} AS lake ({options})")
                break
            except duckdb.Error as error:
                if "locked" not in str(error) or attempt == _COMMIT_TRIES - 1:
                    raise storage_error(error, where=self.spec.lake) or self._closed_door() from error
                time.sleep(0.05 * (attempt + 1))

    def _closed_door(self) -> EngineError:
        if os.access(self.folder, os.W_OK):
            return EngineError("the lake cannot be opened", where=self.spec.lake, hint="run 'cdp doctor'")
        what = "the lake folder cannot be written, and the catalog's journal needs that even to read"
        return EngineError(what, where=self.spec.lake, hint="check its rights")

    @property
    def _raw(self) -> Any:
        return self.con.con

    def table(self, name: str) -> ir.Table:
        return self.con.table(name, database=("lake", "main"))

    def table_at(self, name: str, snapshot: int) -> ir.Table:
        import duckdb

        query = f"SELECT * FROM lake.main.{_name(name)} AT (VERSION => {int(snapshot)})"
        try:
            return self.con.sql(query)
        except duckdb.Error as error:
            kept = f"snapshots are kept for {self.spec.keep_snapshots}; raise engine.keep_snapshots in cdp.yaml"
            raise EngineError(f"snapshot {snapshot} is no longer there", where=self.spec.lake, hint=kept) from error

    def has(self, name: str) -> bool:
        query = "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'lake' AND table_name = ?"
        return bool(self._raw.execute(query, [name]).fetchall()[0][0])

    def ensure_tables(self) -> None:
        query = "SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = 'lake'"
        present: dict[str, set[str]] = {}
        for name, column in self._raw.execute(query).fetchall():
            present.setdefault(name, set()).add(column)
        missing = [t for t in tables.CANONICAL.values() if not set(t.columns) <= present.get(t.name, set())]
        if not missing:
            return
        with self.transaction():
            for table in missing:
                if table.name not in present:
                    self.con.create_table(table.name, schema=table.ibis_schema(), database=("lake", "main"))
                for column in set(table.columns) - present.get(table.name, set(table.columns)):
                    kind = self.con.compiler.type_mapper.to_string(table.ibis_schema()[column])
                    self._raw.execute(f"ALTER TABLE lake.{_name(table.name)} ADD COLUMN {_name(column)} {kind}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        if self._depth:
            yield
            return
        with self._write_lock():
            self._depth += 1
            self._raw.execute("BEGIN")
            try:
                yield
            except BaseException:
                self._raw.execute("ROLLBACK")
                raise
            else:
                self._commit()
            finally:
                self._depth -= 1

    def _commit(self) -> None:
        import duckdb

        try:
            self._raw.execute("COMMIT")
        except duckdb.Error as error:
            raise EngineError(
                f"the lake refused to publish: {_first_line(error)}", where=self.spec.lake, hint="run again"
            ) from error

    @contextmanager
    def _write_lock(self) -> Iterator[None]:
        from filelock import FileLock

        with FileLock(self.folder / "write.lock"):
            yield

    def replace(self, name: str, rows: ir.Table) -> None:
        with self.transaction():
            self.con.create_table(name, shaped(rows, name), database=("lake", "main"), overwrite=True)

    def append(self, name: str, rows: ir.Table) -> None:
        with self.transaction():
            self.con.insert(name, shaped(rows, name), database=("lake", "main"))

    def upsert(self, name: str, rows: ir.Table, key: tuple[str, ...]) -> None:
        kept = self.keep(rows)
        self.amend(name, kept, kept, key)

    def amend(self, name: str, gone: ir.Table, rows: ir.Table, key: tuple[str, ...]) -> None:
        with self.transaction():
            listed = self.keep(gone.select(list(key)))
            source = ".".join(_name(part) for part in listed.get_name().split("."))
            match = " AND ".join(f"old.{_name(k)} IS NOT DISTINCT FROM gone.{_name(k)}" for k in key)
            self._raw.execute(f"DELETE FROM lake.{_name(name)} AS old USING {source} AS gone WHERE {match}")
            self.append(name, rows)

    def keep(self, rows: ir.Table) -> ir.Table:
        name = f"scratch_{next(self._numbers)}_{os.getpid()}"
        self._scratch.append(name)
        # What Ibis' create_table does, without asking the catalog five times.
        kinds = {c: self.con.compiler.type_mapper.to_string(kind) for c, kind in rows.schema().items()}
        columns = ", ".join(f"{_name(c)} {kind}" for c, kind in kinds.items())
        self._raw.execute(f"CREATE TEMP TABLE {_name(name)} ({columns})")
        self._raw.execute(f"INSERT INTO temp.main.{_name(name)} {self.con.compile(rows)}")
        return self.con.table(name, database=("temp", "main"))

    def frame(self, frame: pl.DataFrame) -> ir.Table:
        import polars as pl

        name = f"scratch_{next(self._numbers)}_{os.getpid()}"
        self._scratch.append(name)
        self._raw.register("incoming_frame", frame.to_arrow(compat_level=pl.CompatLevel.oldest()))
        try:
            self._raw.execute(f"CREATE TEMP TABLE {_name(name)} AS SELECT * FROM incoming_frame")
        finally:
            self._raw.unregister("incoming_frame")
        return self.con.table(name, database=("temp", "main"))

    def polars(self, rows: ir.Table) -> pl.DataFrame:
        return rows.to_polars()

    def sql(self, query: str, named: Mapping[str, ir.Table] | None = None) -> ir.Table:
        names = {name: f"lake.main.{name}" for name in tables.CANONICAL}
        names |= {name: kept.get_name() for name, kept in (named or {}).items()}
        return self.con.sql(rename_tables(query, names))

    def query(self, query: str) -> pl.DataFrame:
        import duckdb

        text = rename_tables(query, {})
        guarded = DuckLakeEngine.open(self.folder.parent, self.spec.model_copy(update={"lake": self.folder.name}))
        try:
            raw = guarded._raw
            raw.execute("USE lake")
            raw.execute(f"SET allowed_directories = [{_text(self.folder)}]")
            raw.execute("SET enable_external_access = false; SET lock_configuration = true")
            return raw.sql(text).pl()
        except duckdb.Error as error:
            raise SpecError(f"the query failed: {_reason(error)}", where="SQL") from None
        finally:
            guarded.close()

    def copy_into(self, staging: Staging, copied: Mapping[str, ir.Table]) -> None:
        with staging.released() as path:
            self._raw.execute(f"ATTACH {_text(path)} AS staging")
            try:
                for name, rows in copied.items():
                    self.con.create_table(name, rows, database=("staging", "main"), overwrite=True)
            finally:
                self._raw.execute("DETACH staging")

    @contextmanager
    def attach(self, staging: Staging) -> Iterator[Callable[[str], ir.Table]]:
        with staging.released() as path:
            self._raw.execute(f"ATTACH {_text(path)} AS staging (READ_ONLY)")
            try:
                yield lambda name: self.con.table(name, database=("staging", "main"))
            finally:
                self._raw.execute("DETACH staging")

    def json_text(self, column: ir.Value, *keys: str) -> ir.StringValue:
        # A JSON pointer takes any key; a path ($.a) is parsed and rewritten on the way, quotes in keys unescaped.
        return json_functions.json_extract_string()(column, "".join(f"/{_pointer(k)}" for k in keys))

    def json_at(self, column: ir.Value, pointer: ir.Value) -> ir.StringValue:
        return json_functions.json_extract_string()(column, pointer)

    def json_pointer(self, key: ir.Value) -> ir.StringValue:
        return json_functions.pointer_to(key)

    def json_keys(self, column: ir.Value) -> ir.ArrayValue:
        keys = json_functions.json_keys()(column)
        # Looking at every value costs four times as much as the keys, and most objects hold no null at all.
        given = keys.filter(lambda key: json_functions.json_type()(column, json_functions.pointer_to(key)) != "NULL")
        return column.contains("null").ifelse(given, keys)

    def json_list(self, column: ir.Value) -> ir.ArrayValue:
        return json_functions.from_json_strings()(column, '["VARCHAR"]')

    def json_valid(self, column: ir.Value) -> ir.BooleanValue:
        return json_functions.json_valid()(column)

    def json_quoted(self, text: ir.Value) -> ir.StringValue:
        return json_functions.to_json()(text)

    def local_time(self, at: ir.Value, zone: str) -> ir.TimestampValue:
        return json_functions.timezone()(zone, at.cast("timestamp('UTC')"))

    def split(self, text: ir.Value, separator: str) -> ir.ArrayValue:
        return text.split(separator)

    def edited(self, events: ir.Table, edits: Sequence[Edit]) -> ir.Table:
        from cdp_core.engine.json_edit import edited

        return self.con.sql(edited(f"({self.con.compile(events)})", edits))

    def digest(self, left: ir.Value, right: ir.Value) -> ir.IntegerValue:
        return json_functions.digest_of()(left, right)

    def keyed(self, text: ir.Value, key: bytes) -> ir.StringValue:
        from cdp_core.engine.keyed import keyed

        return keyed(text, key, sha256="sha256")

    def snapshot(self) -> int:
        return int(self._raw.execute("SELECT id FROM lake.current_snapshot()").fetchall()[0][0])

    def reader(self) -> DuckLakeEngine:
        import ibis

        con = ibis.duckdb.from_connection(self._raw.cursor())
        return DuckLakeEngine(con, self.folder, self.spec)

    def maintain(self) -> None:
        amount, unit = int(self.spec.keep_snapshots[:-1]), {"h": "HOURS", "d": "DAYS"}[self.spec.keep_snapshots[-1]]
        age = f"now() - INTERVAL {amount} {unit}"
        with self._write_lock():
            self._raw.execute(f"CALL ducklake_rewrite_data_files('lake', delete_threshold => {_MOSTLY_DELETED})")
            self._raw.execute("CALL ducklake_merge_adjacent_files('lake')")
            self._raw.execute(f"CALL ducklake_expire_snapshots('lake', older_than => {age})")
            self._raw.execute(f"CALL ducklake_cleanup_old_files('lake', older_than => {age})")

    def clear_scratch(self) -> None:
        for name in self._scratch:
            self._raw.execute(f"DROP TABLE IF EXISTS temp.main.{_name(name)}")
        self._scratch.clear()

    def close(self) -> None:
        self.con.disconnect()


def _load_extension(con: Backend, name: str) -> None:
    """Load by path from the wheel: nothing is downloaded and nothing is copied into a home folder."""
    import duckdb

    found = importlib.util.find_spec(f"duckdb_extension_{name}")
    try:
        if found and found.origin:
            file = next(Path(found.origin).parent.rglob("*.duckdb_extension"))
            con.raw_sql(f"LOAD {_text(file)}")
        else:
            con.raw_sql(f"LOAD {name}")
    except (duckdb.Error, StopIteration) as error:
        raise EngineError(
            f"DuckDB's extension {name!r} is neither installed as a wheel nor by DuckDB",
            hint=f"install the package duckdb-extension-{name.replace('_', '-')}, or run INSTALL {name} in DuckDB",
        ) from error


def _pointer(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _text(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _reason(error: Exception) -> str:
    """DuckDB's reason without the echo of the query."""
    lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith(("LINE", " "))]
    return " ".join(lines)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
