"""The tracking API over a real socket: every address, every way to give the key, limits, and what is answered."""

from __future__ import annotations

import base64
import contextlib
import functools
import gzip
import json
import socket
import time
import uuid
import zlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import polars as pl
import pytest
from serving import Collector

import cdp_core as cdp
from cdp_core.collector.routes import EVENT_PATHS, SERVER_PATHS
from cdp_core.config import set_definition
from cdp_core.inbox.limits import MAX_BATCH_EVENTS, MAX_BODY_BYTES, MAX_EVENT_BYTES
from cdp_core.tracking import TYPES


def event(kind: str = "track", **more: Any) -> dict[str, Any]:
    base: dict[str, Any] = {"type": kind, "userId": "u1", "messageId": uuid.uuid4().hex}
    extra = {"track": {"event": "Bought"}, "group": {"groupId": "g1"}, "alias": {"previousId": "a1"}}
    return {**base, **extra.get(kind, {}), **more}


def stored(collector: Collector, *ids: str) -> pl.DataFrame:
    return collector.table("events").filter(pl.col("message_id").is_in(list(ids))).sort("message_id")


def held(collector: Collector, text: str) -> list[dict[str, Any]]:
    rows = collector.table("quarantine").filter(pl.col("payload").str.contains(text, literal=True))
    return [{"payload": r["payload"], **json.loads(r["reasons"])[0]} for r in rows.iter_rows(named=True)]


def test_every_address_receives(collector: Collector) -> None:
    sent = {}
    for path, kind in (EVENT_PATHS | SERVER_PATHS).items():
        one = event(kind or "track")
        body = {"batch": [one]} if kind is None else {k: v for k, v in one.items() if k != "type"}
        answer = collector.post(path, body)
        assert (answer.status_code, answer.json()) == (
            200, {"success": True, "accepted": 1, "quarantined": 0, "duplicates": 0}
        ), path  # fmt: skip
        sent[one["messageId"]] = kind or "track"
    rows = stored(collector, *sent)
    assert dict(rows.select("message_id", "type").iter_rows()) == sent


@pytest.mark.parametrize("kind", TYPES)
def test_pixel(collector: Collector, kind: str) -> None:
    one = event(kind)
    data = base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=")
    for path in (f"/v1/pixel/{kind}", f"/pixel/v1/{kind}"):
        answer = collector.client.get(path, params={"data": data, "writeKey": collector.key})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
    assert stored(collector, one["messageId"])["type"].to_list() == [kind]


