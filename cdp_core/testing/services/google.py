"""A stand-in of Google's Data Manager API, as far as audience members go."""

from __future__ import annotations

import json
import re
from typing import Any

from cdp_core.testing.services.base import Reply, Request, StandIn
from cdp_core.testing.services.tokens import granted

_HEX = re.compile(r"[0-9a-f]{64}")


class GoogleAudience(StandIn):
    """One audience. `state` holds what identifies its members, one entry per identifier (as JSON text). `invalid`
    holds values that are refused. A call with anything wrong takes nothing. `consents` keeps what each call said.
    """

    token, account, audience = "google-token", "1234567890", "777"

    def __init__(self) -> None:
        super().__init__()
        self.invalid: set[str] = set()
        self.consents: list[dict[str, str]] = []
        self.refreshed = 0

    def handle(self, request: Request) -> Reply:
        if request.path == "/token":
            fresh = b"refresh_token=fresh" in request.body and b"grant_type=refresh_token" in request.body
            good = fresh or granted(request.body, f"{self.url}/token", ["https://www.googleapis.com/auth/datamanager"])
            self.refreshed += good
            told = {"access_token": self.token, "expires_in": 3599} if good else {"error": "invalid_grant"}
            return Reply(200 if good else 400, told)
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return failure(401, "UNAUTHENTICATED")
        if request.path == "/requestStatus:retrieve":
            return failure(404, "NOT_FOUND")
        if request.path not in ("/audienceMembers:ingest", "/audienceMembers:remove"):
            return failure(404, "NOT_FOUND")
        body = request.json()
        if body["destinations"][0]["operatingAccount"]["accountId"] != self.account:
            return failure(403, "PERMISSION_DENIED")
        wrong = self._violations(body, request.path.endswith("ingest"))
        if wrong:
            return failure(400, "INVALID_ARGUMENT", wrong)
        if request.path.endswith("ingest"):
            self.consents.append(body.get("consent", {}))
        if body.get("validateOnly"):
            return Reply(200, {})
        self._take(body["audienceMembers"], add=request.path.endswith("ingest"))
        return Reply(200, {"requestId": f"r{len(self.calls)}"})

    def expire(self) -> None:
        """The token is none any more: /token gives another."""
        with self.lock:
            self.token = f"{GoogleAudience.token}-{self.refreshed + 2}"

    def _take(self, members: list[dict[str, Any]], *, add: bool) -> None:
        for key in (key for member in members for key in identifiers(member)):
            if add:
                self.commit(key, True)
            else:
                self.drop(key)

    def _violations(self, body: dict[str, Any], ingest: bool) -> list[dict[str, str]]:
        if body["destinations"][0]["productDestinationId"] != self.audience:
            return [{"field": "destinations[0].product_destination_id", "reason": "INVALID_USER_LIST_ID"}]
        if ingest and body.get("termsOfService", {}).get("customerMatchTermsOfServiceStatus") != "ACCEPTED":
            return [{"field": "terms_of_service", "reason": "TERMS_AND_CONDITIONS_NOT_SIGNED"}]
        members = body["audienceMembers"]
        if not members:
            return [{"field": "audience_members", "reason": "REQUIRED_FIELD_MISSING"}]
        if len(members) > 10_000:
            return [{"field": "audience_members", "reason": "TOO_MANY_AUDIENCE_MEMBERS"}]
        found = ((i, self._problem(member)) for i, member in enumerate(members))
        return [{"field": f"audience_members[{i}].user_data", "reason": reason} for i, reason in found if reason]

    def _problem(self, member: dict[str, Any]) -> str | None:
        keys = identifiers(member)
        if not 1 <= len(keys) <= 10:
            return "TOO_MANY_USER_IDENTIFIERS" if keys else "REQUIRED_FIELD_MISSING"
        if any(value in key for value in self.invalid for key in keys):
            return "INVALID_AUDIENCE_MEMBER"
        for one in member.get("userData", {}).get("userIdentifiers", []):
            address = one.get("address", {})
            hashes = [one.get("emailAddress"), one.get("phoneNumber"), *map(address.get, ("givenName", "familyName"))]
            if address and len(address) < 4:
                return "REQUIRED_FIELD_MISSING"
            if not all(_HEX.fullmatch(h) for h in hashes if h is not None):
                return "INVALID_SHA256_FORMAT"
        return None


def identifiers(member: dict[str, Any]) -> list[str]:
    """What identifies a member, each as JSON text."""
    found = member.get("userData", {}).get("userIdentifiers", [])
    mobile = [{"mobileId": i} for i in member.get("mobileData", {}).get("mobileIds", [])]
    return [json.dumps(one, sort_keys=True) for one in [*found, *mobile]]


def failure(status: int, word: str, violations: list[dict[str, str]] | None = None) -> Reply:
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": word, "domain": "datamanager.googleapis.com"}
    details: list[dict[str, Any]] = [info]
    if violations:
        details.append({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations})
    return Reply(status, {"error": {"code": status, "message": "as documented", "status": word, "details": details}})
