"""The catalog's file without what was in it: SQLite keeps the bytes of deleted rows until it is written anew, and
DuckLake the least and greatest value that a column has ever had.

Done by a process of its own: two copies of SQLite in one process that have the same file open take each other's locks.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from cdp_core.engine.bounds import renew_bounds
from cdp_core.errors import EngineError

WAIT = 30.0
"""Seconds for which readers of old content are waited for."""
_EMPTY = "PRAGMA wal_checkpoint(TRUNCATE)"


def vacuum(path: Path, *, where: str) -> None:
    """Write the file anew and empty its journal. Raises EngineError when others keep it busy."""
    command = [sys.executable, "-m", "cdp_core.engine.vacuum", str(path), str(WAIT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        what = "the catalog is being read, and still has old content"
        raise EngineError(what, where=where, hint="close other programs that use this workspace, and go on")


def vacuum_now(path: Path, wait: float) -> bool:
    """Whether it could be done within so many seconds."""
    deadline = time.monotonic() + wait
    while True:
        try:
            with closing(sqlite3.connect(path, isolation_level=None, timeout=5)) as connection:
                if _is_empty(connection):
                    connection.execute("BEGIN IMMEDIATE")
                    renew_bounds(connection)
                    connection.execute("COMMIT")
                    connection.execute("VACUUM")
                    if _is_empty(connection):
                        return True
        except sqlite3.OperationalError:
            pass
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)


def _is_empty(connection: sqlite3.Connection) -> bool:
    busy, _, _ = connection.execute(_EMPTY).fetchone()
    return not busy


if __name__ == "__main__":
    sys.exit(0 if vacuum_now(Path(sys.argv[1]), float(sys.argv[2])) else 1)