def test_keys_in_every_place(collector: Collector) -> None:
    key, post = collector.key, collector.client.post
    ways: list[dict[str, Any]] = [
        {"headers": {"Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}},
        {"headers": {"authorization": "basic " + base64.b64encode(key.encode()).decode()}},
        {"headers": {"X-Write-Key": key}},
        {"headers": {"Authorization": f"Bearer {key}"}},
        {"params": {"writeKey": key}},
    ]
    for way in ways:
        assert post("/v1/track", json=event(), **way).status_code == 200, way
    assert post("/v1/track", json=event(writeKey=key)).status_code == 200
    assert post("/v1/batch", json={"batch": [event()], "writeKey": key}).status_code == 200
    for way in ({}, {"headers": {"X-Write-Key": "wrong"}}, {"headers": {"Authorization": "Basic %%%"}}):
        answer = post("/v1/track", json=event(), **way)
        assert answer.status_code == 401
        assert "cdp source key" in answer.json()["error"]["hint"] or "write key" in answer.json()["error"]["what"]


def test_the_write_key_is_kept_nowhere(collector: Collector) -> None:
    collector.post("/v1/batch", {"batch": [event(context={"a": 1})], "writeKey": collector.key})
    files = [p for p in (collector.root / "data").rglob("*") if p.is_file()]
    assert files
    assert not [p for p in files if collector.key.encode() in p.read_bytes()]


@pytest.mark.parametrize("encoding", ["gzip", "", "deflate"])
def test_compression_by_header_and_by_magic(collector: Collector, encoding: str) -> None:
    one = event()
    plain = json.dumps({"batch": [one]}).encode()
    data = zlib.compress(plain) if encoding == "deflate" else gzip.compress(plain)
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        **({"Content-Encoding": encoding} if encoding else {}),
    }
    assert collector.post("/v1/batch", data, headers=headers).status_code == 200
    assert stored(collector, one["messageId"]).height == 1


def test_a_label_that_lies_costs_nothing(collector: Collector) -> None:
    answer = collector.post("/v1/track", event(), headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 200


def test_one_bad_event_costs_the_others_nothing(collector: Collector) -> None:
    mark = uuid.uuid4().hex
    good = [event(), event()]
    bad = [
        ('{"type":"track","event":"X","userId":"MARK","p":NaN}', "parse.number"),
        ('{"type":"track","event":"X","userId":"MARK","p":1e999}', "parse.number"),
        ('{"type":"track","event":"X","userId":"MARK","p":"\\ud800"}', None),
        ('{"type":"track","event":"X","userId":"MARK","p":"\\u0000"}', "parse.nul_bytes"),
        ('{"type":"track","event":"X","userId":"MARK","userId":"b"}', "parse.duplicate_key"),
        ('{"type":"track","userId":"MARK"}', "spec.event"),
        ('{"type":"nope","userId":"MARK"}', "spec.type"),
        ('{"type":"track","event":"MARK"}', "spec.no_identifier"),
        ('{"type":"track","event":"X","userId":"MARK","properties":[1]}', "spec.object"),
        ('["MARK"]', "parse.object"),
        ('{"type":"track","event":"X","userId":"MARK","n":LONG}', "parse.number"),
        ('{"type":"track","event":"X","userId":"MARK","d":DEEP}', "parse.depth"),
        ('{"type":"track","event":"X","userId":"MARK","timestamp":"yesterday"}', "map.time"),
        ('{"type":"track" "event":"MARK"}', "parse.json"),
    ]  # fmt: skip
    words = {"MARK": mark, "DEEP": "[" * 5000 + "]" * 5000, "LONG": "9" * 5000}
    bad = [(functools.reduce(lambda t, w: t.replace(*w), words.items(), text), rule) for text, rule in bad]
    body = ",".join([json.dumps(good[0]), *(text for text, _ in bad), json.dumps(good[1])])
    answer = collector.post("/v1/batch", ('{"batch":[' + body + "]}").encode(errors="surrogatepass"))
    assert answer.status_code == 200
    assert stored(collector, good[0]["messageId"], good[1]["messageId"]).height == 2
    rules = {row["payload"]: row["rule"] for row in held(collector, mark)}
    for text, rule in bad:
        if rule is not None:
            assert rules.get(text) == rule, text[:80]
    others = collector.table("events").filter(pl.col("user_id") == mark).height
    assert others + len(rules) == len(bad)


def test_bytes_that_are_no_text(collector: Collector) -> None:
    mark, good = uuid.uuid4().hex, event()
    body = (
        b'{"batch":[{"type":"track","event":"X","userId":"'
        + mark.encode()
        + b'\xff"},'
        + json.dumps(good).encode()
        + b"]}"
    )
    answer = collector.post("/v1/batch", body).json()
    assert (answer["accepted"], answer["quarantined"]) == (1, 1)
    assert [row["rule"] for row in held(collector, mark)] == ["parse.encoding"]
    assert stored(collector, good["messageId"]).height == 1


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b'{"batch":[', b'{"batch":5}', b"{}", b"[1,", b'{"batch":[1]]}', b"\x1f\x8bxx"]
)
def test_what_is_no_json_is_400_and_kept(collector: Collector, body: bytes) -> None:
    body = body and body + b" " * 3
    before = collector.table("quarantine").height
    answer = collector.post("/v1/batch", body)
    assert answer.status_code == 400
    assert not answer.json()["success"]
    assert collector.table("quarantine").height in (before, before + 1)


def test_limits_to_the_byte(collector: Collector) -> None:
    base = event(properties={"x": ""})
    room = MAX_EVENT_BYTES - len(json.dumps(base))
    fits, over = event(properties={"x": "a" * room}), event(properties={"x": "a" * (room + 1)})
    assert len(json.dumps(fits)) == MAX_EVENT_BYTES
    answer = collector.post("/v1/batch", {"batch": [fits, over]}).json()
    assert (answer["accepted"], answer["quarantined"]) == (1, 1)
    assert answer["rejected"] == [{"index": 1, "rule": "limit.event_size", "description": "more than 32,768 bytes"}]
    assert stored(collector, fits["messageId"], over["messageId"])["message_id"].to_list() == [fits["messageId"]]
    assert held(collector, over["messageId"])[0]["rule"] == "limit.event_size"


