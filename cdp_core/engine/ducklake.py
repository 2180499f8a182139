"""The default engine: DuckDB over a DuckLake. Parquet files, a SQLite catalog in WAL mode, one writer, any readers."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core import tables
from cdp_core.engine import json_functions
from cdp_core.engine.base import PLACE
from cdp_core.engine.catalog import catalog_of
from cdp_core.engine.extensions import extension_path, load_extension
from cdp_core.engine.parquet import options_to_set
from cdp_core.engine.query import rename_tables
from cdp_core.engine.shape import shaped
from cdp_core.engine.spec import EngineSpec
from cdp_core.engine.stored import ROW, column_list, placed_table, read_alike, schema_of, storage_types, stored_table
from cdp_core.engine.trouble import storage_error
from cdp_core.errors import EngineError
from cdp_core.modes import FILE, private_folder, shut_below

if TYPE_CHECKING:
    import ibis
    import ibis.expr.types as ir
    import polars as pl
    from ibis.backends.duckdb import Backend

    from cdp_core.engine.json_edit import Edit
    from cdp_core.engine.staging import Staging

_EXTENSIONS = ("ducklake", "sqlite_scanner")
_CRYPTO = ("httpfs",)
"""Loaded for its cryptography alone: files are written encrypted with it, and read without."""
_COMMIT_TRIES = 20
_MOSTLY_DELETED = 0.25
"""A file is rewritten when more than this share of its rows is deleted: until then readers skip them."""


class DuckLakeEngine:
    """One connection to the lake. See `Engine` for the meaning of every method."""

    kind = "duckdb"
    local = True

    def __init__(self, con: Backend, folder: Path, spec: EngineSpec, catalog: Path) -> None:
        self.con = con
        self.folder = folder
        self.spec = spec
        self._catalog = catalog
        self._numbers = itertools.count()
        self._scratch: list[str] = []
        self._schemas: dict[str, ibis.Schema] = {}
        self._depth = 0
        self._wrote = False

    @classmethod
    def open(cls, root: Path, spec: EngineSpec) -> DuckLakeEngine:
        """Open or create the lake under `root`. Raises EngineError when the folder cannot be written."""
        import ibis

        folder = (root / spec.lake).resolve()
        try:
            for part in (folder, folder / "files", folder / "spill"):
                private_folder(part)
            catalog = catalog_of(root, folder, spec)
        except OSError as error:
            raise EngineError(
                f"the lake folder cannot be written: {error.strerror}", where=spec.lake, hint="check its rights"
            ) from None
        con = ibis.duckdb.connect(
            memory_limit=spec.memory_limit,
            threads=spec.threads or os.cpu_count() or 2,
            temp_directory=str(folder / "spill"),
        )
        engine = cls(con, folder, spec, catalog)
        engine._attach_lake()
        return engine

    def _attach_lake(self) -> None:
        import duckdb

        for name in (*_EXTENSIONS, *(_CRYPTO if self.spec.encrypted else ())):
            load_extension(self.con, name)
        raw = self._raw
        if self.spec.encrypted:
            raw.execute("SET temp_file_encryption = true")
        raw.execute("SET preserve_insertion_order = false; SET TimeZone = 'UTC'")
        # Only the staging file would be compressed, and it is read once and thrown away.
        raw.execute("SET force_compression = 'uncompressed'")
        raw.execute("SET autoinstall_known_extensions = false; SET autoload_known_extensions = false")
        for attempt in range(_COMMIT_TRIES):
            try:
                encrypted = ", ENCRYPTED, DATA_INLINING_ROW_LIMIT 0" if self.spec.encrypted else ""
                raw.execute(self._attach(f"META_JOURNAL_MODE 'WAL'{encrypted}"))
                break
            except duckdb.Error as error:
                if "locked" not in str(error) or attempt == _COMMIT_TRIES - 1:
                    raise storage_error(error, where=self.spec.lake) or self._closed_door() from error
                time.sleep(0.05 * (attempt + 1))

    def _attach(self, mode: str) -> str:
        options = f"DATA_PATH {_text(self.folder / 'files')}, OVERRIDE_DATA_PATH true, META_BUSY_TIMEOUT 10000, {mode}"
        catalog = f"ducklake:sqlite:{self._catalog}"
        return f"ATTACH {_text(catalog)} AS lake ({options})"

    def _closed_door(self) -> EngineError:
        if os.access(self.folder, os.W_OK):
            return EngineError("the lake cannot be opened", where=self.spec.lake, hint="run 'cdp doctor'")
        what = "the lake folder cannot be written, and the catalog's journal needs that even to read"
        return EngineError(what, where=self.spec.lake, hint="check its rights")

    @property
    def _raw(self) -> Any:
        return self.con.con

    def table(self, name: str) -> ir.Table:
        contract = tables.CANONICAL.get(name)
        if contract is None or contract.open:
            return self.con.table(name, database=("lake", "main"))
        if name not in self._schemas:
            self._schemas[name] = self.con.get_schema(name, catalog="lake", database="main")
        return stored_table(self.con, name, self._schemas[name], "lake")

    def placed(self, name: str) -> ir.Table:
        return placed_table(self.con, name, self.table(name).schema(), "lake")

    def table_at(self, name: str, snapshot: int) -> ir.Table:
        import duckdb

        query = f"SELECT * FROM lake.main.{_name(name)} AT (VERSION => {int(snapshot)})"
        try:
            return self.con.sql(query)
        except duckdb.Error as error:
            kept = f"snapshots are kept for {self.spec.keep_snapshots}; raise engine.keep_snapshots in cdp.yaml"
            raise EngineError(f"snapshot {snapshot} is no longer there", where=self.spec.lake, hint=kept) from error

    def has(self, name: str) -> bool:
        import duckdb

        try:
            # Asking for all tables would have DuckLake count the rows of each.
            self._raw.execute(f"DESCRIBE lake.main.{_name(name)}")
        except duckdb.CatalogException:
            return False
        return True

    def ensure_tables(self) -> None:
        query = "SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = 'lake'"
        present: dict[str, set[str]] = {}
        for name, column in self._raw.execute(query).fetchall():
            present.setdefault(name, set()).add(column)
        missing = [t for t in tables.CANONICAL.values() if not set(t.columns) <= present.get(t.name, set())]
        if not missing:
            return
        self._schemas.clear()
        with self.transaction():
            for option in options_to_set(self._raw):
                self._raw.execute(option)
            for table in missing:
                kinds = storage_types(self.con, table.ibis_schema())
                if table.name not in present:
                    self._raw.execute(f"CREATE TABLE lake.main.{_name(table.name)} ({column_list(kinds)})")
                for column in set(table.columns) - present.get(table.name, set(table.columns)):
                    added = column_list({column: kinds[column]})
                    self._raw.execute(f"ALTER TABLE lake.{_name(table.name)} ADD COLUMN {added}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        if self._depth:
            yield
            return
        with self._write_lock():
            self._depth += 1
            self._wrote = True
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

        with FileLock(self.folder / "write.lock", mode=FILE):
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
            old = {PLACE: ROW}
            match = " AND ".join(f"old.{_name(old.get(k, k))} IS NOT DISTINCT FROM gone.{_name(k)}" for k in key)
            self._raw.execute(f"DELETE FROM lake.{_name(name)} AS old USING {source} AS gone WHERE {match}")
            self.append(name, rows)

    def keep(self, rows: ir.Table) -> ir.Table:
        name = f"scratch_{next(self._numbers)}_{os.getpid()}"
        self._scratch.append(name)
        # What Ibis' create_table does, without asking the catalog five times.
        kinds = storage_types(self.con, rows.schema())
        self._raw.execute(f"CREATE TEMP TABLE {_name(name)} ({column_list(kinds)})")
        self._raw.execute(f"INSERT INTO temp.main.{_name(name)} {self.con.compile(rows)}")
        if not all(read_alike(kind) for kind in kinds.values()):
            return self.con.table(name, database=("temp", "main"))
        return stored_table(self.con, name, schema_of(kinds), "temp")

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
        from tempfile import TemporaryDirectory

        from cdp_core.engine.guard import check_select
        from cdp_core.engine.sandbox import LOCKED, answer

        check_select(query, tables.CANONICAL)
        limits = self.spec.sql
        with TemporaryDirectory(prefix="sql-", dir=self.folder / "spill", ignore_cleanup_errors=True) as spill:
            setup = [
                *(f"LOAD {_text(extension_path(name))}" for name in _EXTENSIONS),
                self._attach("READ_ONLY"),
                f"USE lake; SET TimeZone = 'UTC'; SET memory_limit = {_text(limits.memory_limit)}",
                f"SET temp_directory = {_text(spill)}; SET max_temp_directory_size = {_text(limits.spill_limit)}",
                f"SET allowed_directories = [{_text(str(self.folder / 'files') + '/')}]",
                *LOCKED,
            ]
            return answer(query, setup, limits)

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
        return DuckLakeEngine(con, self.folder, self.spec, self._catalog)

    def maintain(self) -> None:
        amount, unit = int(self.spec.keep_snapshots[:-1]), {"h": "HOURS", "d": "DAYS"}[self.spec.keep_snapshots[-1]]
        age = f"now() - INTERVAL {amount} {unit}"
        with self._write_lock():
            # Lakes of earlier versions come to it here, since opening one must not write.
            for option in options_to_set(self._raw):
                self._raw.execute(option)
            self._raw.execute(f"CALL ducklake_rewrite_data_files('lake', delete_threshold => {_MOSTLY_DELETED})")
            self._raw.execute("CALL ducklake_merge_adjacent_files('lake')")
            self._raw.execute(f"CALL ducklake_expire_snapshots('lake', older_than => {age})")
            self._raw.execute(f"CALL ducklake_cleanup_old_files('lake', older_than => {age})")

    def purge(self) -> None:
        from cdp_core.engine.vacuum import vacuum

        with self._write_lock():
            # Rows that the catalog holds itself must be in files first: rewriting fails on them.
            self._raw.execute("CALL ducklake_flush_inlined_data('lake')")
            self._raw.execute("CALL ducklake_rewrite_data_files('lake', delete_threshold => 0)")
            self._raw.execute("CALL ducklake_merge_adjacent_files('lake')")
            self._raw.execute("CALL ducklake_expire_snapshots('lake', older_than => now())")
            self._raw.execute("CALL ducklake_cleanup_old_files('lake', cleanup_all => true)")
            self._raw.execute("CALL ducklake_delete_orphaned_files('lake', cleanup_all => true)")
            vacuum(self._catalog, where=self.spec.lake)

    def clear_scratch(self) -> None:
        for name in self._scratch:
            self._raw.execute(f"DROP TABLE IF EXISTS temp.main.{_name(name)}")
        self._scratch.clear()

    def close(self) -> None:
        self.con.disconnect()
        if self._wrote:
            shut_below(self.folder)
            shut_below(self._catalog)


def _pointer(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _text(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
