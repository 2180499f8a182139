"""A workspace in which everything that can have a name is called something that would like to be more than text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TEXT = (
    '<img src="http://evil.test/i.png" onerror="window.__xss=1"><script>window.__xss=1</script>'
    "![p](http://evil.test/p.png) [l](javascript:window.__xss=1) [m](http://evil.test/m) **xssbold** `xsscode` "
    "$xsstex^2$ :material/bolt: :red[xssred]"
)


def write(root: Path) -> None:
    """cdp.yaml, a tracking plan, and events of twelve people."""
    (root / "data/sources").mkdir(parents=True)
    (root / "expectations/tracking_plan").mkdir(parents=True)
    lines = [json.dumps(event) for person in range(12) for event in _events(person)]
    (root / "data/sources/app <b>.ndjson").write_text("\n".join(lines))
    (root / "cdp.yaml").write_text(json.dumps(_config()))
    (root / "expectations/tables").mkdir()
    rule = {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "event", "value_set": [TEXT]},
            "meta": {"severity": "warn", "rule": "named", "description": TEXT}}  # fmt: skip
    suite = {"name": "events", "expectations": [rule], "meta": {}}
    (root / "expectations/tables/events.json").write_text(json.dumps(suite))
    plan = {"description": TEXT, "events": {TEXT: {"description": TEXT, "properties": {TEXT: {"type": "string"}}},
                                            "Order": {"properties": {"total": {"type": "number"}}}}}  # fmt: skip
    (root / "expectations/tracking_plan/shop.yaml").write_text(json.dumps(plan))


def _events(person: int) -> list[dict[str, Any]]:
    who = {"userId": f"u{person} {TEXT}", "anonymousId": f"a{person} {TEXT}"}
    at = f"1998-06-{person + 1:02d}T10:00:00Z"
    traits = {"email": f"p{person}@example.org", "first_name": TEXT, "last_name": f"{person} {TEXT}", "city": TEXT,
              "phone": f"+1202555010{person % 10}", TEXT: TEXT}  # fmt: skip
    page = {"page": {"title": TEXT, "url": "javascript:window.__xss=1"}}
    consent = {"consent": {"categoryPreferences": {TEXT: True}}}
    total = TEXT if person == 3 else person
    return [
        {"type": "identify", "messageId": f"i{person}", **who, "traits": traits, "timestamp": at,
         "context": {**page, **consent}},
        {"type": "track", "event": TEXT, "messageId": f"t{person} {TEXT}", **who, "properties": {TEXT: TEXT},
         "timestamp": at},
        {"type": "track", "event": "Order", "messageId": f"o{person}", **who, "timestamp": at,
         "properties": {"total": total, "genre": TEXT}},
        {"type": "group", "groupId": TEXT, "messageId": f"g{person}", **who, "traits": {"name": TEXT},
         "timestamp": at},
        {"type": "track", "messageId": f"x{person} {TEXT}", **who, "properties": {TEXT: TEXT}, "timestamp": at},
    ]  # fmt: skip


def _config() -> dict[str, Any]:
    return {
        "name": f"Shop {TEXT}",
        "today": "1998-07-01",
        "sources": {"app": {"type": "segment", "path": "data/sources/*.ndjson", "plan": "shop"}},
        "identity": {"identifiers": {"user_id": {"limit": 1}, "email": {}, "phone": {}, "anonymous_id": {"limit": 9}}},
        "traits": {
            **{name: {"pick": "latest"} for name in ("first_name", "last_name", "email", "city")},
            "top_genre": {"most_frequent": "Order.genre"},
            "spent": {"sum": "Order.total"},
        },
        "audiences": {
            "everyone": {"description": TEXT, "where": {"trait": "city", "equals": TEXT}},
            "busy": {"description": "plain", "where": {"event": TEXT, "at_least": 1}},
        },
        "destinations": {"exports": {"type": "file", "path": "data/exports"}},
        "syncs": {
            "all": {"model": "profiles", "destination": "exports", "key": "profile_id", "description": TEXT,
                    "options": {"file": "all.csv", "format": "csv"},
                    "mapping": {"profile_id": "profile_id", TEXT: "first_name"}},
        },
    }  # fmt: skip
