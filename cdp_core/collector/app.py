"""The web application: addresses, CORS, and what is asked with GET."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from cdp_core.collector.metrics import CONTENT_TYPE
from cdp_core.collector.openapi import description
from cdp_core.collector.receive import Answer, Receiver
from cdp_core.collector.routes import (
    EVENT_PATHS,
    PIXEL_PATHS,
    RUDDER_CONFIG_PATHS,
    SERVER_PATHS,
    SETTINGS_PATHS,
)
from cdp_core.collector.settings import rudder_config, segment_settings
from cdp_core.tracking import TYPES

GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_JSON = (b"content-type", b"application/json")
_ALLOWED = b"authorization, content-type, content-encoding, x-write-key, x-retry-count, x-anonymousid, anonymousid"
Handler = Callable[[Request], Awaitable[Response]]


class Post:
    """One address for events, as ASGI: nothing stands between the server and the receiver."""

    def __init__(self, receiver: Receiver, kind: str | None, *, server_only: bool) -> None:
        self.receiver, self.kind, self.server_only = receiver, kind, server_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self.receiver.take(scope, receive, kind=self.kind, server_only=self.server_only)
        await respond(scope, send, answer)


async def respond(scope: Scope, send: Send, answer: Answer) -> None:
    headers = [_JSON, (b"content-length", str(len(answer.body)).encode()), *answer.headers, *cors(scope)]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def cors(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Any page may read the answer; whether it may send was decided by its key."""
    origin = next((v for k, v in scope["headers"] if k == b"origin"), None)
    if origin is None:
        return []
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-credentials", b"true"),
        (b"vary", b"origin"),
    ]


class Application:
    """Addresses around one receiver. `health` gives the body of /health: `status` is ok, or full."""

    def __init__(self, receiver: Receiver, version: str, health: Callable[[], dict[str, Any]]) -> None:
        self.receiver = receiver
        self.health = health
        self.description = description(version)

    def build(self) -> Starlette:
        posts = [
            Route(path, Preflight(self.receiver, Post(self.receiver, kind, server_only=path in SERVER_PATHS)))
            for path, kind in (EVENT_PATHS | SERVER_PATHS).items()
        ]
        gets: dict[str, Handler] = {
            **dict.fromkeys(PIXEL_PATHS, self._pixel),
            **dict.fromkeys(SETTINGS_PATHS, self._settings),
            **dict.fromkeys(RUDDER_CONFIG_PATHS, self._rudder_config),
            "/health": self._health,
            "/metrics": self._metrics,
            "/openapi.json": self._openapi,
        }
        return Starlette(
            routes=[*posts, *(Route(path, handler, methods=["GET"]) for path, handler in gets.items())],
            exception_handlers={404: _problem, 405: _problem},
        )

    async def _health(self, request: Request) -> Response:
        found = self.health()
        return JSONResponse(found, status_code=200 if found["status"] == "ok" else 503)

    async def _metrics(self, request: Request) -> Response:
        self.receiver.metrics.pending.set(self.receiver.writer.pending_bytes())
        return Response(self.receiver.metrics.text(), headers={"content-type": CONTENT_TYPE})

    async def _openapi(self, request: Request) -> Response:
        return JSONResponse(self.description)

    async def _settings(self, request: Request) -> Response:
        clear = request.path_params["key"]
        if self.receiver.access.find(clear) is None:
            return _said(request, 401, "the write key is unknown or revoked", "'cdp source key NAME' creates one")
        found = segment_settings(clear, request.url.netloc, request.url.scheme)
        return JSONResponse(found, headers=_texts(cors(request.scope)))

    async def _rudder_config(self, request: Request) -> Response:
        clear = request.query_params.get("writeKey") or request.headers.get("authorization", "")
        if clear.lower().startswith("basic "):
            clear = _decoded(clear[6:]).partition(":")[0]
        key = self.receiver.access.find(clear)
        if key is None:
            return _said(request, 401, "the write key is unknown or revoked", "'cdp source key NAME' creates one")
        return JSONResponse(rudder_config(clear, key.source), headers=_texts(cors(request.scope)))

    async def _pixel(self, request: Request) -> Response:
        kind = request.path_params["kind"]
        if kind not in TYPES:
            return _said(request, 404, "there is nothing at this address", f"one of {', '.join(TYPES)} is expected")
        data = _decoded(request.query_params.get("data", "")).encode(errors="surrogatepass")
        answer = await self.receiver.take(request.scope, _body(data), kind=kind, server_only=False)
        if answer.status != 200:
            return Response(answer.body, answer.status, _texts([*answer.headers, _JSON]))
        return Response(GIF, headers={"content-type": "image/gif", "cache-control": "no-store"})


class Preflight:
    """Answers a browser's question whether a page may send, and nothing but POST otherwise."""

    def __init__(self, receiver: Receiver, post: Post) -> None:
        self.receiver, self.post = receiver, post

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        if method == "POST":
            await self.post(scope, receive, send)
        elif method == "OPTIONS":
            await send({"type": "http.response.start", "status": 204, "headers": self._allowed(scope)})
            await send({"type": "http.response.body", "body": b""})
        else:
            await _problem(Request(scope), None)(scope, receive, send)

    def _allowed(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        given = dict(scope["headers"])
        origin = given.get(b"origin")
        if origin is None or not self.receiver.access.any_allows(origin.decode(errors="replace")):
            return [(b"allow", b"POST, OPTIONS")]
        asked = given.get(b"access-control-request-headers", _ALLOWED)
        return [
            *cors(scope),
            (b"access-control-allow-methods", b"POST, OPTIONS"),
            (b"access-control-allow-headers", asked),
            (b"access-control-max-age", b"86400"),
        ]


def _body(data: bytes) -> Receive:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": data, "more_body": False}

    return receive


def _decoded(text: str) -> str:
    try:
        padded = text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)
        return base64.b64decode(padded).decode(errors="replace")
    except (binascii.Error, ValueError):
        return ""


def _problem(request: Request, error: Any) -> Response:
    status = getattr(error, "status_code", 405)
    if status == 404:
        return _said(request, 404, "there is nothing at this address", "see /openapi.json")
    allowed = "POST, OPTIONS" if error is None else "GET"
    return _said(request, 405, "the address wants another method", "see /openapi.json", allow=allowed)


def _said(request: Request, status: int, what: str, hint: str, **more: str) -> Response:
    body = {"success": False, "error": {"what": what, "hint": hint}}
    return JSONResponse(body, status_code=status, headers={**_texts(cors(request.scope)), **more})


def _texts(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode(): value.decode("latin-1") for name, value in headers}
