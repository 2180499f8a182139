"""What came lately, event by event, with what the door says of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from cdp_core.collector import door
from cdp_core.collector.planned import PlanDoor, plan_doors
from cdp_core.inbox import reader
from cdp_core.inbox.packed import unpack

if TYPE_CHECKING:
    from cdp_core.config import Config

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_NAMES = {"event": "event", "userId": "user_id", "anonymousId": "anonymous_id", "messageId": "message_id"}


def recent_events(root: Path, config: Config, limit: int) -> list[dict[str, Any]]:
    """The newest `limit` events, newest first: received_at (UTC), source, type, event, user_id, anonymous_id,
    message_id, status (passed, held), rule, reason, payload (JSON text).
    """
    plans = plan_doors(root, config)
    found: list[dict[str, Any]] = []
    for source, row in reader.latest(root, limit):
        found += _events(source, row, plans.get(source), limit - len(found))
        if len(found) >= limit:
            break
    return found


def _events(source: str, row: reader.Row, plan: PlanDoor | None, most: int) -> Iterator[dict[str, Any]]:
    events = unpack(row.body)
    told = _decode(row.envelope)
    kind = told.get("type")
    verdict = door.look(events, kind, browser=told.get("kind") == "browser", unsound="problem" in told)
    if plan is not None:
        plan.look(events, kind, verdict)
    at = datetime.fromtimestamp(row.received_at / 1_000_000, UTC).replace(tzinfo=None)
    for index in range(len(events) - 1, max(-1, len(events) - 1 - most), -1):
        rule = verdict.wrong.get(index)
        reason = None if rule is None else verdict.words.get(index) or door.SAID.get(rule)
        said = {
            "received_at": at,
            "source": source,
            "status": "held" if rule else "passed",
            "rule": rule,
            "reason": reason,
        }
        yield said | _shown(events[index], kind)


def _shown(text: bytes, kind: str | None) -> dict[str, Any]:
    """What can be read of an event; one that is no JSON has its text alone."""
    payload = text.decode(errors="replace")
    try:
        event = _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {"type": kind, **dict.fromkeys(_NAMES.values()), "payload": payload}
    found = {column: None if event.get(key) is None else str(event[key]) for key, column in _NAMES.items()}
    found["event"] = found["event"] or (str(event["name"]) if event.get("name") else None)
    return {"type": str(event.get("type") or kind or ""), **found, "payload": payload}
