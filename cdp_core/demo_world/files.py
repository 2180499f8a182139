"""Files whose bytes depend on the content alone: no time stamps, no host names, no random page order."""

from __future__ import annotations

import gzip
import io
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl


def write_gzip(path: Path, content: bytes | memoryview, level: int) -> None:
    path.write_bytes(gzip.compress(content, compresslevel=level, mtime=0))


def write_csv(path: Path, frame: pl.DataFrame, level: int = 6) -> None:
    """CSV, compressed when the name ends in .gz; blanks are empty fields."""
    buffer = io.BytesIO()
    frame.write_csv(buffer)
    if path.suffix == ".gz":
        write_gzip(path, buffer.getbuffer(), level)
    else:
        path.write_bytes(buffer.getbuffer())


def write_parquet(path: Path, frame: pl.DataFrame, level: int) -> None:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", compression_level=level)
    path.write_bytes(buffer.getbuffer())


def write_sqlite(path: Path, create: str, insert: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """A SQLite database of one table, written anew and compacted."""
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for pragma in ("page_size = 4096", "journal_mode = OFF", "synchronous = OFF", "auto_vacuum = NONE"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute(create)
        connection.execute("BEGIN")
        connection.executemany(insert, rows)
        connection.execute("COMMIT")
        connection.execute("VACUUM")
    finally:
        connection.close()