@pytest.mark.parametrize(("more", "status"), [(0, 200), (1, 400)])
def test_largest_body(collector: Collector, more: int, status: int) -> None:
    one = json.dumps({"batch": [event()]})
    text = one + " " * (MAX_BODY_BYTES + more - len(one))
    assert collector.post("/v1/batch", text.encode()).status_code == status
    assert collector.post("/v1/batch", gzip.compress(text.encode())).status_code == status


def test_most_events_of_a_batch(collector: Collector) -> None:
    mark = uuid.uuid4().hex[:8]
    many = [{"type": "page", "userId": "u", "messageId": f"{mark}{i}"} for i in range(MAX_BATCH_EVENTS + 2)]
    answer = collector.post("/v1/batch", {"batch": many}).json()
    assert (answer["accepted"], answer["quarantined"]) == (MAX_BATCH_EVENTS, 2)
    assert stored(collector, *(e["messageId"] for e in many)).height == MAX_BATCH_EVENTS
    assert [row["rule"] for row in held(collector, mark)] == ["limit.batch"] * 2


def test_bomb(collector: Collector) -> None:
    started = time.monotonic()
    answer = collector.post("/v1/batch", gzip.compress(b"[" + b" " * (400 << 20) + b"]", 9))
    assert answer.status_code == 400
    assert time.monotonic() - started < 10


def test_duplicates_are_told_and_stored_once(collector: Collector) -> None:
    one, two = event(), event()
    assert collector.post("/v1/batch", {"batch": [one, one]}).json()["duplicates"] == 1
    answer = collector.post("/v1/batch", {"batch": [one, two]}).json()
    assert (answer["accepted"], answer["duplicates"]) == (1, 1)
    assert stored(collector, one["messageId"], two["messageId"]).height == 2
    assert collector.post("/v1/track", one).json()["duplicates"] == 1
    assert stored(collector, one["messageId"]).height == 1


def test_events_without_an_id_are_all_different(collector: Collector) -> None:
    mark = uuid.uuid4().hex
    body = {"type": "page", "userId": mark}
    for _ in range(2):
        assert collector.post("/v1/batch", {"batch": [body, body]}).json()["accepted"] == 2
    assert collector.table("events").filter(pl.col("user_id") == mark).height == 4


def test_times_follow_the_clients_clock(collector: Collector) -> None:
    """Rule: timestamp = receivedAt − (sentAt − originalTimestamp)."""
    fast = timedelta(hours=3)
    made, sent = datetime(2020, 5, 1, 12), datetime(2020, 5, 1, 12, 5)
    one = event(timestamp=(made + fast).isoformat() + "Z", receivedAt="2001-01-01T00:00:00Z")
    two = event()
    collector.post("/v1/batch", {"batch": [one, two], "sentAt": (sent + fast).isoformat() + "Z"})
    rows = {r["message_id"]: r for r in stored(collector, one["messageId"], two["messageId"]).iter_rows(named=True)}
    row = rows[one["messageId"]]
    assert row["original_timestamp"] == made + fast
    assert row["received_at"] - row["timestamp"] == sent - made
    assert abs(row["received_at"] - datetime.now().astimezone().replace(tzinfo=None)) < timedelta(days=2)
    assert rows[two["messageId"]]["timestamp"] == rows[two["messageId"]]["received_at"]


def test_context_of_the_batch_goes_into_each_event(collector: Collector) -> None:
    one, two = event(context={"app": {"name": "own"}}), event("identify", traits={"a": 1})
    body = {"batch": [one, two], "context": {"app": {"name": "outer"}, "ip": "192.0.2.9", "traits": {"b": 2}}}
    collector.post("/v1/batch", body)
    rows = {r["message_id"]: r for r in stored(collector, one["messageId"], two["messageId"]).iter_rows(named=True)}
    assert json.loads(rows[one["messageId"]]["context"])["app"] == {"name": "own"}
    assert json.loads(rows[one["messageId"]]["context"])["ip"] == "192.0.2.9"
    assert json.loads(rows[two["messageId"]]["traits"]) == {"a": 1, "b": 2}


