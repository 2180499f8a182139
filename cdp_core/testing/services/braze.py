"""Braze on this machine: /users/track with errors by place, /users/delete."""

from __future__ import annotations

from typing import Any

from cdp_core.testing.services.base import Reply, Request, StandIn

KEY = "braze-key"
MOST = 75


class Braze(StandIn):
    """Follows braze.com/docs/api (user_track, user_delete, errors). `state` is external id → attributes, `events` what
    came, in order. An object whose `name` holds "poison" is refused by its place.
    """

    def __init__(self) -> None:
        super().__init__()
        self.events: list[dict[str, Any]] = []

    def handle(self, request: Request) -> Reply:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return Reply(401, {"message": "Invalid API Key"})
        told = request.json()
        if request.path == "/users/delete":
            if len(told["external_ids"]) > 50:
                return Reply(400, {"message": "too many ids"})
            return Reply(200, {"deleted": sum(self.drop(key) for key in told["external_ids"]), "message": "success"})
        objects = [
            (kind, place, each) for kind in ("attributes", "events") for place, each in enumerate(told.get(kind, []))
        ]
        if not objects or len(objects) > MOST:
            return Reply(400, {"message": "Valid data must be provided in the attributes, events, or purchases fields"})
        errors = []
        for kind, place, each in objects:
            if "poison" in str(each.get("name", "")) or not each.get("external_id"):
                errors.append({"type": "The value is invalid", "input_array": kind, "index": place})
            elif kind == "events":
                self.events.append(each)
            else:
                self._attributes(dict(each))
        return Reply(201, {"message": "success", "attributes_processed": len(objects), "errors": errors})

    def _attributes(self, each: dict[str, Any]) -> None:
        key = each.pop("external_id")
        if each.pop("_update_existing_only", False) and key not in self.state:
            return
        merged = {**self.state.get(key, {}), **each}
        self.commit(key, {name: value for name, value in merged.items() if value is not None})
