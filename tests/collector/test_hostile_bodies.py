"""Bodies that somebody made to hurt: no answer of 5xx, no growth, good neighbours accepted, everything accounted for."""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import os
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import polars as pl
import pytest
from serving import Collector

from cdp_core.collector.routes import EVENT_PATHS

BODIES = int(os.environ.get("CDP_BODIES", "1500"))
VALUES: tuple[Callable[[random.Random], bytes], ...] = (
    lambda r: r.choice([b"NaN", b"-NaN", b"Infinity", b"-Infinity", b"nan", b"1e999", b"-1e999", b"1E+0400", b"1e309"]),
    lambda r: b"9" * r.choice([17, 309, 5000]),
    lambda r: b"-0." + b"1" * r.randint(1, 400) + b"e-9999",
    lambda r: r.choice([b'"\\ud800"', b'"\\udfff\\ud800"', b'"\\u0000"', b'"\x00"', b'"a\\u0000b"', b'"\\x41"', b'"\\"']),
    lambda r: b'"' + bytes(r.randrange(128, 256) for _ in range(r.randint(1, 8))) + b'"',
    lambda r: b'"\xef\xbf\xbe\xf4\x90\x80\x80\xed\xa0\x80\xc0\xaf"',
    lambda r: b"[" * (n := r.choice([10, 99, 101, 5000])) + b"]" * n,
    lambda r: b'{"a":' * (n := r.choice([50, 101, 3000])) + b"1" + b"}" * n,
    lambda r: b"[" * r.randint(1, 3000),
    lambda r: b'{"a":1,"a":2,"":3,"":4}',
    lambda r: b'"' + b"x" * r.choice([10, 32_768, 100_000]) + b'"',
    lambda r: r.choice([b"", b",", b":", b"}", b"]", b"undefined", b"None", b"True", b"'a'", b"/*c*/1", b"01", b"+1", b".5"]),
    lambda r: r.choice([b"null", b"true", b"[]", b"{}", b'""', b'" "', b"0", b"-0", b"1.0", b'"null"', b'"undefined"']),
    lambda r: '"\u202e\u200b\ufeff\U0001f600\u0130i\u0307 ſ"'.encode(),
    lambda r: b'"' + r.choice([b"'; DROP TABLE events; --", b"${jndi:ldap://x}", b"=cmd|' /C calc'!A0", b"<script>"]) + b'"',
    lambda r: b'"' + r.choice([b"9999-99-99", b"0000-00-00T00:00:00Z", b"+275760-09-13", b"2026-02-30", b"1e3"]) + b'"',
)  # fmt: skip
FIELDS = (
    "type", "event", "name", "userId", "anonymousId", "groupId", "previousId", "messageId", "timestamp", "sentAt",
    "originalTimestamp", "receivedAt", "properties", "traits", "context", "integrations", "batch", "writeKey", "__proto__",
    "a.b", "a\\\"b", "\\u0000", "",
)  # fmt: skip


