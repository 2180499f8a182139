"""What a stage may ask of an engine. Nothing outside this room knows which engine answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.engine.json_edit import Edit
    from cdp_core.engine.staging import Staging


PLACE = "place"
"""The column that `Engine.placed` adds."""


class Engine(Protocol):
    """Canonical tables, scratch tables and the few functions in which engines differ.

    Expressions of one engine object are used with that object only, and from one thread; `reader()` gives another
    thread its own.
    """

    kind: str
    folder: Path
    """Where the engine keeps the lake; lock files of writers live here too."""
    local: bool
    """True when handing frames to Polars and SciPy costs no network: components then run there."""

    def table(self, name: str) -> ir.Table:
        """The published canonical table, as of the newest snapshot (or the one being written in a transaction)."""

    def placed(self, name: str) -> ir.Table:
        """The same, and in the column `place` which row it is: `amend` finds rows by it without reading their keys.

        Only where the engine is `local`; elsewhere EngineError.
        """

    def table_at(self, name: str, snapshot: int) -> ir.Table:
        """The same table as of an older snapshot. Raises EngineError when that is no longer kept."""

    def has(self, name: str) -> bool:
        """Whether the canonical table has been published."""

    def ensure_tables(self) -> None:
        """Create every canonical table that is missing, empty; add columns that a newer version brought."""

    def transaction(self) -> AbstractContextManager[None]:
        """Publish several tables as one. Waits for other writers; an exception inside publishes nothing."""

    def replace(self, name: str, rows: ir.Table) -> None:
        """Make `rows` the whole content of a canonical table (its columns may change, as in `profiles`)."""

    def append(self, name: str, rows: ir.Table) -> None:
        """Add rows; columns are matched by name, missing ones are null."""

    def upsert(self, name: str, rows: ir.Table, key: tuple[str, ...]) -> None:
        """Replace the rows that share `key` with `rows`, add the others."""

    def amend(self, name: str, gone: ir.Table, rows: ir.Table, key: tuple[str, ...]) -> None:
        """Take out the rows that share `key` with `gone`, then add `rows`; costs what changes, not what is there."""

    def keep(self, rows: ir.Table) -> ir.Table:
        """Compute `rows` once into a scratch table and give that: use it where an expression is read twice."""

    def frame(self, frame: pl.DataFrame) -> ir.Table:
        """A scratch table from a Polars frame."""

    def polars(self, rows: ir.Table) -> pl.DataFrame:
        """Compute `rows` into a Polars frame."""

    def sql(self, query: str, named: Mapping[str, ir.Table] | None = None) -> ir.Table:
        """A SELECT over canonical tables, in the lake's SQL dialect, as an expression.

        `named` puts scratch tables (from `keep` or `frame`) in the place of table names of the query.
        Raises SpecError when the text is not one single SELECT.
        """

    def query(self, query: str) -> pl.DataFrame:
        """Answer a user's SELECT over canonical tables, and nothing else: no files, no network, no writing.

        Raises SpecError with the reason in one line.
        """

    def copy_into(self, staging: Staging, copied: Mapping[str, ir.Table]) -> None:
        """Copy rows into tables of the staging file, under the names given."""

    def attach(self, staging: Staging) -> AbstractContextManager[Callable[[str], ir.Table]]:
        """Read the staging file's tables from this engine while the context is open."""

    def json_text(self, column: ir.Value, *keys: str) -> ir.StringValue:
        """The value under `keys` in a column of JSON text, as text without quotes; null when absent or JSON null."""

    def json_at(self, column: ir.Value, pointer: ir.Value) -> ir.StringValue:
        """The same for one key of the top level that another column holds, as `json_pointer` gives it."""

    def json_pointer(self, key: ir.Value) -> ir.StringValue:
        """What `json_at` takes for a key: to be computed once per key, and not for every row."""

    def json_keys(self, column: ir.Value) -> ir.ArrayValue:
        """The keys of a column of JSON objects that have a value (not JSON null), on the top level."""

    def json_list(self, column: ir.Value) -> ir.ArrayValue:
        """A column that holds JSON lists of texts, as an array of texts; null when it is no list."""

    def json_valid(self, column: ir.Value) -> ir.BooleanValue:
        """Whether a text is a JSON document; null stays null."""

    def json_quoted(self, text: ir.Value) -> ir.StringValue:
        """A column of text as JSON strings, quotation marks included; null stays null."""

    def local_time(self, at: ir.Value, zone: str) -> ir.TimestampValue:
        """A column of times (naive UTC) as the clock shows them in an IANA time zone."""

    def split(self, text: ir.Value, separator: str) -> ir.ArrayValue:
        """A column of texts taken apart at every `separator`, which is read letter by letter."""

    def edited(self, events: ir.Table, edits: Sequence[Edit]) -> ir.Table:
        """Rows of events with changes to their JSON, edit by edit, as an expression."""

    def digest(self, left: ir.Value, right: ir.Value) -> ir.IntegerValue:
        """A number of 64 bits for two texts: cheaper to join on; two pairs may have the same one, if hardly ever."""

    def keyed(self, text: ir.Value, key: bytes) -> ir.StringValue:
        """HMAC-SHA-256 of a column of texts, as hex digits in lower case; null stays null."""

    def snapshot(self) -> int:
        """Number of the newest published snapshot; it grows with every commit."""

    def reader(self) -> Engine:
        """The same lake for another thread."""

    def maintain(self) -> None:
        """Merge small files, expire old snapshots, delete files nobody reads any more."""

    def purge(self) -> None:
        """Leave no byte of rows that are not in the newest snapshot: older ones are let go, files written anew.

        Raises EngineError when somebody goes on reading old content of the catalog; what is done stays done.
        """

    def clear_scratch(self) -> None:
        """Drop the scratch tables made so far; expressions over them are invalid afterwards."""

    def close(self) -> None:
        """Release files and connections."""


def open_engine(root: Path, spec: object) -> Engine:
    """Open the engine that `engine:` in cdp.yaml names. Raises EngineError when it cannot be opened."""
    from cdp_core.engine.spec import EngineSpec

    assert isinstance(spec, EngineSpec)
    if spec.type == "spark":
        from cdp_core.engine.spark import SparkEngine

        return SparkEngine.open(root, spec)
    from cdp_core.engine.ducklake import DuckLakeEngine

    return DuckLakeEngine.open(root, spec)
