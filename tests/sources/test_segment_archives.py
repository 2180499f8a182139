"""Archives of Segment-spec events, hostile ones among them."""

from __future__ import annotations

import gzip
import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cdp_core.errors import SpecError
from tests.sources.source_kit import Load, Loaded

SPEC = {"type": "segment", "path": "*.ndjson"}
AT = "1998-01-01T10:00:00.000Z"


def event(**more: Any) -> dict[str, Any]:
    return {"type": "track", "event": "Seen", "userId": "u1", "messageId": "m1", "timestamp": AT} | more


@pytest.fixture
def archive(load: Load, tmp_path: Path) -> Any:
    def run(*lines: Any) -> Loaded:
        text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
        (tmp_path / "a.ndjson").write_bytes(text.encode("utf-8", "surrogatepass"))
        return load(SPEC)

    return run


def test_columns_of_an_event(archive: Any) -> None:
    given = event(
        anonymousId=" a1 ",
        properties={"total": 5, "name": None},
        context={"ip": "1.2.3.4", "traits": {"plan": "old", "city": "Bonn"}},
        traits={"plan": "new"},
        originalTimestamp="1998-01-01T10:00:00Z",
        sentAt="1998-01-01T10:00:05Z",
        receivedAt="1998-01-01T12:00:05+02:00",
    )
    del given["timestamp"]
    loaded = archive(given)
    (found,) = loaded.events.to_dicts()
    assert json.loads(found.pop("properties")) == {"total": 5, "name": None}
    assert json.loads(found.pop("context")) == given["context"]
    assert found.pop("extra") is None
    assert json.loads(found.pop("traits")) == {"plan": "new", "city": "Bonn"}
    assert found == {
        "source": "s",
        "message_id": "m1",
        "type": "track",
        "event": "Seen",
        "user_id": "u1",
        "anonymous_id": "a1",
        "group_id": None,
        "previous_id": None,
        "timestamp": datetime(1998, 1, 1, 10, 0, 0),
        "original_timestamp": datetime(1998, 1, 1, 10, 0, 0),
        "sent_at": datetime(1998, 1, 1, 10, 0, 5),
        "received_at": datetime(1998, 1, 1, 10, 0, 5),
        "record_id": None,
        "row_key": None,
    }
    assert json.loads(loaded.rows()["_payload"].item()) == given


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        # A client clock that runs a day ahead: the rule of the spec corrects it.
        ({"originalTimestamp": "1998-01-02T10:00:00Z", "sentAt": "1998-01-02T10:00:10Z", "receivedAt": "1998-01-01T10:00:12Z"}, datetime(1998, 1, 1, 10, 0, 2)),
        ({"originalTimestamp": "1998-01-02T10:00:00Z", "receivedAt": "1998-01-01T10:00:12Z", "timestamp": AT}, datetime(1998, 1, 1, 10)),
        ({"originalTimestamp": "1998-01-02T10:00:00Z"}, datetime(1998, 1, 2, 10)),
        ({"receivedAt": "1998-01-01T10:00:12.123456Z"}, datetime(1998, 1, 1, 10, 0, 12, 123456)),
    ],
)  # fmt: skip
def test_timestamp(archive: Any, times: dict[str, str], expected: datetime) -> None:
    given = {"type": "track", "event": "Seen", "userId": "u"} | times
    assert archive(given).events["timestamp"].item() == expected


def test_blank_identifiers_are_null_and_an_event_without_any_is_kept_apart(archive: Any) -> None:
    loaded = archive(
        event(messageId="1", userId="", anonymousId="a"),
        event(messageId="2", userId=None),
        event(messageId="3", userId=" ", anonymousId=""),
        event(messageId="4", userId=None, context={"externalIds": [{"id": "x@y.org", "type": "email"}]}),
        event(messageId="5", userId=12345),
    )
    assert dict(loaded.events.select("message_id", "user_id").rows()) == {"1": None, "4": None, "5": "12345"}
    assert loaded.rules() == ["spec.no_identifier"] * 2


def test_a_missing_message_id_is_made_from_the_line(archive: Any) -> None:
    line = json.dumps({"type": "page", "name": "Home", "anonymousId": "a", "timestamp": AT})
    loaded = archive(line)
    assert loaded.events.select("message_id", "event").rows() == [(hashlib.md5(line.encode()).hexdigest(), "Home")]


