"""Mailchimp on this machine: batches of new members, single members, tags, and deleting for good."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from cdp_core.testing.services.base import Reply, Request, StandIn

KEY = "mailchimp-key-us21"
LIST = "abc123"
MOST = 500


class Mailchimp(StandIn):
    """Follows mailchimp.com/developer/marketing/api (lists, list-members, list-member-tags). `state` is address in
    lower case → member with `tags` and `status`; archived members are not in it, `banned` are deleted for good.
    Addresses with "fake" in them are refused; the text of errors is partly from memory.
    """

    def __init__(self) -> None:
        super().__init__()
        self.banned: set[str] = set()

    def handle(self, request: Request) -> Reply:
        wanted = "Basic " + base64.b64encode(f"cdp:{KEY}".encode()).decode()
        if request.headers.get("authorization") != wanted:
            return Reply(401, {"title": "API Key Invalid", "status": 401})
        if request.path == "/ping":
            return Reply(200, {"health_status": "Everything's Chimpy!"})
        parts = request.path.strip("/").split("/")
        if parts[:2] != ["lists", LIST]:
            return Reply(404, {"title": "Resource Not Found"})
        if len(parts) == 2 and request.method == "GET":
            return Reply(200, {"id": LIST, "name": "People"})
        return self._batch(request.json()) if len(parts) == 2 else self._member(parts[3:], request)

    def _batch(self, told: dict[str, Any]) -> Reply:
        if len(told["members"]) > MOST:
            return Reply(400, {"title": "Invalid Resource", "detail": "too many members"})
        errors = []
        for member in told["members"]:
            address = member["email_address"].lower()
            if why := self._refused(address):
                errors.append(
                    {"email_address": member["email_address"], "error_code": why, "error": f"{address} looks fake"}
                )
            elif address in self.state:
                errors.append({"email_address": member["email_address"], "error_code": "ERROR_CONTACT_EXISTS"})
            else:
                self.commit(address, {**member, "tags": sorted(member.get("tags", []))})
        return Reply(200, {"new_members": [], "updated_members": [], "errors": errors, "error_count": len(errors)})

    def _member(self, parts: list[str], request: Request) -> Reply:
        name, tail = parts[0], "/".join(parts[1:])
        found = next((address for address in self.state if _hash(address) == name), None)
        if request.method == "PUT":
            return self._put(request.json())
        if found is None:
            return Reply(404, {"title": "Resource Not Found"})
        member = self.state[found]
        if tail == "tags":
            for tag in request.json()["tags"]:
                kept = set(member["tags"]) - {tag["name"]} | ({tag["name"]} if tag["status"] == "active" else set())
                self.commit(found, {**member, "tags": sorted(kept)})
        elif request.method == "PATCH":
            self.commit(found, {**member, **request.json()})
        else:
            self.drop(found)
            if tail:
                self.banned.add(found)
        return Reply(204)

    def _put(self, told: dict[str, Any]) -> Reply:
        address = told["email_address"].lower()
        if why := self._refused(address):
            return Reply(400, {"title": why, "detail": f"{address} is in a compliance state"})
        new = {"status": told.pop("status_if_new"), "tags": []}
        self.commit(address, {**new, **self.state.get(address, {}), **told})
        return Reply(200, {"email_address": address})

    def _refused(self, address: str) -> str | None:
        if address in self.banned:
            return "Member In Compliance State"
        return "ERROR_GENERIC" if "fake" in address else None


def _hash(address: str) -> str:
    return hashlib.md5(address.encode(), usedforsecurity=False).hexdigest()
