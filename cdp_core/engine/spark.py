"""PySpark as the engine: the same stages on a cluster, tables as Parquet folders behind one manifest.

The manifest names the folders that make up each table. A transaction writes new folders and then replaces the manifest
in one rename, so readers see all of it or nothing. It serves one writer and any readers on a shared file system.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core import tables
from cdp_core.engine.query import rename_tables
from cdp_core.engine.shape import shaped
from cdp_core.engine.spec import EngineSpec
from cdp_core.errors import EngineError
from cdp_core.modes import FILE, private_folder, shut_below

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl
    from ibis.backends.pyspark import Backend

    from cdp_core.engine.json_edit import Edit
    from cdp_core.engine.staging import Staging

_PLAIN_KEY = re.compile(r"[\w .&/-]+")
"""Keys that a JSON path can hold; others have no way of being escaped in Spark's paths."""

_SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "4",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.catalogImplementation": "in-memory",
    "spark.ui.showConsoleProgress": "false",
}


class SparkEngine:
    """A Spark session over the manifest's folders. See `Engine` for the meaning of every method."""

    kind = "spark"
    local = False

    def __init__(self, con: Backend, folder: Path, spec: EngineSpec) -> None:
        self.con = con
        self.folder = folder
        self.spec = spec
        self._scratch = folder / "scratch" / uuid.uuid4().hex[:12]
        self._numbers = itertools.count()
        self._pending: dict[str, list[str]] | None = None

    @classmethod
    def open(cls, root: Path, spec: EngineSpec) -> SparkEngine:
        """Start or join a session at `engine.master`. Raises EngineError when PySpark is missing or refuses."""
        folder = (root / spec.lake).resolve()
        private_folder(folder)
        return cls(_connect(spec.master, folder), folder, spec)

    def table(self, name: str) -> ir.Table:
        parts = self._manifest().get(name)
        if parts is None:
            raise EngineError.unknown("table", name, tables.CANONICAL)
        return self._read([str(self.folder / part) for part in parts])

    def placed(self, name: str) -> ir.Table:
        raise EngineError(f"rows of {name!r} have no places with Spark", hint="amend by a key")

    def table_at(self, name: str, snapshot: int) -> ir.Table:
        raise EngineError("older snapshots cannot be read with Spark", hint="compare with the embedded engine")

    def has(self, name: str) -> bool:
        return name in self._manifest()

    def ensure_tables(self) -> None:
        missing = [t for t in tables.CANONICAL.values() if not self.has(t.name)]
        if not missing:
            return
        with self.transaction():
            for table in missing:
                self._pending_parts()[table.name] = [self._write_frame(table.empty(), f"tables/{table.name}")]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        from filelock import FileLock

        if self._pending is not None:
            yield
            return
        with FileLock(self.folder / "write.lock", mode=FILE):
            self._pending = self._manifest()
            try:
                yield
                self._publish(self._pending)
            finally:
                self._pending = None

    def replace(self, name: str, rows: ir.Table) -> None:
        with self.transaction():
            self._pending_parts()[name] = [self._write(shaped(rows, name), f"tables/{name}")]

    def append(self, name: str, rows: ir.Table) -> None:
        with self.transaction():
            part = self._write(shaped(rows, name), f"tables/{name}")
            parts = self._pending_parts()
            parts[name] = [*parts.get(name, []), part]

    def upsert(self, name: str, rows: ir.Table, key: tuple[str, ...]) -> None:
        fresh = self.keep(rows)
        self.amend(name, fresh, fresh, key)

    def amend(self, name: str, gone: ir.Table, rows: ir.Table, key: tuple[str, ...]) -> None:
        with self.transaction():
            old = shaped(self.table(name), name)
            self.replace(name, old.anti_join(gone, list(key)).union(shaped(rows, name)))

    def keep(self, rows: ir.Table) -> ir.Table:
        return self._read([str(self.folder / self._write(rows, None))])

    def frame(self, frame: pl.DataFrame) -> ir.Table:
        return self._read([str(self.folder / self._write_frame(frame, None))])

    def polars(self, rows: ir.Table) -> pl.DataFrame:
        import polars as pl
        import polars.selectors as cs

        # Ibis leaves the row number of an offset in its result; a projection on top takes it out.
        return rows.select(rows.columns).to_polars().with_columns(cs.datetime().cast(pl.Datetime("us")))

    def sql(self, query: str, named: Mapping[str, ir.Table] | None = None) -> ir.Table:
        names = {name: kept.get_name() for name, kept in (named or {}).items()}
        for name in self._manifest():
            if name not in names and name in query:
                names[name] = self.table(name).get_name()
        return self.con.sql(rename_tables(query, names, write="spark"), dialect="spark")

    def query(self, query: str) -> pl.DataFrame:
        from cdp_core.engine.sandbox import too_long
        from cdp_core.engine.spark_jobs import stopped_after
        from cdp_core.errors import SpecError

        limits = self.spec.sql
        with stopped_after(self.con._session.sparkContext, limits):
            try:
                found = self.polars(self.sql(query).limit(limits.max_rows + 1))
            except SpecError:
                raise
            except Exception as error:
                raise SpecError(f"the query failed: {str(error).splitlines()[0]}", where="SQL") from None
        if len(found) > limits.max_rows:
            raise too_long(limits)
        return found

    def copy_into(self, staging: Staging, copied: Mapping[str, ir.Table]) -> None:
        for name, rows in copied.items():
            staging.drop(name)
            staging.append(name, self.polars(rows))

    @contextmanager
    def attach(self, staging: Staging) -> Iterator[Callable[[str], ir.Table]]:
        def table(name: str) -> ir.Table:
            return self.frame(staging.polars(staging.table(name)))

        yield table

    def json_text(self, column: ir.Value, *keys: str) -> ir.StringValue:
        value: Any = column
        for plain, group in itertools.groupby(keys, key=lambda k: bool(_PLAIN_KEY.fullmatch(k))):
            if plain:
                value = _get_json_object()(value, "$" + "".join(f"['{k}']" for k in group))
            else:
                for key in group:
                    value = _from_json_map()(value, "map<string,string>").get(key)
        return value

    def json_at(self, column: ir.Value, pointer: ir.Value) -> ir.StringValue:
        return _from_json_map()(column, "map<string,string>").get(pointer)

    def json_pointer(self, key: ir.Value) -> ir.StringValue:
        return key

    def json_keys(self, column: ir.Value) -> ir.ArrayValue:
        held = _from_json_map()(column, "map<string,string>")
        return held.keys().filter(lambda key: held.get(key).notnull())

    def json_list(self, column: ir.Value) -> ir.ArrayValue:
        return _from_json()(column, "array<string>")

    def json_valid(self, column: ir.Value) -> ir.BooleanValue:
        import ibis

        return column.isnull().ifelse(ibis.null("boolean"), _get_json_object()(column, "$").notnull())

    def json_quoted(self, text: ir.Value) -> ir.StringValue:
        import ibis

        # Spark writes objects only: {"t":"…"} without its frame; an absent text gives {}.
        framed = _to_json()(ibis.struct({"t": text}))
        return text.isnull().ifelse(ibis.null("string"), framed.substr(5, framed.length() - 6))

    def local_time(self, at: ir.Value, zone: str) -> ir.TimestampValue:
        return _from_utc()(at, zone)

    def split(self, text: ir.Value, separator: str) -> ir.ArrayValue:
        return text.split(re.escape(separator))

    def edited(self, events: ir.Table, edits: Sequence[Edit]) -> ir.Table:
        from cdp_core.engine.json_edit import edited

        frame = self.con._session.sql(self.con.compile(events))
        name = f"edited_{uuid.uuid4().hex[:12]}"
        frame.mapInArrow(_by_duckdb(edited("batch", edits)), frame.schema).createOrReplaceTempView(name)
        return self.con.table(name)

    def digest(self, left: ir.Value, right: ir.Value) -> ir.IntegerValue:
        return _hash()(left, right)

    def keyed(self, text: ir.Value, key: bytes) -> ir.StringValue:
        from cdp_core.engine.keyed import keyed

        return keyed(text, key, sha256="sha2", bits=(256,))

    def snapshot(self) -> int:
        return int(self._read_manifest().get("snapshot", 0))

    def reader(self) -> SparkEngine:
        return SparkEngine(self.con, self.folder, self.spec)

    def maintain(self) -> None:
        """Delete folders that no manifest has named for as long as snapshots are kept."""
        self._drop_parts(
            time.time() - int(self.spec.keep_snapshots[:-1]) * {"h": 3600, "d": 86400}[self.spec.keep_snapshots[-1]]
        )

    def purge(self) -> None:
        """Every change writes a table's folders anew, so that old content is in those that no manifest names."""
        self.clear_scratch()
        self._drop_parts(time.time() + 1)

    def _drop_parts(self, before: float) -> None:
        live = {part for parts in self._manifest().values() for part in parts}
        for folder in self.folder.glob("tables/*/*"):
            if str(folder.relative_to(self.folder)) not in live and folder.stat().st_mtime < before:
                shutil.rmtree(folder, ignore_errors=True)

    def clear_scratch(self) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)

    def close(self) -> None:
        self.clear_scratch()
        shut_below(self.folder)

    def _manifest(self) -> dict[str, list[str]]:
        if self._pending is not None:
            return self._pending
        found: dict[str, list[str]] = self._read_manifest().get("tables", {})
        return found

    def _read_manifest(self) -> dict[str, Any]:
        path = self.folder / "manifest.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def _pending_parts(self) -> dict[str, list[str]]:
        assert self._pending is not None
        return self._pending

    def _publish(self, parts: dict[str, list[str]]) -> None:
        path = self.folder / "manifest.json"
        temporary = path.with_suffix(".new")
        with temporary.open("w") as file:
            json.dump({"snapshot": self.snapshot() + 1, "tables": parts}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)

    def _write(self, rows: ir.Table, room: str | None) -> str:
        part = self._new_part(room)
        frame = self.con._session.sql(self.con.compile(rows))
        frame.write.parquet(str(self.folder / part))
        return part

    def _write_frame(self, frame: pl.DataFrame, room: str | None) -> str:
        part = self._new_part(room)
        (self.folder / part).mkdir(parents=True)
        frame.write_parquet(self.folder / part / "part.parquet")
        return part

    def _new_part(self, room: str | None) -> str:
        base = Path(room) if room else self._scratch.relative_to(self.folder)
        return str(base / f"{next(self._numbers)}_{uuid.uuid4().hex[:8]}")

    def _read(self, folders: list[str]) -> ir.Table:
        name = f"part_{uuid.uuid4().hex[:12]}"
        self.con._session.read.parquet(*folders).createOrReplaceTempView(name)
        return self.con.table(name)


