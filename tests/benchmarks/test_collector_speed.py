"""Events a second with a durable answer, beside a bare server that parses and throws away; wrk is the client."""

from __future__ import annotations

import base64
import json
import re
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "collector"))
from serving import serving

pytestmark = pytest.mark.benchmark
SECONDS = 8
BATCH = 100
SCRIPT = """
local body = [==[%s]==]
local n = 0
wrk.method = "POST"
wrk.headers["Authorization"] = "Basic %s"
wrk.headers["Content-Type"] = "application/json"
request = function()
  n = n + 1
  return wrk.format("POST", "%s", nil, (string.gsub(body, "MSGID", n .. "-")))
end
"""


def event(number: int) -> dict[str, object]:
    return {
        "type": "track",
        "event": "Product Viewed",
        "userId": f"u{number * 7919 % 1_000_000}",
        "anonymousId": str(uuid.UUID(int=number * 7919)),
        "messageId": f"MSGID{number:08}",
        "timestamp": "2026-11-24T16:00:00.123Z",
        "properties": {"product_id": f"cd-{number}", "genre": "Rock", "price": 9.49, "currency": "USD"},
        "context": {
            "library": {"name": "analytics.js", "version": "2.1"},
            "page": {"path": "/p"},
            "userAgent": "Mozilla/5.0",
        },
    }


@contextmanager
def bare() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, str(Path(__file__).with_name("bare_server.py")), str(port)])
    time.sleep(2)
    assert process.poll() is None
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait()


def measure(url: str, script: Path) -> tuple[float, str, str]:
    """Requests a second, and the latencies that half and 99 of 100 stay below."""
    command = ["wrk", "-t1", "-c32", f"-d{SECONDS}s", "--latency", "-s", str(script), url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in text, text
    p50, p99 = (re.search(rf"(?m)^\s+{p}%\s+(\S+)$", text)[1] for p in (50, 99))  # type: ignore[index]
    return float(re.search(r"Requests/sec:\s+(\S+)", text)[1]), p50, p99  # type: ignore[index]


@pytest.mark.parametrize(("path", "size"), [("/v1/batch", BATCH), ("/v1/track", 1)])
def test_durable_beside_bare(tmp_path: Path, path: str, size: int) -> None:
    if shutil.which("wrk") is None:
        pytest.skip("wrk is not installed")
    events = [event(n) for n in range(size)]
    body = json.dumps(
        {"batch": events, "sentAt": "2026-11-24T16:00:00Z"} if size > 1 else events[0], separators=(",", ":")
    )
    with serving(tmp_path / "ws") as collector, bare() as limit:
        script = tmp_path / "wrk.lua"
        script.write_text(SCRIPT % (body, base64.b64encode(f"{collector.key}:".encode()).decode(), path))
        ours, theirs = measure(collector.url, script), measure(limit, script)
    share = ours[0] / theirs[0]
    for name, (rate, p50, p99) in (("collector, on disk", ours), ("bare, thrown away", theirs)):
        sys.stdout.write(f"\n{path}, {size} each, {name}: {rate * size:,.0f} events/s, p50 {p50}, p99 {p99}")
    sys.stdout.write(f"\nshare {share:.0%}\n")
    if size > 1:
        assert share >= 0.5
