"""Addresses: what Segment's, RudderStack's and Jitsu's clients call."""

from __future__ import annotations

from cdp_core.tracking import TYPES

_SHORT = {"i": "identify", "t": "track", "p": "page", "s": "screen", "g": "group", "a": "alias"}

EVENT_PATHS: dict[str, str | None] = {
    "/v1/batch": None,
    "/v1/b": None,
    **{f"/v1/{kind}": kind for kind in TYPES},
    **{f"/v1/{short}": kind for short, kind in _SHORT.items()},
    "/beacon/v1/batch": None,
    **{f"/api/s/{kind}": kind for kind in TYPES},
    **{f"/api/s/s2s/{kind}": kind for kind in TYPES},
    "/api/s/batch": None,
}
"""Address → the type of its events, None for bodies with a batch."""

SERVER_PATHS: dict[str, str | None] = {"/v1/import": None}
"""Addresses for which a browser key is not enough."""

PIXEL_PATHS = ("/v1/pixel/{kind}", "/pixel/v1/{kind}")
SETTINGS_PATHS = ("/v1/projects/{key}/settings",)
RUDDER_CONFIG_PATHS = ("/sourceConfig", "/sourceConfig/")
