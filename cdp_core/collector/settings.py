"""What browser clients ask for before they send: their settings, with this collector as the one destination."""

from __future__ import annotations

from typing import Any


def segment_settings(key: str, host: str, protocol: str) -> dict[str, Any]:
    """The answer to analytics.js' GET of /v1/projects/KEY/settings: events go to this host."""
    return {
        "integrations": {
            "Segment.io": {
                "apiKey": key,
                "apiHost": f"{host}/v1",
                "protocol": protocol,
                "unbundledIntegrations": [],
                "addBundledMetadata": False,
                "maybeBundledConfigIds": {},
                "versionSettings": {"version": "4.4.7", "componentTypes": ["browser"]},
            }
        },
        "plan": {"track": {"__default": {"enabled": True, "integrations": {}}}},
        "edgeFunction": {},
        "analyticsNextEnabled": True,
        "middlewareSettings": {},
        "enabledMiddleware": {},
        "metrics": {"sampleRate": 0},
        "legacyVideoPluginsEnabled": False,
        "remotePlugins": [],
    }


def rudder_config(key: str, source: str) -> dict[str, Any]:
    """The answer to RudderStack's GET of /sourceConfig: no destination in the browser."""
    switched_off = {"enabled": False}
    return {
        "source": {
            "id": source,
            "name": source,
            "writeKey": key,
            "enabled": True,
            "updatedAt": "1970-01-01T00:00:00.000Z",
            "config": {"statsCollection": {"errors": switched_off, "metrics": switched_off}},
            "connections": [],
            "destinations": [],
            "dataplanes": {},
            "sourceDefinition": {"name": "Javascript"},
        },
        "updatedAt": "1970-01-01T00:00:00.000Z",
    }