def test_bodies_of_the_batch_call(archive: Any) -> None:
    body = {
        "batch": [
            {"type": "identify", "userId": "u", "messageId": "1", "timestamp": AT, "context": {"ip": "9"}},
            {"type": "track", "event": "Seen", "anonymousId": "a", "messageId": "2", "originalTimestamp": AT},
            {"type": "track", "event": "Seen", "messageId": "3", "timestamp": AT},
            "no event",
        ],
        "context": {"ip": "1", "library": {"name": "x"}, "traits": {"city": "Bonn"}},
        "sentAt": "1998-01-01T10:00:00Z",
        "receivedAt": "1998-01-01T10:00:07Z",
    }
    loaded = archive(body, {"batch": []}, event(messageId="4"))
    found = {row["message_id"]: row for row in loaded.events.to_dicts()}
    assert sorted(found) == ["1", "2", "4"]
    assert json.loads(found["1"]["context"]) == body["context"] | {"ip": "9"}
    assert json.loads(found["1"]["traits"]) == {"city": "Bonn"}
    assert found["2"]["timestamp"] == datetime(1998, 1, 1, 10, 0, 7)
    assert loaded.rules() == ["parse.empty_batch", "parse.object", "spec.no_identifier"]
    assert loaded.read == 6


def test_a_json_array_of_events_and_gzip(load: Load, tmp_path: Path) -> None:
    events = [event(messageId=str(n)) for n in range(5)]
    (tmp_path / "a.ndjson").write_bytes(gzip.compress(json.dumps(events).encode()))
    assert load(SPEC).events["message_id"].sort().to_list() == list("01234")


HOSTILE = {
    "nan": ('{"properties": {"a": NaN}, %s', "parse.number"),
    "infinity": ('{"properties": {"a": -Infinity}, %s', "parse.number"),
    "1e999": ('{"properties": {"a": 1e999}, %s', "parse.number"),
    "5000 digits": ('{"properties": {"a": ' + "9" * 5000 + "}, %s", "parse.number"),
    "the same key twice": ('{"userId": "v", %s', "parse.duplicate_key"),
    "twice inside": ('{"properties": {"a": 1, "a": 2}, %s', "parse.duplicate_key"),
    "lone surrogate": ('{"properties": {"a": "\\ud800"}, %s', "parse.json"),
    "raw surrogate": ('{"properties": {"a": "\ud800"}, %s', "parse.encoding"),
    "escaped NUL": ('{"properties": {"a": "x\\u0000"}, %s', "parse.nul_bytes"),
    "raw NUL": ('{"properties": {"a": "x\x00"}, %s', "parse.nul_bytes"),
    "control character": ('{"properties": {"a": "\x01"}, %s', "parse.json"),
    "depth": ('{"properties": {"a": ' + "[" * 100_000 + "]" * 100_000 + "}, %s", "parse.depth"),
    "depth of objects": ('{"properties": ' + '{"a":' * 150 + "1" + "}" * 150 + ", %s", "parse.depth"),
    "10 MB": ('{"properties": {"a": "' + "x" * 10_000_000 + '"}, %s', "parse.too_long"),
    "torn": ('{"properties": {"a": 1', "parse.json"),
    "a list": ('[{"properties": {}, %s]', "parse.object"),
    "no type": ('{"typ": "track", "anonymousId": "a"}', "spec.type"),
    "unknown type": ('{"type": "buy", "anonymousId": "a"}', "spec.type"),
    "no event name": ('{"type": "track", "anonymousId": "a", "timestamp": "1998-01-01"}', "spec.event"),
    "properties are a list": ('{"properties": [1], %s', "spec.object"),
    "no such day": ('{"sentAt": "1998-02-30T00:00:00Z", %s', "map.time"),
    "year 10000": ('{"sentAt": "10000-01-01T00:00:00Z", %s', "map.time"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_line_goes_to_quarantine_alone(archive: Any, name: str) -> None:
    line, rule = HOSTILE[name]
    rest = json.dumps(event(messageId="bad"))[1:]
    loaded = archive(event(messageId="before"), line.replace("%s", rest), event(messageId="after"))
    assert loaded.events["message_id"].sort().to_list() == ["after", "before"]
    assert loaded.rules() == [rule]
    assert loaded.rejects["payload"].str.len_bytes().item() >= 10


def test_what_looks_hostile_and_is_not(archive: Any) -> None:
    lines = [
        event(messageId="1", properties={"name": "Nan, Inf and NaN", "n": 1e30}),
        event(messageId="2", properties={"path": "C:\\u0000 \\\\u0000", "ids": [[n] for n in range(300)]}),
        event(messageId="3", properties={"brackets": "[{" * 400, "code": "9" * 400, "e": "1e999"}),
        event(messageId="4", context={"name": "x", "os": {"name": "x"}}, traits={"name": "x"}),
    ]
    loaded = archive(*lines)
    assert loaded.events["message_id"].sort().to_list() == ["1", "2", "3", "4"]
    assert loaded.objects("properties", by="message_id")["3"] == lines[2]["properties"]


def test_no_mapping_is_taken(load: Load) -> None:
    with pytest.raises(SpecError, match=r"sources\.s: sources of type segment hold events already; remove `map:`"):
        load(SPEC | {"map": {"type": "identify"}})