def _connect(master: str, folder: Path) -> Backend:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        raise EngineError("PySpark is not installed", hint="pip install 'cdp-workbench[spark]'") from None
    import ibis

    builder = SparkSession.builder.master(master).appName("cdp").config("spark.sql.warehouse.dir", str(folder / "wh"))
    for key, value in _SETTINGS.items():
        builder = builder.config(key, value)
    try:
        session = builder.getOrCreate()
    except Exception as error:
        first = str(error).splitlines()[0]
        raise EngineError(
            f"Spark did not start: {first}", where="engine.master", hint="is Java 17 installed?"
        ) from None
    session.sparkContext.setLogLevel("ERROR")
    return ibis.pyspark.connect(session)


def _by_duckdb(query: str) -> Callable[[Iterator[Any]], Iterator[Any]]:
    """The query over `batch`, run where the rows are: changes mean the same on every engine, having one text."""

    def answered(batches: Iterator[Any]) -> Iterator[Any]:
        import duckdb

        with duckdb.connect() as con:
            con.execute("SET TimeZone = 'UTC'; SET threads = 1")
            for batch in batches:
                con.register("batch", batch)
                yield from con.execute(query).to_arrow_table().cast(batch.schema).to_batches()
                con.unregister("batch")

    return answered


def _get_json_object() -> Any:
    import ibis

    @ibis.udf.scalar.builtin(signature=(("string", "string"), "string"), name="get_json_object")
    def get_json_object(column, path): ...  # type: ignore[no-untyped-def]

    return get_json_object


def _hash() -> Any:
    import ibis

    @ibis.udf.scalar.builtin(signature=(("string", "string"), "int64"), name="xxhash64")
    def digest(left, right): ...  # type: ignore[no-untyped-def]

    return digest


def _from_utc() -> Any:
    import ibis

    @ibis.udf.scalar.builtin(signature=(("timestamp", "string"), "timestamp"), name="from_utc_timestamp")
    def from_utc(at, zone): ...  # type: ignore[no-untyped-def]

    return from_utc


def _to_json() -> Any:
    import ibis

    @ibis.udf.scalar.builtin(signature=(("struct<t: string>",), "string"), name="to_json")
    def to_json(framed): ...  # type: ignore[no-untyped-def]

    return to_json


def _from_json() -> Any:
    import ibis

    @ibis.udf.scalar.builtin(signature=(("string", "string"), "array<string>"), name="from_json")
    def from_json(column, shape): ...  # type: ignore[no-untyped-def]

    return from_json


def _from_json_map() -> Any:
    import ibis

    @ibis.udf.scalar.builtin(signature=(("string", "string"), "map<string, string>"), name="from_json")
    def from_json_map(column, shape): ...  # type: ignore[no-untyped-def]

    return from_json_map
