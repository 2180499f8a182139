"""HubSpot on this machine: batches of the CRM API v3, with errors per input (207) and by batch (400)."""

from __future__ import annotations

from typing import Any

from cdp_core.testing.services.base import Reply, Request, StandIn

TOKEN = "hubspot-token"  # noqa: S105
MOST = 100


class HubSpot(StandIn):
    """Follows developers.hubspot.com (crm/objects, error-handling: multi-status errors). `state` is id → properties;
    who is archived or erased is not in it, and `blocked` are erased addresses. A property `poison` of "single" is an
    error of its input, "batch" of its batch, and so is a name that ends so. `properties` are those of the object, all
    but the own ones of its tests.
    """

    def __init__(self) -> None:
        super().__init__()
        self.blocked: set[str] = set()
        self.properties = {"email", "name", "visits", "seen_at", "in_cdp", "poison"}

    def handle(self, request: Request) -> Reply:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return Reply(401, {"status": "error", "category": "INVALID_AUTHENTICATION"})
        if request.path == "/account-info/v3/details":
            return Reply(200, {"portalId": 62515})
        if request.path.startswith("/crm/v3/properties/"):
            return Reply(200, {"results": [{"name": name, "type": "string"} for name in sorted(self.properties)]})
        told = request.json()
        verb = request.path.rpartition("/")[2]
        if verb == "gdpr-delete":
            self.drop(told["objectId"])
            self.blocked.add(told["objectId"])
            return Reply(204)
        inputs = told["inputs"]
        ids = [str(each["id"]).lower() for each in inputs]
        if len(inputs) > MOST or (verb == "upsert" and len(set(ids)) < len(ids)):
            return Reply(400, {"status": "error", "category": "VALIDATION_ERROR", "message": f"Duplicate IDs {ids[0]}"})
        if any(each.get("properties", {}).get("poison") == "batch" for each in inputs):
            said = '[{"isValid":false,"message":"x is no email","error":"INVALID_EMAIL","name":"email"}]'
            return Reply(400, {"status": "error", "category": "VALIDATION_ERROR", "message": f"were not valid: {said}"})
        return getattr(self, f"_{verb}")(inputs)

    def _upsert(self, inputs: list[dict[str, Any]], create: bool = True) -> Reply:
        results, errors = [], []
        for each in inputs:
            key, properties = each["id"], each["properties"]
            poison = properties.get("poison") == "single" or str(properties.get("name")).endswith("-poison")
            if poison or key in self.blocked:
                errors.append(self._error(each, "VALIDATION_ERROR", f"Property of {key} was not valid"))
            elif not create and key not in self.state:
                errors.append(self._error(each, "OBJECT_NOT_FOUND", f"No contact {key}"))
            else:
                self.commit(key, {**self.state.get(key, {}), **properties})
                results.append({"id": str(abs(hash(key))), "properties": properties})
        body = {"status": "COMPLETE", "results": results}
        return Reply(207, {**body, "numErrors": len(errors), "errors": errors}) if errors else Reply(200, body)

    def _update(self, inputs: list[dict[str, Any]]) -> Reply:
        return self._upsert(inputs, create=False)

    def _read(self, inputs: list[dict[str, Any]]) -> Reply:
        found = [each["id"] for each in inputs if each["id"] in self.state]
        return Reply(200, {"results": [{"id": f"record-{key}"} for key in found]})

    def _archive(self, inputs: list[dict[str, Any]]) -> Reply:
        for each in inputs:
            self.drop(each["id"].removeprefix("record-"))
        return Reply(204)

    def _error(self, each: dict[str, Any], category: str, message: str) -> dict[str, Any]:
        trace = {"objectWriteTraceId": [each["objectWriteTraceId"]]}
        return {"status": "error", "category": category, "message": message, "context": trace}
