"""Events of the lake written as JSON objects that say everything about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cdp_core.engine.staging import Staging

NAMES = {
    "messageId": "message_id", "type": "type", "event": "event", "userId": "user_id", "anonymousId": "anonymous_id",
    "groupId": "group_id", "previousId": "previous_id", "recordId": "record_id", "rowKey": "row_key",
}  # fmt: skip
TIMES = {
    "timestamp": "timestamp", "originalTimestamp": "original_timestamp", "sentAt": "sent_at",
    "receivedAt": "received_at",
}  # fmt: skip
OBJECTS = ("properties", "traits", "context", "extra")


def write_payloads(staging: Staging, stored: str, held: str, shape: str) -> None:
    """Give rows of the staged table `held` the event under their key in `stored` as `payload`, and a `shape`."""
    staging.con.con.execute(
        f"UPDATE {held} SET payload = {_event()}, shape = ? FROM {stored} s "
        f"WHERE {held}.source = s.source AND {held}.message_id = s.message_id",
        [shape],
    )


def _event() -> str:
    """The Segment spec's names; objects are objects, and what is null is left out."""
    texts = [_member(name, f"CAST(to_json(s.{column}) AS VARCHAR)") for name, column in NAMES.items()]
    times = [_member(name, f"strftime(s.{column}, '\"%Y-%m-%dT%H:%M:%S.%fZ\"')") for name, column in TIMES.items()]
    objects = [_member(name, f"s.{name}") for name in OBJECTS]
    return f"'{{' || concat_ws(',', {', '.join([*texts, *times, *objects])}) || '}}'"


def _member(name: str, value: str) -> str:
    return f"'\"{name}\":' || {value}"
