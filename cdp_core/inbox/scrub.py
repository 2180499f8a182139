"""Received requests that are in the lake, taken out of the inbox to the last byte, while the collector goes on."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from cdp_core.inbox import files, reader

_ROWS = 2_000
"""Deleted at a time: the collector waits for no more than that."""


def scrub(root: Path, loaded: Mapping[tuple[str, str], int], before: int) -> int:
    """Empty the inbox of everything that is in the lake; how many requests that came `before` a time (microseconds
    since 1970, UTC) still wait to be loaded.

    `loaded`: (source, file name) → the last number in the lake, as committed. The collector keeps the newest file, and
    its numbers go on. A file whose journal somebody reads just now counts as waiting.
    """
    reader.tidy(root, loaded)
    left = 0
    for path in files.inbox_files(root):
        with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, isolation_level=None, timeout=10)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'requests'").fetchall():
                continue
            connection.execute("PRAGMA secure_delete = ON")
            for source, end in [(s, end) for (s, name), end in loaded.items() if name == path.name]:
                _delete(connection, source, end)
            query = "SELECT count(*) FROM requests WHERE received_at < ?"
            waiting = connection.execute(query, (before,)).fetchone()[0]
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            left += waiting or busy
    return left


def _delete(connection: sqlite3.Connection, source: str, end: int) -> None:
    query = "DELETE FROM requests WHERE seq IN (SELECT seq FROM requests WHERE source = ? AND seq <= ? LIMIT ?)"
    while connection.execute(query, (source, end, _ROWS)).rowcount:
        pass