class Bad:
    """Draws bodies; `good` counts the good events among the elements of a sound list."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.number = 0

    def good(self) -> bytes:
        self.number += 1
        return b'{"type":"track","event":"Good","userId":"good","messageId":"good-%d"}' % self.number

    def element(self) -> bytes:
        """An event in which something is wrong, or something that is no event. Its brackets match outside strings."""
        rng = self.rng
        parts = [b'"type":"track","event":"E","userId":"bad"'] if rng.random() < 0.8 else []
        for _ in range(rng.randint(1, 3)):
            value = rng.choice(VALUES)(rng)
            if not _balanced(value):
                value = b"nope"
            parts.append(b'"' + rng.choice(FIELDS).encode() + b'":' + value)
        text = b"{" + b",".join(parts) + b"}"
        if rng.random() < 0.15:
            text = rng.choice(
                [value for value in (rng.choice(VALUES)(rng) for _ in range(9)) if _balanced(value)] or [b"1"]
            )
        return text

    def batch(self) -> tuple[bytes, int]:
        """A list with good events around bad ones."""
        texts = [self.good(), self.element(), self.good()]
        return b'{"batch":[' + b",".join(texts) + b"]}", 2

    def mutated(self) -> tuple[bytes, int]:
        """A sound body with bytes taken out, put in, doubled, turned, or cut short."""
        rng, (body, _) = self.rng, self.batch()
        data = bytearray(body)
        for _ in range(rng.randint(1, 6)):
            place = rng.randrange(len(data)) if data else 0
            what = rng.randrange(4)
            if what == 0:
                del data[place : place + rng.randint(1, 20)]
            elif what == 1:
                data[place:place] = rng.choice(VALUES)(rng)
            elif what == 2:
                data[place : place + 1] = bytes([rng.randrange(256)])
            else:
                data = data[: max(1, place)]
        return bytes(data), 0

    def body(self) -> tuple[bytes, int]:
        draw = self.rng.random()
        if draw < 0.55:
            return self.batch()
        if draw < 0.85:
            return self.mutated()
        if draw < 0.9:
            return gzip.compress(self.batch()[0])[: self.rng.randint(1, 200)], 0
        if draw < 0.95:
            return bytes(self.rng.randrange(256) for _ in range(self.rng.randint(0, 300))), 0
        return self.batch()[0].decode(errors="replace").encode(self.rng.choice(["utf-16", "utf-32", "utf-7"])), 0


def _balanced(text: bytes) -> bool:
    """Whether the text stays where it is put: strings end, brackets match, no comma of its own level."""
    closing: list[int] = []
    inside = escaped = False
    for byte in text:
        if inside:
            inside, escaped = byte != 34 or escaped, byte == 92 and not escaped
        elif byte == 34:
            inside = True
        elif byte in b"[{":
            closing.append(93 if byte == 91 else 125)
        elif byte in b"]}":
            if not closing or closing.pop() != byte:
                return False
        elif byte == 44 and not closing:
            return False
    return not inside and not closing


def rss(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) * 1024


@pytest.mark.timeout(3600)
def test_hostile_bodies(collector: Collector) -> None:
    bad = Bad(int(os.environ.get("CDP_SEED", "11")))
    line = http.client.HTTPConnection(urlsplit(collector.url).netloc, timeout=30)
    auth = {"Authorization": "Basic " + base64.b64encode(f"{collector.key}:".encode()).decode()}
    statuses: Counter[int] = Counter()
    told, wanted, kept, early = 0, 0, 0, 0
    for number in range(BODIES):
        body, good = bad.body()
        path = "/v1/batch" if good else bad.rng.choice(list(EVENT_PATHS))
        line.request("POST", path, body, auth)
        answer = line.getresponse()
        text = answer.read()
        statuses[answer.status] += 1
        said = json.loads(text)
        if answer.status == 200:
            told += said["accepted"] + said["quarantined"] + said["duplicates"]
            if good:
                assert said["accepted"] >= good, (body[:300], text)
        else:
            assert not good, (body[:300], text)
            kept += "quarantine" in said["error"]["hint"]
        wanted += good
        if number == BODIES // 5:
            early = rss(collector.process.pid)
    grown = rss(collector.process.pid) - early
    assert set(statuses) == {200, 400}, statuses
    assert grown < 40 << 20, f"{grown:,} bytes more"
    check_all_is_accounted_for(collector, told + kept, wanted)
    sys.stdout.write(f"\n{BODIES:,} bodies: {dict(statuses)}, {told + kept:,} events, memory {grown / 1e6:+.1f} MB\n")


def check_all_is_accounted_for(collector: Collector, received: int, good: int) -> None:
    with collector.drain() as ws:
        loads = ws.sql(
            "SELECT sum(rows_read) AS r, sum(events) AS e, sum(duplicates) AS d, sum(quarantined) AS q FROM source_loads"
        )
        row = loads.row(0, named=True)
        found = ws.polars(ws.table("events")).filter(pl.col("user_id") == "good")["message_id"]
        reasons = ws.sql("SELECT count(*) AS n FROM quarantine WHERE reasons IS NULL OR payload IS NULL")
    assert row["r"] == received
    assert row["r"] == row["e"] + row["d"] + row["q"]
    assert found.n_unique() == found.len() >= good
    assert reasons["n"].item() == 0
