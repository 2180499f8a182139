"""Where received requests wait: SQLite files in `data/collector/`, each written by one process, the newest last.

A file that was left behind (it grew large, or a write to it failed) is only read from then on, and goes when all of it
is in the lake.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

FOLDER = Path("data/collector")
SOURCE_TYPE = "collector"
"""The `type:` of sources whose events come from here."""
_NAME = "inbox-%Y%m%dT%H%M%S%f.sqlite"
SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, received_at INTEGER NOT NULL, envelope BLOB NOT NULL,
  events INTEGER NOT NULL, size INTEGER NOT NULL, body BLOB NOT NULL
)"""


def folder_of(root: Path) -> Path:
    return root / FOLDER


def inbox_files(root: Path) -> list[Path]:
    """All files with received requests, oldest first."""
    return sorted(folder_of(root).glob("inbox-*.sqlite"))


def create(root: Path) -> tuple[Path, sqlite3.Connection]:
    """A new file and its connection. Raises sqlite3.Error and OSError.

    The folder is synced too: a file whose entry was lost with the power would take acknowledged requests with it.
    """
    folder = folder_of(root)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / _next_name(root)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA page_size=16384")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute(SCHEMA)
        for entry in (folder, folder.parent, root):
            _sync(entry)
    except BaseException:
        close(connection)
        with contextlib.suppress(OSError):
            remove(path)
        raise
    return path, connection


def _next_name(root: Path) -> str:
    """Later in order than every file there is, whatever the clock says: the last one counts as being written to."""
    at = datetime.now(UTC).replace(tzinfo=None)
    for newest in inbox_files(root)[-1:]:
        with contextlib.suppress(ValueError):
            at = max(at, datetime.strptime(newest.name, _NAME) + timedelta(microseconds=1))
    return at.strftime(_NAME)


def close(connection: sqlite3.Connection) -> None:
    """Close without a word: what was committed is there, whatever closing says."""
    with contextlib.suppress(sqlite3.Error):
        connection.close()


def remove(path: Path) -> None:
    """The file and what SQLite keeps beside it."""
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        name.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
