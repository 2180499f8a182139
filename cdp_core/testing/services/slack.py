"""Slack on this machine: one webhook, and a Web API that answers 200 whatever went wrong."""

from __future__ import annotations

from typing import Any

from cdp_core.testing.services.base import Reply, Request, StandIn

WEBHOOK = "/services/T000/B000/XXXX"
BOT = "xoxb-1"
MOST_BLOCKS = 50
LONGEST_SECTION = 3_000
LONGEST_HEADER = 150


class Slack(StandIn):
    """`messages` are what stands in the channels, in order; `state` counts them by number. `channels` are those that
    the bot is in; `archived` turns the webhook's channel off; `scopes` are the bot's.
    """

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[dict[str, Any]] = []
        self.channels = {"C1", "#growth"}
        self.scopes = "chat:write,channels:read"
        self.archived = False

    def handle(self, request: Request) -> Reply:
        with self.lock:
            if request.path.startswith("/services/"):
                return self._hooked(request)
            if request.headers.get("authorization") != f"Bearer {BOT}":
                return Reply(200, {"ok": False, "error": "invalid_auth"})
            scopes = {"X-OAuth-Scopes": self.scopes}
            if request.path == "/api/auth.test":
                return Reply(200, {"ok": True, "team": "Kittens", "bot_id": "B1"}, scopes)
            if request.path == "/api/chat.postMessage":
                error = self._wrong(request.json())
                return Reply(200, {"ok": False, "error": error} if error else self._posted(request.json()), scopes)
            return Reply(200, {"ok": False, "error": "unknown_method"})

    def _hooked(self, request: Request) -> Reply:
        if request.path != WEBHOOK:
            return Reply(404, b"no_service")
        if self.archived:
            return Reply(410, b"channel_is_archived")
        said = request.json()
        if not said.get("text") and not said.get("blocks"):
            return Reply(400, b"no_text")
        if _misshapen(said):
            return Reply(400, b"invalid_blocks")
        self._posted({"channel": "#hook", **said})
        return Reply(200, b"ok")

    def _posted(self, said: dict[str, Any]) -> dict[str, Any]:
        self.messages.append(said)
        self.commit(str(len(self.messages)), said)
        return {"ok": True, "channel": said["channel"], "ts": f"{len(self.messages)}.0"}

    def _wrong(self, said: dict[str, Any]) -> str | None:
        if "chat:write" not in self.scopes.split(","):
            return "missing_scope"
        if said.get("channel") not in self.channels:
            return "not_in_channel" if str(said.get("channel")).startswith("#") else "channel_not_found"
        return "invalid_blocks" if _misshapen(said) else None


def _misshapen(said: dict[str, Any]) -> bool:
    blocks = said.get("blocks") or []
    heads = [b["text"]["text"] for b in blocks if b["type"] == "header"]
    texts = [b["text"]["text"] for b in blocks if b["type"] == "section" and "text" in b]
    long = any(len(t) > LONGEST_SECTION for t in texts) or any(len(t) > LONGEST_HEADER for t in heads)
    return long or len(blocks) > MOST_BLOCKS
