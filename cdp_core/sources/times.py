"""Times as naive UTC timestamps: ISO 8601, declared formats, epochs, typed columns, zones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from cdp_core.engine import json_lines

if TYPE_CHECKING:
    from cdp_core.engine import Staging

UTC_TIME = pl.Datetime("us")
OFFSET = r"(?:[zZ]|:[0-9]{2}(?:[.,][0-9]+)?\s*[+-][0-9]{2}(?::?[0-9]{2})?)\s*$"


def time_columns(
    rows: pl.DataFrame, wanted: Mapping[str, tuple[str, str | None]], timezone: str, staging: Staging
) -> pl.DataFrame:
    """Columns of naive UTC times; null where a value is no time.

    `wanted` maps a new name to a column and its format (None: ISO 8601 or the column's own type). Times without a
    zone are read in `timezone`: a time that a clock change repeats is its first
    instant, one that it leaves out is none.
    """
    if not wanted:
        return pl.DataFrame()
    texts = {
        name: column for name, (column, form) in wanted.items() if form is None and rows.schema[column] == pl.String
    }
    parsed = (
        json_lines.utc_times(staging, rows.select(pl.col(c).alias(n) for n, c in texts.items()))
        if texts
        else pl.DataFrame()
    )
    series = []
    for name, (column, form) in wanted.items():
        if name in texts:
            zoned = rows[column].str.contains(OFFSET)
            local = parsed[name]
            found = local if timezone == "UTC" else local.zip_with(zoned.fill_null(True), _utc(local, timezone))
        else:
            found = _typed(rows[column], form, timezone)
        sane = found.dt.year().is_between(1, 9999).fill_null(False)
        series.append(
            found.zip_with(sane, pl.Series([None], dtype=UTC_TIME).new_from_index(0, rows.height)).alias(name)
        )
    return pl.DataFrame(series)


def _typed(column: pl.Series, form: str | None, timezone: str) -> pl.Series:
    kind = column.dtype
    if form in ("epoch", "epoch_ms"):
        number = column.cast(pl.Float64, strict=False) * (1e6 if form == "epoch" else 1e3)
        return pl.select(
            pl.when(number.abs() < 2.6e17).then(number).cast(pl.Int64, strict=False).cast(UTC_TIME)
        ).to_series()
    if kind == pl.String and form is not None:
        parsed = column.str.strip_chars().str.to_datetime(
            form, strict=False, time_unit="us", time_zone="UTC" if "%z" in form else None
        )
        return parsed.dt.replace_time_zone(None) if "%z" in form else _utc(parsed, timezone)
    if kind == pl.Date:
        return _utc(column.cast(UTC_TIME), timezone)
    if isinstance(kind, pl.Datetime):
        return _utc(column.dt.cast_time_unit("us"), timezone)
    return pl.Series([None], dtype=UTC_TIME).new_from_index(0, len(column))


def _utc(local: pl.Series, timezone: str) -> pl.Series:
    if timezone == "UTC":
        return local
    placed = local.dt.replace_time_zone(timezone, ambiguous="earliest", non_existent="null")
    return placed.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
