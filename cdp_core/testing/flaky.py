"""A destination in memory whose failures are set like knobs: for tests of whatever sends rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from cdp_core.destinations.base import Batch, Delivery, SendResult
from cdp_core.errors import DestinationError, Retryable

if TYPE_CHECKING:
    import polars as pl


class _NoOptions(BaseModel):
    pass


class Outage(DestinationError, Retryable):
    """What the flaky destination raises."""


class FlakyDestination:
    """Keeps rows in `state` (key → row).

    `refuses` says which rows are refused (a function of a row); `breaks` which call of send or remove fails, counted
    from 1, and `ambiguous` whether its effect stays: the rows were taken and the answer was lost. `calls` counts calls
    that carried rows.
    """

    Options = _NoOptions
    SyncOptions = _NoOptions

    def __init__(
        self,
        *,
        refuses: Callable[[dict[str, Any]], bool] | None = None,
        breaks: int | None = None,
        ambiguous: bool = False,
        batch_rows: int = 10_000,
    ) -> None:
        self.refuses = refuses
        self.breaks = breaks
        self.ambiguous = ambiguous
        self.batch_rows = batch_rows
        self.state: dict[str, dict[str, Any]] = {}
        self.calls = 0
        self.prepared = 0
        self.finished: list[bool] = []

    def prepare(self, delivery: Delivery) -> None:
        self.prepared += 1

    def send(self, batch: Batch) -> SendResult:
        rows = {str(row[batch.key]): row for row in batch.rows.to_dicts()}
        refused = {key for key, row in rows.items() if self.refuses is not None and self.refuses(row)}
        self._call(lambda: self.state.update({k: r for k, r in rows.items() if k not in refused}))
        return SendResult(dict.fromkeys(refused, "refused by rule"))

    def remove(self, keys: pl.Series) -> SendResult:
        gone = [str(key) for key in keys.to_list()]
        self._call(lambda: [self.state.pop(key, None) for key in gone])
        return SendResult()

    def finish(self, complete: bool) -> None:
        self.finished.append(complete)

    def _call(self, effect: Callable[[], object]) -> None:
        self.calls += 1
        broken = self.calls == self.breaks
        if not broken or self.ambiguous:
            effect()
        if broken:
            raise Outage("the connection was lost", hint="run again")
