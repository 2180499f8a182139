"""Customer.io as its Track API v2 documents itself."""

from __future__ import annotations

import base64
import re
from typing import Any

from cdp_core.testing.services.base import Reply, Request, StandIn

SITE, KEY = "site", "s3cret"
_ULID = re.compile("[0-7][0-9A-HJKMNP-TV-Z]{25}")


class CustomerIo(StandIn):
    """Follows customer.io/docs/api/track (v2 batch, v1 accounts/region): `state` is identifier → attributes, `events`
    event id → what was told; one with a known id is dropped.
    """

    def __init__(self) -> None:
        super().__init__()
        self.suppressed: set[str] = set()
        self.events: dict[str, dict[str, Any]] = {}

    def handle(self, request: Request) -> Reply:
        wanted = "Basic " + base64.b64encode(f"{SITE}:{KEY}".encode()).decode()
        if request.headers.get("authorization") != wanted:
            return Reply(401, {"meta": {"error": "Unauthorized"}})
        if request.path == "/api/v1/accounts/region":
            return Reply(200, {"region": "us", "data_center": "us", "environment_id": 1})
        if len(request.body) > 500_000:
            return Reply(413)
        told = [self._one(place, item) for place, item in enumerate(request.json()["batch"])]
        errors = [error for error in told if error]
        return Reply(207, {"errors": errors}) if errors else Reply(200, {})

    def _one(self, place: int, item: dict[str, Any]) -> dict[str, Any] | None:
        (person,) = item["identifiers"].values()
        if not person or len(person) > 150:
            return {"batch_index": place, "reason": "invalid", "field": "identifiers", "message": f"bad {person}"}
        if item["action"] in ("event", "page", "screen"):
            return self._event(place, item)
        if item["action"] == "delete":
            self.drop(person)
        elif item["action"] == "suppress":
            self.drop(person)
            self.suppressed.add(person)
        elif person not in self.suppressed:
            self.commit(person, {**self.state.get(person, {}), **item["attributes"]})
        return None

    def _event(self, place: int, item: dict[str, Any]) -> dict[str, Any] | None:
        if not item.get("name"):
            return {"batch_index": place, "reason": "required", "field": "name", "message": "name is required"}
        if not _ULID.fullmatch(item["id"]):
            return {"batch_index": place, "reason": "invalid", "field": "id", "message": "is no ULID"}
        with self.lock:
            if item["id"] not in self.events:
                self.effects[item["id"]] += 1
            self.events.setdefault(item["id"], item)
        return None
