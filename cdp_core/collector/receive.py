"""One request after the other: read, judged, made durable, answered."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import msgspec

from cdp_core.collector import body as bodies
from cdp_core.collector import door
from cdp_core.collector.access import Access, key_of
from cdp_core.collector.metrics import Metrics
from cdp_core.inbox.limits import MAX_BODY_BYTES
from cdp_core.inbox.packed import pack
from cdp_core.inbox.writer import InboxFull, InboxWriter, Received, Settle

if TYPE_CHECKING:
    from cdp_core.inbox.keys import WriteKey

BODY_SECONDS = 15.0
SHOWN = 20
RETRY_SECONDS = 5
_encode = msgspec.json.encode


@dataclass(frozen=True)
class Answer:
    """Status, JSON body and more headers."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


class _Refused(Exception):
    """A request that is not taken, with its answer."""

    def __init__(self, status: int, what: str, hint: str, *, retry: float | None = None, **more: Any) -> None:
        super().__init__(what)
        error = {"what": what, "hint": hint, **more}
        wait = () if retry is None else (str(max(1, math.ceil(retry))).encode(),)
        headers = tuple(pair for w in wait for pair in ((b"retry-after", w), (b"x-ratelimit-reset", w)))
        self.answer = Answer(status, _encode({"success": False, "error": error}), headers)


class Receiver:
    """Takes bodies in and answers when they are on disk."""

    def __init__(self, access: Access, writer: InboxWriter, metrics: Metrics) -> None:
        self.access = access
        self.writer = writer
        self.metrics = metrics
        self.recent = door.Recent()

    async def take(self, scope: Mapping[str, Any], receive: Any, *, kind: str | None, server_only: bool) -> Answer:
        """`kind` is the type that the address tells; None for bodies with a batch. With `server_only` a browser's key
        is not enough.
        """
        headers = dict(scope["headers"])
        try:
            data = await _read(headers, receive)
            query = scope["query_string"]
            given = parse_qs(query.decode(errors="replace")).get("writeKey", [None])[0] if query else None
            answer = await self.take_data(data, headers, given, kind=kind, server_only=server_only)
        except _Refused as refused:
            answer = refused.answer
        self.metrics.requests.labels(str(answer.status)).inc()
        return answer

    async def take_data(
        self, data: bytes, headers: Mapping[bytes, bytes], query: str | None, *, kind: str | None, server_only: bool
    ) -> Answer:
        """Raises _Refused for what is not taken."""
        received_at = time.time_ns() // 1000
        clear, plain = key_of(dict(headers), query), data
        try:
            plain = bodies.inflated(data, headers.get(b"content-encoding", b"").decode(errors="replace").lower())
            if len(plain) > MAX_BODY_BYTES:
                raise bodies.TooLarge(f"more than {MAX_BODY_BYTES:,} bytes")
            body = bodies.batch(plain) if kind is None else bodies.single(plain)
        except bodies.TooLarge as error:
            raise _Refused(400, f"the body is too large: {error.what}", "send it in smaller batches") from None
        except bodies.Broken as error:
            key = self._within_limits(self._admitted(clear, headers, server_only), 1, len(data))
            kept = self.access.guards[key.source].covered(_without([plain], clear, plain))
            return await self._kept_whole(kept, key, received_at, error.what)
        clear = clear or body.key
        key = self._within_limits(self._admitted(clear, headers, server_only), len(body.events), len(data))
        body.events = _without(body.events, clear, plain)
        return await self._stored(body, key, kind, received_at)

    async def _stored(self, body: bodies.Body, key: WriteKey, kind: str | None, received_at: int) -> Answer:
        source, browser = key.source, key.kind == "browser"
        guard = self.access.guards[source]
        suppressed = guard.clean(body)
        verdict = door.look(body.events, kind, browser=browser, unsound="problem" in body.outer)
        if (plan := self.access.plans.get(source)) is not None:
            plan.look(body.events, kind, verdict)
        for index, rule in verdict.wrong.items():
            if rule.startswith("parse."):
                body.events[index : index + 1] = guard.covered(body.events[index : index + 1])
        repeated = self.recent.repeated(source, verdict.ids)
        envelope = _envelope(body, kind, browser)
        if body.events or not suppressed:
            await self._durable(
                Received(source, received_at, envelope, len(body.events), sum(map(len, body.events)), pack(body.events))
            )
        self.recent.add(source, verdict.ids)
        held = len(verdict.wrong)
        accepted = len(body.events) - held - repeated
        counts = {"accepted": accepted, "quarantined": held, "duplicates": repeated}
        for outcome, number in counts.items():
            if number:
                self.metrics.events.labels(source, outcome).inc(number)
        if suppressed:
            # Whoever holds a key that stands in every page must not be able to ask who is suppressed.
            self.metrics.events.labels(source, "suppressed").inc(suppressed)
            counts["accepted"] += suppressed
        said: dict[str, Any] = {"success": True, **counts}
        if held:
            rows = list(verdict.wrong.items())[:SHOWN]
            words = {i: verdict.words.get(i) or door.SAID[rule] for i, rule in rows}
            said["rejected"] = [{"index": i, "rule": rule, "description": words[i]} for i, rule in rows]
        return Answer(200, _encode(said))

    async def _kept_whole(self, kept: list[bytes], key: WriteKey, received_at: int, what: str) -> Answer:
        """A body that is no JSON is answered 400, and kept as it came."""
        await self._durable(Received(key.source, received_at, b"{}", 1, len(kept[0]), pack(kept)))
        self.metrics.events.labels(key.source, "quarantined").inc()
        raise _Refused(400, f"the body cannot be read: {what}", "send JSON; the body is kept in quarantine")

    def _admitted(self, clear: str | None, headers: Mapping[bytes, bytes], server_only: bool) -> WriteKey:
        if clear is None:
            raise _Refused(401, "a write key is missing", "send it as user name (Basic), X-Write-Key or writeKey")
        key = self.access.find(clear)
        if key is None:
            raise _Refused(401, "the write key is unknown or revoked", "'cdp source key NAME' creates one")
        if server_only and key.kind == "browser":
            raise _Refused(403, "a browser key may not do this", "use a server key: 'cdp source key NAME'")
        origin = headers.get(b"origin")
        if not self.access.allows(key, origin.decode(errors="replace") if origin else None):
            raise _Refused(403, "pages of this origin may not send", "add it to the source's origins in cdp.yaml")
        return key

    def _within_limits(self, key: WriteKey, events: int, size: int) -> WriteKey:
        if wait := self.access.wait(key, events, size):
            raise _Refused(429, "this write key sends more than its limit", "wait and send again", retry=wait)
        self.metrics.bytes.inc(size)
        return key

    async def _durable(self, request: Received) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            self.writer.put(request, waiter)
            await waiter
        except InboxFull:
            hint = "the disk or the queue is full; what was acknowledged is safe"
            raise _Refused(503, "no room for more just now", hint, retry=RETRY_SECONDS) from None
        except Exception as error:  # noqa: BLE001 - whatever kept it from the disk, it is not acknowledged
            what = f"the request could not be stored ({type(error).__name__})"
            raise _Refused(503, what, "send it again", retry=RETRY_SECONDS) from None


