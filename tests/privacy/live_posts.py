"""Requests to a collector's own receiver and inbox, without a socket."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cdp_core as cdp
from cdp_core.collector.access import Access
from cdp_core.collector.metrics import Metrics
from cdp_core.collector.receive import Receiver, settle_in
from cdp_core.config import load_config
from cdp_core.inbox.writer import InboxWriter


def post(root: Path, source: str, bodies: Sequence[bytes], *, said: list[bytes] | None = None) -> list[int]:
    """Send bodies of the batch call one after the other; what each was answered."""
    with cdp.open(root) as ws:
        key = ws.live.create_key(source)["write_key"]
    header = (b"authorization", b"Basic " + base64.b64encode(f"{key}:".encode()))

    async def all_of_them() -> list[int]:
        writer = InboxWriter(root, settle_in(asyncio.get_running_loop()))
        receiver = Receiver(Access(root, load_config(root)), writer, Metrics())
        answers = []
        for body in bodies:

            async def receive(body: bytes = body) -> dict[str, Any]:
                return {"type": "http.request", "body": body}

            scope = {"headers": [header], "query_string": b""}
            answer = await receiver.take(scope, receive, kind=None, server_only=False)
            answers.append(answer.status)
            if said is not None:
                said.append(answer.body)
        writer.close()
        return answers

    return asyncio.run(all_of_them())