@pytest.mark.parametrize("context", ["5", "[]", '{"a":"\\u0000"}', '{"a":1e999}', '{"a":NaN}'])
def test_a_context_of_the_batch_that_cannot_be_read_holds_its_events(collector: Collector, context: str) -> None:
    one = event()
    body = '{"context":' + context + ',"batch":[' + json.dumps(one) + "]}"
    answer = collector.post("/v1/batch", body.encode()).json()
    assert (answer["accepted"], answer["quarantined"]) == (0, 1)
    assert held(collector, one["messageId"])[0]["rule"] == "spec.envelope"


def test_browser_keys_may_not_join_people(collector: Collector) -> None:
    alias = event("alias")
    answer = collector.post("/v1/batch", {"batch": [alias, event()]}, key=collector.browser_key).json()
    assert (answer["accepted"], answer["quarantined"]) == (1, 1)
    assert held(collector, alias["messageId"])[0]["rule"] == "key.alias"
    assert collector.post("/v1/alias", alias, key=collector.browser_key).json()["quarantined"] == 1
    assert collector.post("/v1/import", {"batch": []}, key=collector.browser_key).status_code == 403


def test_cors(collector: Collector) -> None:
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Headers": "authorization,x-retry-count"}
    answer = collector.client.options("/v1/batch", headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert answer.headers["access-control-allow-headers"] == "authorization,x-retry-count"
    sent = collector.post("/v1/track", event(), headers={"Origin": "https://shop.example"})
    assert sent.headers["access-control-allow-origin"] == "https://shop.example"


def test_settings_for_browsers(collector: Collector) -> None:
    found = collector.client.get(f"/v1/projects/{collector.browser_key}/settings").json()
    assert found["integrations"]["Segment.io"]["apiHost"] == f"{urlsplit(collector.url).netloc}/v1"
    assert collector.client.get("/v1/projects/wrong/settings").status_code == 401
    rudder = collector.client.get("/sourceConfig/", params={"writeKey": collector.browser_key}).json()
    assert rudder["source"]["enabled"]


def test_other_addresses_and_methods(collector: Collector) -> None:
    assert collector.client.get("/v1/batch").status_code == 405
    assert collector.client.get("/nothing").status_code == 404
    assert collector.client.get("/nothing").json()["error"]["hint"] == "see /openapi.json"


def test_health_and_metrics(collector: Collector) -> None:
    assert collector.client.get("/health").json()["status"] == "ok"
    before = _metric(collector, 'cdp_collector_events_total{outcome="accepted",source="site"}')
    collector.post("/v1/batch", {"batch": [event(), event()]})
    assert _metric(collector, 'cdp_collector_events_total{outcome="accepted",source="site"}') == before + 2
    assert _metric(collector, "cdp_collector_inbox_bytes") > 0


def _metric(collector: Collector, name: str) -> float:
    lines = collector.client.get("/metrics").text.splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)), 0.0)


