"""A small server that behaves like a service, with faults at one's command.

class Shop(StandIn):
    def handle(self, request):
        for row in request.json():
            self.commit(row["id"], row)
        return Reply(200, {"ok": True})

with Shop() as shop:
    shop.faults.append(Fault("reset_after"))     # takes the rows of the next call, and hangs up without an answer
    ...
    assert shop.state == {...} and set(shop.effects.values()) == {1}
"""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import parse_qs, urlsplit

Kind = Literal[
    "status", "reset", "reset_after", "half", "slow", "loris", "redirect", "endless", "garbage",
    "middle", "before_end", "silent",
]  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """What happens to one call.

    `status` answers so and takes nothing; `reset` hangs up first; `reset_after` takes the rows and hangs up; `half`
    takes them and sends half of the answer; `slow` waits `seconds`, then answers; `loris` sends its answer byte by
    byte, `seconds` apart; `redirect` points to `headers["Location"]`; `endless` never stops sending; `garbage` takes
    the rows and answers with what is no JSON. `path` limits it to calls whose path starts so. `middle`, `before_end`
    and `silent` are of transactions: see `cdp_core.testing.proxy`.
    """

    kind: Kind
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 1.0
    path: str = ""


@dataclass(frozen=True)
class Request:
    """A call as it came; header names are lower-case, `query` holds the last value of each name."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """`body`: bytes as they are, None for none, all else as JSON."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def bytes(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return b"" if self.body is None else json.dumps(self.body).encode()


class StandIn:
    """Subclass it and write `handle`. `state` is what is there now (key → row), `effects` how often each key was
    written, `calls` every call in order, `faults` what happens to the next ones. `url` is its address.
    """

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self.effects: Counter[str] = Counter()
        self.calls: list[Request] = []
        self.faults: deque[Fault] = deque()
        self.lock = threading.RLock()
        self._server: ThreadingHTTPServer | None = None

    def handle(self, request: Request) -> Reply:
        raise NotImplementedError

    def commit(self, key: str, row: Any) -> None:
        """Write a row, counted as an effect when it changes anything."""
        with self.lock:
            if self.state.get(key) != row:
                self.effects[key] += 1
            self.state[key] = row

    def drop(self, key: str) -> bool:
        with self.lock:
            return self.state.pop(key, None) is not None

    @property
    def url(self) -> str:
        assert self._server is not None, "used outside of its with block"
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        service: StandIn = self

        class Handler(_Handler):
            standin = service

        self._server = _Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def next_fault(self, path: str) -> Fault | None:
        with self.lock:
            if self.faults and path.startswith(self.faults[0].path):
                return self.faults.popleft()
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    standin: StandIn
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: rows would stand in it."""

    def _answer(self) -> None:
        request = self._request()
        with self.standin.lock:
            self.standin.calls.append(request)
        fault = self.standin.next_fault(request.path)
        if fault is None:
            self._write(self.standin.handle(request))
        else:
            getattr(self, f"_{fault.kind}")(fault, request)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815  (the names that http.server calls)

    def _request(self) -> Request:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self._body(headers)
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        return Request(self.command, parts.path, query, headers, body)

    def _body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(headers.get("content-length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _write(self, reply: Reply, cut: int | None = None) -> None:
        """An answer to HEAD has the length that its headers say, and no body."""
        body = reply.bytes
        self.send_response(reply.status)
        if not any(name.lower() == "content-type" for name in reply.headers):
            self.send_header("Content-Type", "application/json")
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if self.command != "HEAD" or "Content-Length" not in reply.headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if cut is None else body[:cut])

    def _hang_up(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _status(self, fault: Fault, request: Request) -> None:
        self._write(Reply(fault.status, {"error": "as ordered"}, fault.headers))

    def _reset(self, fault: Fault, request: Request) -> None:
        self._hang_up()

    def _reset_after(self, fault: Fault, request: Request) -> None:
        self.standin.handle(request)
        self._hang_up()

    def _half(self, fault: Fault, request: Request) -> None:
        reply = self.standin.handle(request)
        self._write(reply, cut=len(reply.bytes) // 2)
        self._hang_up()

    def _slow(self, fault: Fault, request: Request) -> None:
        time.sleep(fault.seconds)
        self._write(self.standin.handle(request))

    def _loris(self, fault: Fault, request: Request) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        for _ in range(1000):
            self.wfile.write(b" ")
            time.sleep(fault.seconds)

    def _redirect(self, fault: Fault, request: Request) -> None:
        self._write(Reply(307, None, fault.headers))

    def _endless(self, fault: Fault, request: Request) -> None:
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        while True:
            self.wfile.write(b" " * 65536)

    def _garbage(self, fault: Fault, request: Request) -> None:
        self.standin.handle(request)
        self._write(Reply(200, b"<html>an error page</html>"))

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, ValueError, TimeoutError):
            return
