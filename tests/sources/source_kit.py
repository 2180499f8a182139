"""What the tests of sources share."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from cdp_core import tables
from cdp_core.sources.stage import StagedSource

NOW = datetime(1998, 7, 1)


@dataclass
class Loaded:
    """What one load brought, as frames; a table that was not created is empty."""

    staged: list[StagedSource]
    tables: dict[str, pl.DataFrame]
    state: pl.DataFrame = field(default_factory=tables.SOURCE_STATE.empty)
    columns: pl.DataFrame = field(default_factory=tables.SOURCE_COLUMNS.empty)

    @property
    def read(self) -> int:
        return sum(source.rows_read for source in self.staged)

    @property
    def events(self) -> pl.DataFrame:
        return self.tables.get("events", pl.DataFrame(schema={"source": pl.String, "message_id": pl.String}))

    @property
    def rejects(self) -> pl.DataFrame:
        return self.tables.get("rejects", pl.DataFrame(schema={"rule": pl.String, "payload": pl.String}))

    def rows(self, source: str = "s") -> pl.DataFrame:
        return self.tables[f"rows_{source}"]

    def objects(self, column: str, by: str = "record_id") -> dict[Any, Any]:
        """A JSON column of the events, parsed, by record."""
        pairs = self.events.select(by, column).iter_rows()
        return {key: None if text is None else json.loads(text) for key, text in pairs}

    def rules(self) -> list[str]:
        return sorted(self.rejects["rule"])


Load = Callable[..., Loaded]


def people(**more: Any) -> dict[str, Any]:
    """A mapping of rows with the columns id and email."""
    return {"type": "identify", "key": "id", "identifiers": {"user_id": "id"}} | more
