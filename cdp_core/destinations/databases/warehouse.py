"""What destinations share that write into a table of a warehouse over HTTP.

There is no transaction over several calls, so a batch is one MERGE, which is atomic. A call that was left without an
answer is made again under the same mark, by which the warehouse knows it.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core.destinations.base import Batch, Delivery, SendResult
from cdp_core.destinations.databases.keyed import KeyedRows
from cdp_core.errors import DestinationError

if TYPE_CHECKING:
    import polars as pl


YEARS = (1, 9999)


class Warehouse(KeyedRows):
    """Rows are merged by the sync's key and deleted by it; other rows of the table are never touched.

    A column in `_columns` has `name`, `required` (allows no null), `filled` (has a value of its own where none is
    given) and `longest` (characters of a text, None for any number).
    """

    erase_settles = 0.0

    def __init__(self, options: Any, root: Path) -> None:
        super().__init__(options, root)
        self._columns: Mapping[str, Any] = {}

    def prepare(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._check_names(delivery)
        self._ensure(delivery)

    def send(self, batch: Batch) -> SendResult:
        self._prepared()
        failed, rows = self._split(batch.rows, batch.key)
        if rows.height:
            failed.update(self._write(rows, batch))
        return SendResult(failed)

    def remove(self, keys: pl.Series) -> SendResult:
        delivery = self._prepared()
        if keys.len():
            self._delete(keys.alias(delivery.key).to_frame())
        return SendResult()

    def erase(self, delivery: Delivery, keys: pl.Series) -> SendResult:
        self._delivery = delivery
        try:
            if not self._found(delivery):
                return SendResult()
            self._check_key(delivery)
            return self.remove(keys)
        finally:
            self.finish(True)

    @abstractmethod
    def finish(self, complete: bool) -> None: ...

    @abstractmethod
    def _ensure(self, delivery: Delivery) -> None:
        """Make the table, or add the columns it lacks."""

    @abstractmethod
    def _found(self, delivery: Delivery) -> bool:
        """Whether the table is there; its columns are remembered, by their names as `_same` has them."""

    @abstractmethod
    def _write(self, rows: pl.DataFrame, batch: Batch) -> dict[Any, str]:
        """One MERGE; refused keys with their reasons. Raises BatchRefused for the data, Unavailable, others."""

    @abstractmethod
    def _delete(self, keys: pl.DataFrame) -> None: ...

    def _unfit(self, rows: pl.DataFrame) -> dict[str, pl.Expr]:
        """What the columns say of nulls, lengths and years: each of these would cost a batch and its halves."""
        import polars as pl

        found: dict[str, pl.Expr] = {}
        for name, kind in rows.schema.items():
            there = self._columns[self._same(name)]
            if there.required:
                found[f"null is not allowed, column {name}"] = pl.col(name).is_null()
            if kind in (pl.Date, pl.Datetime):
                found[f"outside of the years 1 to 9999, column {name}"] = ~pl.col(name).dt.year().is_between(*YEARS)
            if kind == pl.String and there.longest is not None:
                found[f"too long, column {name}"] = pl.col(name).str.len_chars() > there.longest
        return found

    def _missing(self, delivery: Delivery) -> dict[str, str]:
        """Fields for which the table has no column, with their types."""
        return {name: kind for name, kind in delivery.fields.items() if self._same(name) not in self._columns}

    def _check_key(self, delivery: Delivery) -> None:
        if self._same(delivery.key) not in self._columns:
            raise DestinationError(
                f"the table {self._plain(delivery.options)} has no column {self._same(delivery.key)!r}",
                where=f"sync {delivery.sync}",
                hint="rows are merged by the key: add the column, or name another table",
            )

    def _check_filled(self, delivery: Delivery) -> None:
        """Raises DestinationError for a column that wants a value and is given none."""
        mapped = {self._same(name) for name in delivery.fields}
        for name, column in self._columns.items():
            if column.required and not column.filled and name not in mapped:
                raise DestinationError(
                    f"the column {column.name} allows no null and is not mapped", where=f"syncs.{delivery.sync}.mapping"
                )


def mark(*parts: str | bytes | None) -> str:
    """A name for what the parts say, equal for equal parts.

    >>> mark("a", b"b") == mark("a", b"b"), mark("a", "b") == mark("ab", ""), len(mark("a"))
    (True, False, 40)
    """
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part or b""
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:40]


def delivery_ids(batch: Batch) -> str | None:
    """One text for the ids of the rows of a batch; None when there are none."""
    if batch.ids is None or batch.ids.null_count():
        return None
    return "\n".join(batch.ids.to_list())
