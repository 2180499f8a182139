"""A line to a real server that is cut at one's command, at a chosen moment of a transaction.

with Proxy(server.port) as line:
    line.faults.append(Fault("reset_after"))      # the next transaction is committed, and its answer is lost
    connect(port=line.port)
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from collections import deque
from types import TracebackType
from typing import Self

from cdp_core.testing.services.base import Fault

_BEGIN, _WRITES, _END = b"BEGIN", (b"INSERT INTO", b"DELETE FROM"), b"COMMIT"
_CHUNK = 65_536


class Proxy:
    """Understands no protocol: it looks for BEGIN, INSERT INTO, DELETE FROM and COMMIT in what the client sends, so the
    line must not be encrypted. Each BEGIN is a call (`calls` says when, in seconds of the monotonic clock) and meets
    the next fault.

    `reset` cuts the line at BEGIN, `middle` at the first row that is written, `before_end` at COMMIT, which the server
    never sees. `reset_after` cuts it when the server has answered COMMIT, `half` behind half of that answer, and
    `silent` keeps the answer to itself. A new connection asks for a fault of the path "connect", and is hung up on.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.faults: deque[Fault] = deque()
        self.lock = threading.RLock()
        self.calls: list[float] = []
        self._server = (host, port)
        self._listening = socket.socket()
        self._lines: list[socket.socket] = []

    @property
    def port(self) -> int:
        return int(self._listening.getsockname()[1])

    def __enter__(self) -> Self:
        self._listening.bind(("127.0.0.1", 0))
        self._listening.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        for line in (self._listening, *self._lines):
            line.close()

    def next_fault(self, path: str) -> Fault | None:
        with self.lock:
            if self.faults and path == (self.faults[0].path or "BEGIN"):
                return self.faults.popleft()
        return None

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            if self.next_fault("connect") is not None:
                _hang_up(client)
                client.close()
                continue
            try:
                server = socket.create_connection(self._server)
            except OSError:
                client.close()
                continue
            self._lines += [client, server]
            threading.Thread(target=self._carry, args=(client, server), daemon=True).start()

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        """Until one side hangs up or a fault cuts the line."""
        fault, ending = None, False
        with contextlib.suppress(OSError), contextlib.closing(server), contextlib.closing(client):
            while True:
                for end in select.select([client, server], [], [])[0]:
                    data = end.recv(_CHUNK)
                    if not data:
                        return
                    if end is client:
                        if _BEGIN in data:
                            fault, ending = self._called(), False
                        if fault is not None and _strikes(fault, data):
                            _hang_up(client)
                            return
                        ending = ending or _END in data
                        server.sendall(data)
                    elif fault is None or not ending:
                        client.sendall(data)
                    elif fault.kind == "half":
                        client.sendall(data[: len(data) // 2])
                        _hang_up(client)
                        return
                    elif fault.kind == "reset_after":
                        _hang_up(client)
                        return

    def _called(self) -> Fault | None:
        with self.lock:
            self.calls.append(time.monotonic())
        return self.next_fault("BEGIN")


def _strikes(fault: Fault, data: bytes) -> bool:
    """Whether the line is cut before these bytes reach the server."""
    at = {"reset": (_BEGIN,), "middle": _WRITES, "before_end": (_END,)}.get(fault.kind, ())
    return any(word in data for word in at)


def _hang_up(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
