"""What rows become as calls of the Segment spec, on a stand-in that swallows errors and on our own collector."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cdp_core.destinations.base import Batch, BatchRefused, Delivery, SendResult, Unavailable
from cdp_core.destinations.open import parsed
from cdp_core.destinations.services import segment_events as events
from cdp_core.destinations.services.segment import SegmentDestination, SegmentOptions, SegmentSyncOptions
from cdp_core.errors import DestinationError, SpecError
from cdp_core.testing.services.base import Fault, Reply
from cdp_core.testing.services.segment import PUBLIC_API, WRITE_KEY, Segment

sys.path.insert(0, str(Path(__file__).parents[1] / "collector"))
from serving import serving

Make = Callable[..., SegmentDestination]
AUDIENCE = {"as": "audience", "audience_key": "vip", "space_id": "spa"}
EVENTS = {"as": "events"}


@pytest.fixture
def service() -> Iterator[Segment]:
    with Segment() as there:
        yield there


@pytest.fixture
def make(service: Segment, tmp_path: Path) -> Make:
    """A prepared destination."""

    def ready(fields: tuple[str, ...] = ("id", "name"), mode: str = "mirror", **options: Any) -> SegmentDestination:
        destination = opened(service.url, tmp_path)
        destination.prepare(delivery(fields, mode, **options))
        return destination

    return ready


def opened(url: str, root: Path, **more: Any) -> SegmentDestination:
    given = {"base_url": url, "private_network": True, "write_key": WRITE_KEY, "regulation_url": url, **more}
    return SegmentDestination(SegmentOptions.model_validate(given), root)


def delivery(fields: tuple[str, ...] = ("id", "name"), mode: str = "mirror", **options: Any) -> Delivery:
    chosen = SegmentSyncOptions.model_validate(options)
    return Delivery(sync="s", key=fields[0], fields=dict.fromkeys(fields, "string"), options=chosen, mode=mode)


def batch(rows: dict[str, list[Any]] | pl.DataFrame, ids: list[str] | None = None) -> Batch:
    frame = rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(rows)
    given = None if ids is None else pl.Series(ids)
    return Batch(rows=frame, key=frame.columns[0], payload=pl.Series([""] * frame.height), ids=given)


def test_a_row_is_an_identify_call(service: Segment, make: Make) -> None:
    row = {
        "id": [7],
        "name": ['Zoë "Z"'],
        "sum": [Decimal("1.50")],
        "rate": [float("nan")],
        "at": [datetime(1998, 7, 1, 12)],
        "kinds": [["a", "b"]],
        "gone": [None],
        "schema": ["s"],
    }
    assert make(tuple(row)).send(batch(row, ["d1"])) == SendResult()
    traits = {"name": 'Zoë "Z"', "sum": 1.5, "rate": None, "at": "1998-07-01T12:00:00.000Z", "kinds": ["a", "b"]}
    assert service.events == [
        {"type": "identify", "messageId": "d1", "userId": "7", "traits": {**traits, "gone": None, "schema": "s"}}
    ]
    assert service.calls[0].headers["authorization"].startswith("Basic ")


def test_a_row_is_a_track_call(service: Segment, make: Make) -> None:
    destination = make(as_="track", event="Profile Updated", removed_event="Profile Left")
    destination.send(batch({"id": ["u1"], "name": ["Ann"]}, ["d1"]))
    destination.remove(pl.Series(["u1"]))
    assert [(e["event"], e.get("properties")) for e in service.events] == [
        ("Profile Updated", {"name": "Ann"}),
        ("Profile Left", None),
    ]


def test_an_audience_is_entered_and_left(service: Segment, make: Make) -> None:
    destination = make(("id",), **AUDIENCE)
    destination.send(batch({"id": ["u1", "u2"]}, ["d1", "d2"]))
    assert dict(service.state.items()) == {"u1": {"vip": True}, "u2": {"vip": True}}
    destination.remove(pl.Series(["u1"]))
    assert service.state["u1"] == {"vip": False}
    told = [(e["type"], e.get("event"), e.get("properties")) for e in service.events if e["userId"] == "u1"]
    assert told == [
        ("identify", None, None),
        ("track", "Audience Entered", {"audience_key": "vip", "vip": True}),
        ("identify", None, None),
        ("track", "Audience Exited", {"audience_key": "vip", "vip": False}),
    ]
    for _ in "12":
        destination.remove_rows(batch({"id": ["u2"]}, ["d3"]))
    assert [e["messageId"] for e in service.events[6:]] == ["d3-i", "d3-t"], "leaving twice is told once"
    personas = {"computation_class": "audience", "computation_key": "vip", "computation_id": "vip", "space_id": "spa"}
    assert all(e["context"] == {"personas": personas} for e in service.events)
    assert [e["messageId"] for e in service.events[:2]] == ["d1-i", "d1-t"]


@pytest.mark.parametrize("ids", [["d1", "d2"], None], ids=["with ids", "without"])
def test_a_lost_answer_has_one_effect(service: Segment, make: Make, ids: list[str] | None) -> None:
    destination = make(("id",), **AUDIENCE)
    service.faults.append(Fault("reset_after"))
    with pytest.raises(Unavailable):
        destination.send(batch({"id": ["u1", "u2"]}, ids))
    destination.send(batch({"id": ["u1", "u2"]}, ids))
    assert len(service.events) == 4
    destination.prepare(delivery(("id",), **AUDIENCE))
    destination.send(batch({"id": ["u1", "u2"]}, ids and ["d3", "d4"]))
    assert len(service.events) == 8, "another delivery is no repetition"


def test_events_go_as_they_were(service: Segment, make: Make) -> None:
    rows = {
        "event_id": ["web/m1", "web/m2", "web/m3"],
        "messageId": ["m1", None, "m3"],
        "type": ["track", "page", "identify"],
        "event": ["Paid", "Home", None],
        "userId": ["u1", None, "u3"],
        "anonymousId": [None, "a2", ""],
        "timestamp": [datetime(1998, 7, 1, 0, 0, 0, 5000)] * 3,
        "properties": ['{"total":1.0,"deep":{"x":["\\u00e9"]}}', '{"url":"/"}', None],
        "traits": [None, None, '{"email":"u3@example.org"}'],
    }
    assert make(tuple(rows), "insert", **EVENTS).send(batch(rows, ["d1", "d2", "d3"])) == SendResult()
    at = {"timestamp": "1998-07-01T00:00:00.005Z"}
    assert service.events == [
        {"type": "track", "event": "Paid", "userId": "u1", "messageId": "m1", **at}
        | {"properties": {"total": 1.0, "deep": {"x": ["é"]}}},
        {"type": "page", "name": "Home", "anonymousId": "a2", "messageId": "d2", **at, "properties": {"url": "/"}},
        {"type": "identify", "userId": "u3", "anonymousId": "", "messageId": "m3", **at}
        | {"traits": {"email": "u3@example.org"}},
    ]


def test_what_segment_would_drop_is_refused(service: Segment, make: Make) -> None:
    rows = {
        "k": ["a", "b", "c", "d", "e", "f", "g"],
        "type": ["track", "track", "Track", "track", "track", "track", None],
        "event": ["A", "A", "A", None, "A", "A", "A"],
        "userId": ["u", "", "u", "u", "u", "u", "u"],
        "messageId": ["m", "m", "m", "m", "m" * 101, "m", "m"],
        "properties": ['{"a":1', "{}", "{}", "{}", "{}", '{"a":"' + "é" * 16_000 + '"}', "{}"],
    }
    failed = make(tuple(rows), "insert", **EVENTS).send(batch(rows)).failed
    assert failed == {
        "a": "properties is no JSON object",
        "b": events.NO_ID,
        "c": "its type is none of the spec",
        "d": "a track call has no event name",
        "e": "its message id is longer than 100 characters",
        "f": "larger than 32,000 bytes as an event",
        "g": "its type is none of the spec",
    }
    assert not service.calls, "nothing was left to send"
    other = make(("id", "user"), "upsert", user_id="user").send(batch({"id": ["a", "b"], "user": [None, "u"]}))
    assert other.failed == {"a": events.NO_ID}
    assert service.dropped == 0


@pytest.mark.parametrize(("rows", "size"), [(6_000, 10), (300, 20_000)])
def test_bodies_keep_to_the_limits(service: Segment, make: Make, rows: int, size: int) -> None:
    names = [("é" if i % 2 else "x") * (size // 2) for i in range(rows)]
    make().send(batch({"id": [f"u{i}" for i in range(rows)], "name": names}))
    assert len(service.events) == rows
    assert service.dropped == 0
    assert max(len(call.body) for call in service.calls) <= 500_000
    assert max(len(call.json()["batch"]) for call in service.calls) <= 2_500


def test_segment_erases_by_regulation(service: Segment, tmp_path: Path) -> None:
    destination = opened(service.url, tmp_path, regulation_token=PUBLIC_API)
    service.state = {f"u{i}": {"name": "x"} for i in range(6_000)}
    assert destination.erase(delivery(), pl.Series([f"u{i}" for i in range(5_999)])) == SendResult()
    assert set(service.state) == {"u5999"}
    assert [len(r["subjectIds"]) for r in service.regulations] == [5_000, 999]
    assert service.regulations[0]["regulationType"] == "SUPPRESS_WITH_DELETE"
    for token, key, text in (
        (None, None, "needs a token"),
        ("old", None, "answered 401"),
        (PUBLIC_API, "name", "no user id"),
    ):
        with pytest.raises(DestinationError, match=text):
            opened(service.url, tmp_path, regulation_token=token).erase(delivery(user_id=key), pl.Series(["u1"]))


@pytest.mark.parametrize(
    ("fields", "mode", "options", "text"),
    [
        (("id",), "mirror", {"user_id": "mail"}, "unknown field 'mail'"),
        (("id", "user"), "mirror", {"user_id": "user"}, "known by the key alone"),
        (("id", "name"), "mirror", AUDIENCE, "every change of name"),
        (("id",), "mirror", {"as": "track", "event": "E"}, "tells who leaves"),
        (("id", "type", "total"), "insert", EVENTS, "unknown field of an event 'total'"),
        (("id", "event"), "insert", EVENTS, "needs the field 'type'"),
        (("id", "type"), "mirror", EVENTS, "not taken back"),
    ],
)
def test_what_does_not_go_together(make: Make, fields: tuple[str, ...], mode: str, options: Any, text: str) -> None:
    with pytest.raises(SpecError, match=text):
        make(fields, mode, **options)
    with pytest.raises(SpecError, match="track needs event"):
        parsed(SegmentSyncOptions, {"as": "track"}, where="syncs.s.options")


def test_answers_that_say_no(service: Segment, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    destination, one = make(), batch({"id": ["SECRET", "u2"], "name": ["Ann", "Bo"]})
    service.faults.append(Fault("status", 429, {"Retry-After": "3"}))
    with pytest.raises(Unavailable) as error:
        destination.send(one)
    assert error.value.retry_after == 3
    service.faults.append(Fault("garbage"))
    with pytest.raises(Unavailable, match="does not say that the calls were taken"):
        destination.send(one)
    rejected = [{"index": 1, "rule": "plan.type", "description": "SECRET"}]
    told = {"success": True, "quarantined": 1, "rejected": rejected}
    monkeypatch.setattr(service, "handle", lambda request: Reply(200, told))
    assert destination.send(one).failed == {"u2": "held there: plan.type"}
    for said in ({"ok": True}, b"OK", b'"OK"'):
        monkeypatch.setattr(service, "handle", lambda request, said=said: Reply(200, said))
        assert destination.send(one) == SendResult(), "as Jitsu and RudderStack say it"
    for said in ({}, {"error": "quota"}, b"", b"[]"):
        monkeypatch.setattr(service, "handle", lambda request, said=said: Reply(200, said))
        with pytest.raises(Unavailable):
            destination.send(one)
    monkeypatch.setattr(service, "handle", lambda request: Reply(200, told))
    told["quarantined"] = 2
    with pytest.raises(BatchRefused, match="held there"):
        destination.send(one)


def test_nothing_to_do_makes_no_call(service: Segment, make: Make) -> None:
    destination = make()
    assert destination.send(batch({"id": [], "name": []})) == SendResult()
    assert destination.remove(pl.Series([], dtype=pl.String)) == SendResult()
    assert not service.calls
    assert "answers" in destination.test()
    assert not service.events
    assert WRITE_KEY not in repr(destination.options) + destination.place(delivery())


def test_our_own_collector_takes_it_all(tmp_path: Path) -> None:
    """The real server: profiles, an audience and events, sent twice, are in its workspace once."""
    rows = {
        "k": ["1", "2"],
        "type": ["track", "alias"],
        "event": ["Paid", None],
        "userId": ["u1", "u2"],
        "previousId": [None, "old"],
        "properties": ['{"total":12.5}', None],
        "timestamp": [datetime(1998, 7, 1)] * 2,
    }
    with serving(tmp_path / "ws") as collector:
        destination = opened(collector.url, tmp_path, write_key=collector.key)
        assert "answers" in destination.test()
        for _ in "12":
            destination.prepare(delivery())
            assert not destination.send(batch({"id": ["u1", "u2"], "name": ["Ann", None]}, ["d1", "d2"])).failed
            destination.prepare(delivery(("id",), **AUDIENCE))
            assert not destination.send(batch({"id": ["u1"]}, ["d3"])).failed
            destination.prepare(delivery(tuple(rows), "insert", **EVENTS))
            assert not destination.send(batch(rows, ["d4", "d5"])).failed
        browser = opened(collector.url, tmp_path, write_key=collector.browser_key)
        browser.prepare(delivery(tuple(rows), "insert", **EVENTS))
        assert browser.send(batch(rows, ["d6", "d7"])).failed == {"2": "held there: key.alias"}
        wrong = opened(collector.url, tmp_path, write_key="wrong")
        with pytest.raises(DestinationError, match="answered 401"):
            wrong.test()
        stored = collector.table("events").sort("message_id")
    assert stored["message_id"].to_list() == ["d1", "d2", "d3-i", "d3-t", "d4", "d5", "d6"]
    assert stored["event"].to_list() == [None, None, None, "Audience Entered", "Paid", None, "Paid"]
    assert json.loads(stored["traits"][2]) == {"vip": True}
    assert stored["timestamp"][4] == datetime(1998, 7, 1)
