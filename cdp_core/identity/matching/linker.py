"""Splink, opened quietly: no log line, no progress bar, nothing on a disk."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import polars as pl

from cdp_core.errors import EngineError, UsageError
from cdp_core.identity.matching.records import ID


@contextlib.contextmanager
def opened(records: pl.DataFrame, settings: dict[str, Any], *, threads: int | None = None) -> Iterator[Any]:
    """A Splink linker over `records` on a DuckDB in memory.

    One thread makes sums of floating-point numbers repeatable, which training needs.
    Raises UsageError when the extra is not installed, EngineError (without values) when DuckDB or Splink fails.
    """
    try:
        import duckdb
        from splink import DuckDBAPI, Linker, SettingsCreator
        from splink.internals.exceptions import SplinkException
    except ImportError as error:
        raise UsageError("matching needs Splink", hint="pip install 'cdp-workbench[matching]'") from error
    with _quiet(), contextlib.closing(duckdb.connect(":memory:")) as con:
        con.execute("SET enable_progress_bar = false")
        if threads:
            con.execute(f"SET threads = {threads:d}")
        try:
            table = DuckDBAPI(connection=con).register(records.to_arrow())
            yield Linker(table, SettingsCreator.from_path_or_dict(_DEFAULTS | settings), log_level=None)
        except (duckdb.Error, SplinkException) as error:
            # Both quote the value that they stumbled over.
            raise EngineError(f"records could not be compared ({type(error).__name__})") from None


_DEFAULTS: dict[str, Any] = {
    "link_type": "dedupe_only",
    "unique_id_column_name": ID,
    # Without them predict() gives no gamma_… columns.
    "retain_matching_columns": True,
    "retain_intermediate_calculation_columns": True,
    "max_iterations": 50,
}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("splink")
    before = logger.level, logger.propagate, list(logger.handlers)
    logger.setLevel(logging.CRITICAL + 1)
    logger.propagate, logger.handlers = False, [logging.NullHandler()]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before[0])
        logger.propagate, logger.handlers = before[1], before[2]
