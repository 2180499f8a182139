"""A stand-in of Meta's Graph API, as far as custom audiences go."""

from __future__ import annotations

import json
import re
from typing import Any

from cdp_core.testing.services.base import Reply, Request, StandIn

_HASHED = ("EMAIL", "PHONE", "DOBY", "DOBM", "DOBD", "LN", "FN", "FI", "GEN", "CT", "ST", "ZIP", "COUNTRY")
_SHAPE = re.compile(r"[0-9a-f]{64}")


class MetaAudience(StandIn):
    """One audience. `state` holds rows by EXTERN_ID (without one by their identifiers), `people` every identifier
    that is in: (field, value). `invalid` holds values that are counted as invalid entries and not taken. With
    `smallest` identifiers nobody is removed any more.
    """

    token, audience = "meta-token", "238500"
    permissions: tuple[str, ...] = ("ads_management",)
    subtype, editable = "CUSTOM", True

    def __init__(self) -> None:
        super().__init__()
        self.people: set[tuple[str, str]] = set()
        self.invalid: set[str] = set()
        self.smallest = 0

    def handle(self, request: Request) -> Reply:
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return error(190, "Invalid OAuth access token.")
        if request.path == "/me/permissions":
            return Reply(200, {"data": [{"permission": p, "status": "granted"} for p in self.permissions]})
        if request.path == f"/{self.audience}" and request.method == "GET":
            wanted = request.query["fields"].split(",")
            known = {
                "id": self.audience,
                "subtype": self.subtype,
                "permission_for_actions": {"can_edit": self.editable},
            }
            return Reply(200, {name: known[name] for name in wanted})
        if request.path != f"/{self.audience}/users":
            return error(100, "Unsupported request. Object does not exist.", 33)
        body = request.json()
        payload, session = body["payload"], body["session"]
        schema, data = payload["schema"], payload["data"]
        if len(data) > 10_000 or not data:
            return error(100, "1 to 10,000 entries are taken")
        if any(len(row) != len(schema) for row in data) or set(schema) - {*_HASHED, "EXTERN_ID", "MADID"}:
            return error(100, "Data is missing or does not match schema")
        rows = [{name: value for name, value in zip(schema, row, strict=True) if value} for row in data]
        good = [row for row in rows if self._valid(row)]
        if request.method == "DELETE" and len(self.people) <= self.smallest:
            return error(100, "Audience Size too low: You cannot remove users from this audience")
        for row in good:
            (self._add if request.method == "POST" else self._remove)(row)
        told: dict[str, Any] = {"audience_id": self.audience, "session_id": str(session["session_id"])}
        counts = {"num_received": len(rows), "num_invalid_entries": len(rows) - len(good), "invalid_entry_samples": {}}
        return Reply(200, told | counts)

    def _valid(self, row: dict[str, str]) -> bool:
        hashes = [value for name, value in row.items() if name in _HASHED]
        return all(_SHAPE.fullmatch(h) for h in hashes) and not self.invalid.intersection(row.values())

    def _add(self, row: dict[str, str]) -> None:
        with self.lock:
            self.people |= {pair for pair in row.items() if pair[0] != "EXTERN_ID"}
        self.commit(row.get("EXTERN_ID", json.dumps(row)), row)

    def _remove(self, row: dict[str, str]) -> None:
        with self.lock:
            known = self.state.pop(row["EXTERN_ID"], {}) if "EXTERN_ID" in row else {}
            self.people -= set(row.items()) | set(known.items())


def error(code: int, message: str, subcode: int | None = None, status: int = 400) -> Reply:
    told = {"message": message, "type": "OAuthException", "code": code, "error_subcode": subcode, "fbtrace_id": "A"}
    return Reply(status, {"error": told})
