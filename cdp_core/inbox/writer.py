"""Writing received requests so that an acknowledged one survives: commit first, answer afterwards.

One thread writes. Everything that has arrived while it was committing goes into the next commit (group commit), so that
a disk that needs milliseconds to sync still takes thousands of requests a second.
"""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdp_core.errors import CDPError, Retryable
from cdp_core.inbox import files

ROTATE_BYTES = 256 << 20
ROTATE_SECONDS = 3600.0
QUEUE_BYTES = 64 << 20
RESERVE_BYTES = 64 << 20
STATEMENT_ROWS = 200
LINGER_SECONDS = 0.002
"""While many send at once, a commit waits this long for more: it costs the same for one request as for a hundred."""
_INSERT = "INSERT INTO requests (source, received_at, envelope, events, size, body) VALUES "
_ROW = "(?, ?, ?, ?, ?, ?)"
Settle = Callable[[Sequence[Any], Exception | None], None]


@dataclass(frozen=True, slots=True)
class Received:
    """One request: `received_at` in microseconds since 1970 (UTC), `envelope` a JSON object of what holds for all its
    events, `size` the bytes of the events as they came, `body` the events as `packed.pack` gives them.
    """

    source: str
    received_at: int
    envelope: bytes
    events: int
    size: int
    body: bytes


class InboxFull(CDPError, Retryable):
    """No room for more just now."""


class InboxWriter:
    """The one writer of a workspace's inbox. `put` never blocks. `settle` is called from the writing thread after every
    commit, with what stood beside its requests in `put`, and the error when they are not on disk.

    `backlog` is how many bytes may wait for the lake before requests are refused. `committed` is called after each
    commit with the number of requests in it and its seconds.
    """

    def __init__(
        self,
        root: Path,
        settle: Settle,
        *,
        backlog: int = 4 << 30,
        committed: Callable[[int, float], None] = lambda n, s: None,
    ) -> None:
        self.root = root
        self._settle = settle
        self.backlog = backlog
        self._committed = committed
        self._waiting: list[tuple[Received, Any]] = []
        self._bytes = 0
        self._wake = threading.Condition()
        self._ending = False
        self._path: Path | None = None
        self._connection: sqlite3.Connection | None = None
        self._closing: list[threading.Thread] = []
        self._since = 0.0
        self._checked = 0.0
        self._room = True
        self._thread = threading.Thread(target=self._work, name="inbox", daemon=True)
        self._thread.start()

    def put(self, request: Received, waiter: Any) -> None:
        """Raises InboxFull when too much is waiting, or the disk or the backlog is full."""
        size = len(request.body) + len(request.envelope)
        with self._wake:
            if self._ending or self._bytes + size > QUEUE_BYTES or not self.has_room():
                raise InboxFull("no room for more just now")
            self._waiting.append((request, waiter))
            self._bytes += size
            self._wake.notify()

    def pending_bytes(self) -> int:
        """Bytes of files that are not all in the lake yet."""
        total = 0
        for path in files.inbox_files(self.root):
            for name in (path, Path(f"{path}-wal")):
                total += name.stat().st_size if name.exists() else 0
        return total

    def close(self) -> None:
        """Write what is waiting and end."""
        with self._wake:
            self._ending = True
            self._wake.notify()
        self._thread.join()
        self._leave()
        for thread in self._closing:
            thread.join()

    def has_room(self) -> bool:
        """Looked at once a second: it takes a few system calls."""
        now = time.monotonic()
        if now - self._checked > 1:
            self._checked = now
            try:
                free = shutil.disk_usage(self.root).free
                self._room = free > RESERVE_BYTES and self.pending_bytes() < self.backlog
            except OSError:
                self._room = False
        return self._room

    def _work(self) -> None:
        taken: list[tuple[Received, Any]] = []
        while True:
            if len(taken) > 1:
                time.sleep(LINGER_SECONDS)
            with self._wake:
                while not self._waiting and not self._ending:
                    self._wake.wait()
                taken, self._waiting, self._bytes = self._waiting, [], 0
            if not taken:
                return
            started = time.perf_counter()
            error: Exception | None = None
            try:
                self._write([request for request, _ in taken])
            except Exception as caught:  # noqa: BLE001 - whatever it is, the senders must hear of it
                error = caught
                self._leave()
            self._settle([waiter for _, waiter in taken], error)
            if error is None:
                self._committed(len(taken), time.perf_counter() - started)

    def _write(self, requests: Sequence[Received]) -> None:
        """One statement, which is one transaction: after every call into SQLite this thread has to wait until the one
        that serves lets it go on.
        """
        connection = self._open()
        if len(requests) <= STATEMENT_ROWS:
            _insert(connection, requests)
            return
        connection.execute("BEGIN")
        for start in range(0, len(requests), STATEMENT_ROWS):
            _insert(connection, requests[start : start + STATEMENT_ROWS])
        connection.execute("COMMIT")

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._is_worn():
            self._leave()
        if self._connection is None:
            self._path, self._connection = files.create(self.root)
            self._since = time.monotonic()
        return self._connection

    def _is_worn(self) -> bool:
        assert self._path is not None
        if not self._path.exists():
            return True
        log = Path(f"{self._path}-wal")
        size = self._path.stat().st_size + (log.stat().st_size if log.exists() else 0)
        return time.monotonic() - self._since > ROTATE_SECONDS or size > ROTATE_BYTES

    def _leave(self) -> None:
        """Never write to this file again. After a failed sync the system may take pages for clean that never reached
        the disk, and what is appended behind them would be lost with them. Closing copies the journal into the file,
        which takes its time and holds nobody up.
        """
        if self._connection is not None:
            closing = threading.Thread(target=files.close, args=(self._connection,), name="inbox-close")
            closing.start()
            self._closing = [*(thread for thread in self._closing if thread.is_alive()), closing]
        self._connection = None


def _insert(connection: sqlite3.Connection, requests: Sequence[Received]) -> None:
    values = [v for r in requests for v in (r.source, r.received_at, r.envelope, r.events, r.size, r.body)]
    connection.execute(_INSERT + ", ".join([_ROW] * len(requests)), values)
