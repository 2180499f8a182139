"""A receiver of webhooks: takes our default shape, drops what it has had, refuses rows by a rule."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Any

from cdp_core.testing.services.base import Reply, Request, StandIn


class Receiver(StandIn):
    """`secret` is checked when it is given, `refuses` says which rows are refused; a batch with one is refused whole,
    or, with `names_rows`, answered with a list of them. `counts` holds how often each row id came.
    """

    def __init__(
        self,
        *,
        key: str = "id",
        secret: str | None = None,
        refuses: Callable[[dict[str, Any]], str | None] | None = None,
        names_rows: bool = False,
    ) -> None:
        super().__init__()
        self.key, self.secret, self.refuses, self.names_rows = key, secret, refuses, names_rows
        self.seen: set[str] = set()

    def handle(self, request: Request) -> Reply:
        if request.method == "HEAD":
            return Reply(405)
        if self.secret is not None and not self._signed(request):
            return Reply(401)
        told = request.json()
        rows = told["rows"] if "rows" in told else [told["row"]]
        ids = told.get("ids") or [told.get("id")] * len(rows)
        refused = {row[self.key]: why for row in rows if self.refuses is not None and (why := self.refuses(row))}
        if refused and not self.names_rows:
            return Reply(422, {"message": next(iter(refused.values()))})
        with self.lock:
            for row, name in zip(rows, ids, strict=True):
                if row[self.key] not in refused:
                    self._take(told["operation"], row, name)
        return Reply(200, {"errors": [{"key": key, "message": why} for key, why in refused.items()]})

    def _take(self, operation: str, row: dict[str, Any], name: str | None) -> None:
        """A row whose id has come before was taken then."""
        if name is not None and name in self.seen:
            return
        self.seen.add(name or "")
        if operation == "remove":
            self.drop(str(row[self.key]))
            return
        self.effects[str(row[self.key])] += 1
        self.state[str(row[self.key])] = row

    def _signed(self, request: Request) -> bool:
        name, at = request.headers.get("webhook-id", ""), request.headers.get("webhook-timestamp", "")
        text = f"{name}.{at}.".encode() + request.body
        digest = base64.b64encode(hmac.new((self.secret or "").encode(), text, hashlib.sha256).digest()).decode()
        return hmac.compare_digest(f"v1,{digest}", request.headers.get("webhook-signature", ""))
