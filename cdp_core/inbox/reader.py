"""Reading what has been received: for the lake, for the eye, and to see what may go."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from cdp_core.errors import SourceError
from cdp_core.inbox import files

CHUNK_BYTES = 32 << 20
"""As they came: what somebody made to be compressed well must not fill the memory here."""
_READ = "SELECT seq, received_at, envelope, body, size FROM requests WHERE source = ? AND seq > ? ORDER BY seq"


class Row(NamedTuple):
    """A received request; see `Received`."""

    seq: int
    received_at: int
    envelope: bytes
    body: bytes


def read(path: Path, source: str, after: int) -> Iterator[list[Row]]:
    """Requests of one source with a higher number than `after`, in order, in chunks that fit into memory.

    Raises SourceError when the file cannot be read.
    """
    try:
        with closing(_open(path)) as connection:
            chunk: list[Row] = []
            size = 0
            for row in connection.execute(_READ, (source, after)) if _is_begun(connection) else ():
                chunk.append(Row(*row[:4]))
                size += row[4]
                if size > CHUNK_BYTES:
                    yield chunk
                    chunk, size = [], 0
            if chunk:
                yield chunk
    except sqlite3.Error as error:
        raise SourceError(f"{path.name} cannot be read: {error}", hint="is the disk full or read-only?") from None


def waiting(root: Path, state: Mapping[tuple[str, str], int]) -> dict[str, int]:
    """Events per source that are not in the lake yet. `state`: (source, file name) → the last number in the lake."""
    found: dict[str, int] = {}
    for path in files.inbox_files(root):
        with contextlib.suppress(sqlite3.Error), closing(_open(path)) as connection:
            for source in _sources(connection) if _is_begun(connection) else ():
                query = "SELECT coalesce(sum(events), 0) FROM requests WHERE source = ? AND seq > ?"
                count = connection.execute(query, (source, state.get((source, path.name), 0))).fetchone()[0]
                found[source] = found.get(source, 0) + count
    return found


def tidy(root: Path, state: Mapping[tuple[str, str], int]) -> int:
    """Remove files of which everything is in the lake, but for the newest, which may be written to. Gives how many.

    `state`: (source, file name) → the last number in the lake, as committed.
    """
    removed = 0
    for path in files.inbox_files(root)[:-1]:
        with contextlib.suppress(sqlite3.Error):
            with closing(_open(path)) as connection:
                query = "SELECT source, max(seq) FROM requests GROUP BY source"
                ends = connection.execute(query).fetchall() if _is_begun(connection) else []
            if all(state.get((source, path.name), 0) >= end for source, end in ends):
                files.remove(path)
                removed += 1
    return removed


def latest(root: Path, limit: int) -> list[tuple[str, Row]]:
    """The newest requests of all sources, newest first, as (source, row)."""
    found: list[tuple[str, Row]] = []
    for path in reversed(files.inbox_files(root)):
        with contextlib.suppress(sqlite3.Error), closing(_open(path)) as connection:
            if not _is_begun(connection):
                continue
            query = "SELECT source, seq, received_at, envelope, body FROM requests ORDER BY seq DESC LIMIT ?"
            found += [(row[0], Row(*row[1:])) for row in connection.execute(query, (limit - len(found),))]
        if len(found) >= limit:
            break
    return found


def _is_begun(connection: sqlite3.Connection) -> bool:
    """A writer that ended before its first commit leaves a file with nothing in it."""
    return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'requests'").fetchall())


def _sources(connection: sqlite3.Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT DISTINCT source FROM requests")]


def _open(path: Path) -> sqlite3.Connection:
    """Reading needs the right to write: what a killed writer left in the journal is recovered by the first reader."""
    return sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=10)
