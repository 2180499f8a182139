"""What destinations share that write into a table of a warehouse over HTTP.

There is no transaction over several calls, so a batch is one MERGE, which is atomic. A call that was left without an
answer is made again under the same mark, by which the warehouse knows it.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from cdp_core.destinations.base import Batch, Delivery, SendResult
from cdp_core.destinations.databases.keyed import KeyedRows

if TYPE_CHECKING:
    import polars as pl


class Warehouse(KeyedRows):
    """Rows are merged by the sync's key and deleted by it; other rows of the table are never touched."""

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
            if self._found(delivery):
                return self.remove(keys)
            return SendResult()
        finally:
            self.finish(True)

    @abstractmethod
    def finish(self, complete: bool) -> None: ...

    @abstractmethod
    def _ensure(self, delivery: Delivery) -> None:
        """Make the table, or add the columns it lacks."""

    @abstractmethod
    def _found(self, delivery: Delivery) -> bool:
        """Whether the table is there; what it is like is remembered."""

    @abstractmethod
    def _write(self, rows: pl.DataFrame, batch: Batch) -> dict[Any, str]:
        """One MERGE; refused keys with their reasons. Raises BatchRefused for the data, Unavailable, others."""

    @abstractmethod
    def _delete(self, keys: pl.DataFrame) -> None: ...


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