def settle_in(loop: asyncio.AbstractEventLoop) -> Settle:
    """For the inbox's writer: one wake-up of the loop for all requests of a commit."""

    def settled(waiters: Sequence[asyncio.Future[None]], error: Exception | None) -> None:
        for waiter in waiters:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)

    def settle(waiters: Sequence[Any], error: Exception | None) -> None:
        loop.call_soon_threadsafe(settled, waiters, error)

    return settle


async def _read(headers: Mapping[bytes, bytes], receive: Any) -> bytes:
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length[:12]) > MAX_BODY_BYTES:
        raise _Refused(400, f"the body has more than {MAX_BODY_BYTES:,} bytes", "send it in smaller batches")
    message = await _next(receive, BODY_SECONDS)
    data = message.get("body", b"")
    if not message.get("more_body"):
        return bytes(data)
    parts, size, until = [data], len(data), time.monotonic() + BODY_SECONDS
    while message.get("more_body"):
        message = await _next(receive, until - time.monotonic())
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY_BYTES:
            raise _Refused(400, f"the body has more than {MAX_BODY_BYTES:,} bytes", "send it in smaller batches")
    return b"".join(parts)


async def _next(receive: Any, seconds: float) -> Any:
    try:
        async with asyncio.timeout(seconds):
            message = await receive()
    except TimeoutError:
        raise _Refused(408, f"the body did not come within {BODY_SECONDS:.0f} s", "send it again") from None
    if message["type"] == "http.disconnect":
        raise _Refused(400, "the client went away", "send it again")
    return message


def _without(events: list[bytes], key: str | None, data: bytes) -> list[bytes]:
    """Browser clients say the write key in every event; it is no part of what happened."""
    secret = (key or "").encode(errors="replace")
    if not secret or secret not in data:
        return events
    return [text.replace(secret, b"***") for text in events]


def _envelope(body: bodies.Body, kind: str | None, browser: bool) -> bytes:
    said = dict(body.outer)
    if kind is not None:
        said["type"] = _encode(kind)
    if browser:
        said["kind"] = b'"browser"'
    return b"{" + b",".join(_encode(k) + b":" + v for k, v in said.items()) + b"}"
