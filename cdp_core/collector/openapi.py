"""The OpenAPI description of the collector."""

from __future__ import annotations

from typing import Any

from cdp_core.collector.routes import EVENT_PATHS, PIXEL_PATHS, RUDDER_CONFIG_PATHS, SERVER_PATHS, SETTINGS_PATHS
from cdp_core.inbox.limits import MAX_BATCH_EVENTS
from cdp_core.tracking import TYPES

_JSON = "application/json"
_TEXT = {"type": "string"}
_OBJECT = {"type": "object"}
_EVENT: dict[str, Any] = {
    "type": "object",
    "description": "An event of the Segment spec; userId, anonymousId or another identifier is needed.",
    "properties": {
        "type": {"type": "string", "enum": list(TYPES)},
        "event": {**_TEXT, "description": "Name of a track event."},
        **dict.fromkeys(("userId", "anonymousId", "groupId", "previousId"), _TEXT),
        "messageId": {**_TEXT, "maxLength": 100, "description": "The same id again is the same event."},
        **{name: {**_TEXT, "format": "date-time"} for name in ("timestamp", "originalTimestamp", "sentAt")},
        **dict.fromkeys(("properties", "traits", "context", "integrations"), _OBJECT),
    },
}
_BATCH = {
    "type": "object",
    "required": ["batch"],
    "properties": {
        "batch": {"type": "array", "maxItems": MAX_BATCH_EVENTS, "items": {"$ref": "#/components/schemas/Event"}},
        "context": _OBJECT,
        "integrations": _OBJECT,
        "sentAt": {**_TEXT, "format": "date-time"},
        "writeKey": _TEXT,
    },
}
_COUNT = {"type": "integer", "minimum": 0}
_ACCEPTED = {
    "type": "object",
    "required": ["success", "accepted", "quarantined", "duplicates"],
    "properties": {
        "success": {"const": True},
        "accepted": _COUNT,
        "quarantined": {**_COUNT, "description": "Events that are held back; `rejected` tells why."},
        "duplicates": {**_COUNT, "description": "Events whose messageId came lately."},
        "rejected": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["index", "rule", "description"],
                "properties": {"index": _COUNT, "rule": _TEXT, "description": _TEXT},
            },
        },
    },
}
_PROBLEM = {
    "type": "object",
    "required": ["success", "error"],
    "properties": {
        "success": {"const": False},
        "error": {"type": "object", "required": ["what", "hint"], "properties": {"what": _TEXT, "hint": _TEXT}},
    },
}
_PREFLIGHT: dict[str, Any] = {
    "options": {
        "summary": "A browser's question before it sends",
        "responses": {"204": {"description": "CORS headers."}},
    }
}
_WORDS = {
    400: "The body is no JSON (it is kept in quarantine) or too large.",
    401: "The write key is missing, unknown or revoked.",
    403: "The key or the page's origin does not allow it.",
    404: "There is nothing at this address.",
    405: "The address wants another method.",
    408: "The body did not come in time.",
    429: "The key's limit is reached; see Retry-After.",
    503: "It could not be stored; see Retry-After. What was answered 200 is safe.",
}


def description(version: str) -> dict[str, Any]:
    """OpenAPI 3.1 of every address."""
    paths = {path: {"post": _post(kind, server=False), **_PREFLIGHT} for path, kind in EVENT_PATHS.items()}
    paths |= {path: {"post": _post(kind, server=True), **_PREFLIGHT} for path, kind in SERVER_PATHS.items()}
    paths |= {path: {"get": _pixel()} for path in PIXEL_PATHS}
    paths |= {path: {"get": _settings("key", "path")} for path in SETTINGS_PATHS}
    paths |= {path: {"get": _settings("writeKey", "query")} for path in RUDDER_CONFIG_PATHS[:1]}
    for path, kind in (("/health", _JSON), ("/metrics", "text/plain"), ("/openapi.json", _JSON)):
        paths[path] = {"get": {"summary": path[1:], "responses": {"200": {"description": "ok", "content": {kind: {}}}}}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "CDP Workbench collector",
            "version": version,
            "description": "Segment's HTTP tracking API. 200 means: on disk.",
        },
        "paths": paths,
        "components": {
            "schemas": {"Event": _EVENT, "Batch": _BATCH, "Accepted": _ACCEPTED, "Problem": _PROBLEM},
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic", "description": "The write key as user name."},
                "header": {"type": "apiKey", "in": "header", "name": "X-Write-Key"},
                "query": {"type": "apiKey", "in": "query", "name": "writeKey"},
            },
        },
    }


def _post(kind: str | None, *, server: bool) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{'Event' if kind else 'Batch'}"}
    return {
        "summary": f"Receive one {kind} event" if kind else "Receive a batch of events",
        "description": "Needs a server key." if server or kind == "alias" else "Needs a write key.",
        "security": [{"basic": []}, {"header": []}, {"query": []}],
        "requestBody": {"required": True, "content": {t: {"schema": schema} for t in (_JSON, "text/plain")}},
        "responses": {"200": _answer("Accepted", "It is on disk."), **_problems(400, 401, 403, 408, 429, 503)},
    }


def _pixel() -> dict[str, Any]:
    return {
        "summary": "Receive one event out of an address, for e-mails and pages without scripts",
        "parameters": [
            {"name": "kind", "in": "path", "required": True, "schema": {"type": "string", "enum": list(TYPES)}},
            {"name": "data", "in": "query", "schema": _TEXT, "description": "The event as JSON, Base64."},
            {"name": "writeKey", "in": "query", "schema": _TEXT},
        ],
        "responses": {
            "200": {"description": "A transparent image.", "content": {"image/gif": {}}},
            **_problems(400, 401, 403, 404, 429, 503),
        },
    }


def _settings(name: str, place: str) -> dict[str, Any]:
    return {
        "summary": "Settings of a browser client",
        "parameters": [{"name": name, "in": place, "required": place == "path", "schema": _TEXT}],
        "responses": {"200": {"description": "Settings.", "content": {_JSON: {"schema": _OBJECT}}}, **_problems(401)},
    }


def _problems(*statuses: int) -> dict[str, Any]:
    return {str(status): _answer("Problem", _WORDS[status]) for status in statuses}


def _answer(schema: str, words: str) -> dict[str, Any]:
    return {"description": words, "content": {_JSON: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}}
