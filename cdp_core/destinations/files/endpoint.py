"""Which machine a bucket may be on: an endpoint that somebody names is judged as every other address is.

Before anything is opened every address of every endpoint is looked at, whatever package speaks to it. The one for S3
lets itself be asked at each connection, so a name that resolves to something else a moment later gains nothing there.
Rule: OWASP Server-Side Request Forgery Prevention; ASVS 5.0, 1.3.6.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from cdp_core.destinations.base import Unavailable
from cdp_core.errors import DestinationError
from cdp_core.network import public, resolve

_ADDRESS = re.compile(r"https?://[^\s;,\"']+", re.IGNORECASE)
_HOST_KEYS = ("account_host", "host", "hostname")
_OF_S3 = ("s3", "s3a")


def guarded(url: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options for fsspec, which connect to public addresses only.

    Raises DestinationError when an endpoint is on a private network, Unavailable when its name is unknown.
    """
    named = list(_endpoints(url, options))
    for host, port in named:
        try:
            addresses = resolve(host, port)
        except (OSError, UnicodeError):
            raise Unavailable("the host's name is unknown", where=url, hint="look at the endpoint") from None
        if not all(map(public, addresses)):
            raise _refused(url)
    if not named or urlsplit(url).scheme not in _OF_S3:
        return dict(options)
    config = dict(options.get("config_kwargs") or {})
    config["connector_args"] = {**(config.get("connector_args") or {}), "socket_factory": public_socket}
    return {**options, "config_kwargs": config}


def public_socket(address: Any) -> socket.socket:
    """A socket to an address that was looked up just now, as `socket.getaddrinfo` tells it; of private ones none."""
    family, kind, protocol, _, place = address
    if not public(str(place[0])):
        raise _refused("the bucket")
    return socket.socket(family, kind, protocol)


def refusal_in(error: BaseException | None) -> DestinationError | None:
    """The refusal that a client has wrapped into an error of its own, or what was raised here to begin with."""
    while error is not None and not isinstance(error, DestinationError):
        error = error.__cause__ or error.__context__
    return error


def _refused(where: str) -> DestinationError:
    what = "the endpoint is on a private network or this machine"
    return DestinationError(what, where=where, hint="set private_network: true if that is meant")


def _endpoints(url: str, options: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Host and port of every address of HTTP that the destination's own or its options name."""
    for key, text in [("url", url), *_texts(options)]:
        for found in _ADDRESS.findall(text):
            yield _host(found)
        if key in _HOST_KEYS and "://" not in text:
            yield _host(f"https://{text}")


def _host(address: str) -> tuple[str, int]:
    try:
        parts = urlsplit(address)
        return parts.hostname or "", parts.port or (80 if parts.scheme.lower() == "http" else 443)
    except ValueError:
        raise DestinationError("the endpoint is no address", where="storage_options") from None


def _texts(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in options.items():
        if isinstance(value, Mapping):
            yield from _texts(value)
        elif isinstance(value, str):
            yield str(key), value
