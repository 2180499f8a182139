"""Staging tables that widen: a later batch may bring new columns or values that the first type cannot hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from cdp_core.engine import Staging


class Tables:
    """Appends frames and keeps what each table looks like, so that nothing is asked twice."""

    def __init__(self, staging: Staging) -> None:
        self._staging = staging
        self._schemas: dict[str, dict[str, pl.DataType]] = {}

    def append(self, name: str, frame: pl.DataFrame) -> None:
        known = self._schemas.get(name)
        if known is None:
            known = (
                dict(self._staging.polars(self._staging.table(name).limit(0)).schema) if self._staging.has(name) else {}
            )
        frame = frame.cast({c: pl.String for c, kind in frame.schema.items() if kind == pl.Null})
        for column, kind in frame.schema.items():
            held = known.get(column)
            if held is not None and held != kind:
                frame = self._fit(name, frame, column, held, kind)
        self._staging.append(name, frame)
        self._schemas[name] = {**frame.schema, **{c: k for c, k in known.items() if c not in frame.columns}}

    def _fit(self, name: str, frame: pl.DataFrame, column: str, held: pl.DataType, kind: pl.DataType) -> pl.DataFrame:
        if held.is_numeric() and kind.is_numeric():
            common: pl.DataType = pl.Int64() if held.is_integer() and kind.is_integer() else pl.Float64()
            ibis_type = "int64" if common == pl.Int64 else "float64"
        else:
            common, ibis_type = pl.String(), "string"
        if held != common:
            table = self._staging.table(name)
            self._staging.replace(name, table.mutate(**{column: table[column].cast(ibis_type)}))
        return frame.cast({column: common})
