"""Segment on this machine: calls that are answered with 200 whatever becomes of them, and regulations."""

from __future__ import annotations

import base64
import json
from typing import Any

from cdp_core.testing.services.base import Reply, Request, StandIn

WRITE_KEY = "write-key"
PUBLIC_API = "public-api-token"
MOST_EVENTS = 2_500
MOST_BYTES = 500_000
MOST_EVENT_BYTES = 32_000


class Segment(StandIn):
    """`state` maps user ids to traits (without those that are null), `events` are the calls that were taken, each
    message id once. What breaks a limit is dropped and answered with 200, as are batches of more than 2,500.
    `regulations` are the requests to erase.
    """

    def __init__(self) -> None:
        super().__init__()
        self.events: list[dict[str, Any]] = []
        self.regulations: list[dict[str, Any]] = []
        self.dropped = 0
        self._seen: set[str] = set()

    def handle(self, request: Request) -> Reply:
        with self.lock:
            if request.path == "/regulations":
                return self._regulated(request)
            key = base64.b64decode(request.headers.get("authorization", "").removeprefix("Basic ")).decode()
            if request.path != "/v1/batch" or len(request.body) > MOST_BYTES:
                return Reply(400, {"success": False, "message": "too large or no such path"})
            try:
                batch = request.json()["batch"]
            except (ValueError, KeyError):
                return Reply(400, {"success": False, "message": "malformed JSON"})
            if len(batch) > MOST_EVENTS or key != f"{WRITE_KEY}:":
                self.dropped += len(batch)
                return Reply(200, {"success": True})
            for event in batch:
                self._taken(event)
            return Reply(200, {"success": True})

    def _taken(self, event: dict[str, Any]) -> None:
        large = len(json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()) > MOST_EVENT_BYTES
        who = event.get("userId") or event.get("anonymousId")
        if large or not who or len(event.get("messageId", "")) > 100:
            self.dropped += 1
            return
        if event.get("messageId") in self._seen:
            return
        self._seen.add(event["messageId"])
        self.events.append(event)
        if event["type"] == "identify":
            traits = {**self.state.get(who, {}), **event.get("traits", {})}
            left = {name: value for name, value in traits.items() if value is not None}
            self.commit(who, left)
            if not left:
                self.drop(who)

    def _regulated(self, request: Request) -> Reply:
        if request.headers.get("authorization") != f"Bearer {PUBLIC_API}":
            return Reply(401, {"errors": [{"type": "unauthorized"}]})
        asked = request.json()
        if len(asked["subjectIds"]) > 5_000 or asked["subjectType"] != "USER_ID":
            return Reply(422, {"errors": [{"type": "validation"}]})
        self.regulations.append(asked)
        for one in asked["subjectIds"]:
            self.drop(one)
        return Reply(200, {"data": {"regulateId": f"reg{len(self.regulations)}"}})
