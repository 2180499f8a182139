"""Connections that go where they may and end when they must.

Two things that a client over HTTP cannot see to from above: a name is looked up once and only the address that was
judged is connected to (a name that resolves to something else a moment later gains nothing, which is DNS rebinding),
and one call has one deadline, however many small pieces its answer comes in (a slow loris gains nothing either).
Rule: OWASP Server-Side Request Forgery Prevention; ASVS 5.0, 13.2.
"""

from __future__ import annotations

import contextvars
import functools
import ipaddress
import logging
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

from cdp_core.redaction import redacting

_DEADLINE: contextvars.ContextVar[float | None] = contextvars.ContextVar("deadline", default=None)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")
# httpx logs the address of every call at INFO, and an address may be a secret: whoever has Slack's can post.
logging.getLogger("httpx").addFilter(redacting)
PRIVATE = "a private address"
POOL = httpx.Limits(max_connections=64, max_keepalive_connections=16)


def public(address: str) -> bool:
    """Whether an IP address is one of the open Internet, in whatever way it is written.

    >>> public("93.184.216.34"), public("169.254.169.254"), public("::ffff:10.0.0.1"), public("64:ff9b::a00:1")
    (True, False, False, False)
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if found in _NAT64 or found in _COMPATIBLE:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return public(str(inner))
    return found.is_global and not found.is_multicast


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Whatever is read or written inside ends after so many seconds, with a timeout."""
    token = _DEADLINE.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _DEADLINE.reset(token)


def _left(timeout: float | None) -> float | None:
    end = _DEADLINE.get()
    if end is None:
        return timeout
    left = end - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the deadline of the call has passed")
    return left if timeout is None else min(timeout, left)


class _Stream(httpcore.NetworkStream):
    """A connection under the deadline of the call that uses it."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


Resolve = Callable[[str, int], Iterable[str]]


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, in the system's order. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class _Backend(httpcore.SyncBackend):
    def __init__(self, private: bool, look_up: Resolve) -> None:
        self._private, self._look_up = private, look_up

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        try:
            addresses = list(self._look_up(host, port))
        except OSError:
            raise httpcore.ConnectError("the name is unknown") from None
        if not self._private and not all(map(public, addresses)):
            raise httpcore.ConnectError(PRIVATE)
        for place, address in enumerate(addresses, 1):
            try:
                return _Stream(super().connect_tcp(address, port, _left(timeout), local_address, socket_options))
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if place == len(addresses):
                    raise
        raise httpcore.ConnectError("the name has no address")


@functools.cache
def trusted() -> ssl.SSLContext:
    """Whose certificates are believed. Reading them takes as long as a call, so it is done once for a process."""
    return httpx.create_ssl_context(trust_env=False)


class Transport(httpx.HTTPTransport):
    """httpx's own transport over such connections. `private` lets it reach private networks and this machine."""

    def __init__(self, *, private: bool = False, look_up: Resolve = resolve) -> None:
        super().__init__(verify=trusted(), trust_env=False, limits=POOL)
        self._pool.close()
        self._pool = httpcore.ConnectionPool(
            ssl_context=trusted(),
            max_connections=POOL.max_connections,
            max_keepalive_connections=POOL.max_keepalive_connections,
            keepalive_expiry=POOL.keepalive_expiry,
            http1=True,
            network_backend=_Backend(private, look_up),
        )