def test_a_body_that_never_ends_is_cut_off(collector: Collector) -> None:
    host, port = urlsplit(collector.url).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=40) as line:
        line.sendall(b"POST /v1/track HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        answer = line.recv(4096)
    assert b" 408 " in answer.split(b"\r\n")[0] + b" "


def rss(collector: Collector) -> int:
    status = Path(f"/proc/{collector.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


@pytest.mark.parametrize("piece", [b"a" * 100_000, b"a: b\r\n" * 20_000], ids=["one header", "many headers"])
def test_headers_without_end_are_cut_off(collector: Collector, piece: bytes) -> None:
    host, port = urlsplit(collector.url).netloc.split(":")
    before = rss(collector)
    with socket.create_connection((host, int(port)), timeout=20) as line:
        sent = 0
        with contextlib.suppress(OSError):
            line.sendall(b"POST /v1/track HTTP/1.1\r\nX: ")
            for _ in range(500):
                line.sendall(piece)
                sent += len(piece)
    assert sent < 40_000_000
    assert rss(collector) - before < 20_000_000
    assert collector.client.get("/health").status_code == 200


def test_large_headers_within_bounds_are_read(collector: Collector) -> None:
    assert collector.post("/v1/track", event(), headers={"X-Long": "a" * 20_000}).status_code == 200


def test_limits_of_a_key_hold_for_broken_bodies_too(collector: Collector) -> None:
    set_definition(collector.root, "sources", "limited", {"type": "collector", "events_per_second": 2})
    with cdp.open(collector.root) as ws:
        key = ws.live.create_key("limited")["write_key"]
    assert _until(collector, key, 200)
    for body in (b"nonsense", json.dumps({"batch": [event()]}).encode()):
        answers = [collector.post("/v1/batch", body, key=key) for _ in range(8)]
        late = [a for a in answers if a.status_code == 429]
        assert late
        assert 1 <= int(late[0].headers["retry-after"]) <= 5
        assert late[0].headers["x-ratelimit-reset"] == late[0].headers["retry-after"]


def test_a_compressed_body_that_is_no_json_is_kept_readable(collector: Collector) -> None:
    mark = uuid.uuid4().hex
    before = _metric(collector, "cdp_collector_received_bytes_total")
    answer = collector.post("/v1/batch", gzip.compress(f"no json {mark} {collector.key}".encode()))
    assert answer.status_code == 400
    assert held(collector, mark)[0]["payload"] == f"no json {mark} ***"
    assert _metric(collector, "cdp_collector_received_bytes_total") > before


def test_endless_chunks_are_refused(collector: Collector) -> None:
    def chunks() -> Any:
        for _ in range(2000):
            yield b"x" * 1000

    assert collector.client.post("/v1/track", content=chunks(), auth=(collector.key, "")).status_code == 400


def test_keys_are_created_and_revoked_while_it_runs(collector: Collector) -> None:
    with cdp.open(collector.root) as ws:
        made = ws.live.create_key("site")
        assert _until(collector, made["write_key"], 200)
        ws.live.revoke_key("site", made["id"])
        assert _until(collector, made["write_key"], 401)
        known = ws.live.keys("site")
        assert known.filter(pl.col("id") == made["id"])["revoked_at"].null_count() == 0
        with pytest.raises(cdp.UsageError, match="unknown key"):
            ws.live.revoke_key("site", made["id"])


def test_a_source_that_is_added_while_it_runs(collector: Collector) -> None:
    with cdp.open(collector.root) as ws:
        made = ws.live.create_key("app")
    assert made["created_source"]
    assert _until(collector, made["write_key"], 200)


@pytest.mark.parametrize("name", ["", "two words", "1st", "a" * 64, "x/y"])
def test_a_name_that_cannot_be_a_source(collector: Collector, name: str) -> None:
    before = (collector.root / "cdp.yaml").read_text()
    with cdp.open(collector.root) as ws, pytest.raises(cdp.UsageError, match="cannot be a source's name"):
        ws.live.create_key(name)
    assert (collector.root / "cdp.yaml").read_text() == before


def _until(collector: Collector, key: str, status: int) -> bool:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if collector.post("/v1/track", event(), key=key).status_code == status:
            return True
        time.sleep(0.1)
    return False


def test_what_came_lately(collector: Collector) -> None:
    mark = uuid.uuid4().hex
    collector.post("/v1/page", {"userId": mark, "name": "Home"})
    collector.post("/v1/batch", {"batch": [event(userId=mark), {"type": "track", "userId": mark}, {"type": "nope"}]})
    collector.post("/v1/batch", b'{"batch":[{"type":"page","userId":NaN}]}')
    with cdp.open(collector.root) as ws:
        rows = ws.live.recent(5).rows(named=True)
    assert [(r["type"], r["event"], r["status"], r["rule"]) for r in rows] == [
        (None, None, "held", "parse.json"), ("nope", None, "held", "spec.type"), ("track", None, "held", "spec.event"),
        ("track", "Bought", "passed", None), ("page", "Home", "passed", None),
    ]  # fmt: skip
    assert rows[2]["reason"] == "a track event has no name in `event`"
    assert json.loads(rows[3]["payload"])["userId"] == mark
