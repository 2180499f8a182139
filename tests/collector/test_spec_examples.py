"""The whole events of Segment's public spec are accepted, and everything that they say is stored."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from serving import Collector

EXAMPLES = Path(os.environ.get("CDP_SPEC_EXAMPLES", Path(__file__).parent / "spec_examples.json"))
TEXTS = {
    "type": "type", "event": "event", "userId": "user_id", "anonymousId": "anonymous_id", "groupId": "group_id",
    "previousId": "previous_id", "messageId": "message_id",
}  # fmt: skip


def examples() -> list[dict[str, Any]]:
    found = [entry["value"] for entry in json.loads(EXAMPLES.read_text())]
    return [e for e in found if isinstance(e, dict) and (e.get("userId") or e.get("anonymousId")) and "type" in e]


def test_all_of_it_is_stored(collector: Collector) -> None:
    wanted = [{**one, "messageId": f"example-{n}"} for n, one in enumerate(examples())]
    for one in wanted:
        answer = collector.post("/v1/batch", {"batch": [one]})
        assert answer.json()["accepted"] == 1, (one, answer.text)
    rows = {row["message_id"]: row for row in collector.table("events").iter_rows(named=True)}
    assert len(wanted) >= 30
    for one in wanted:
        assert again(rows[one["messageId"]], one) == plain(one), one


def again(row: dict[str, Any], one: dict[str, Any]) -> dict[str, Any]:
    """The event as its row tells it, without what the client did not say."""
    found = {key: row[column] for key, column in TEXTS.items() if row[column] is not None}
    if "name" in one and one["type"] != "track":
        found["name"] = found.pop("event")
    found |= {key: json.loads(row[key]) for key in ("properties", "traits", "context") if row[key] is not None}
    if "traits" not in one:
        # The traits of `context` count as the event's own; they stand in both.
        found.pop("traits", None)
    found |= json.loads(row["extra"] or "{}")
    if row["sent_at"]:
        found["sentAt"] = row["sent_at"]
    if row["original_timestamp"]:
        found["originalTimestamp" if "originalTimestamp" in one else "timestamp"] = row["original_timestamp"]
    return plain(found)


def plain(event: dict[str, Any]) -> dict[str, Any]:
    """Times as times (the lake counts microseconds), ids as text."""
    found = dict(event)
    for key in ("timestamp", "originalTimestamp", "sentAt", "receivedAt"):
        if isinstance(found.get(key), str):
            text = found[key].replace("Z", "")
            found[key] = datetime.fromisoformat(text[:26])
    return found | {key: str(found[key]) for key in TEXTS if key in found}


@pytest.mark.parametrize("number", [1, 1.5, -0.25, 12345678901234567, 1e300, 0.1])
def test_numbers_stay_what_they_are(collector: Collector, number: float) -> None:
    one = {"type": "page", "userId": "n", "messageId": f"number-{number}", "properties": {"n": number}}
    collector.post("/v1/batch", {"batch": [one]})
    stored = collector.table("events").filter(pl.col("message_id") == one["messageId"])["properties"].item()
    assert json.loads(stored) == {"n": number}
