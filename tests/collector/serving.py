"""A real collector for tests: its own process, its own workspace, a free port."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import polars as pl

import cdp_core as cdp

EMPTY = (
    "name: test\nregion: US\nsources: {}\nidentity: {identifiers: {user_id: {limit: 1}, anonymous_id: {}, email: {}}}\n"
)


@dataclass
class Collector:
    """`url` is what the process printed; `key` may do everything, `browser_key` is for pages."""

    root: Path
    url: str
    process: subprocess.Popen[str]
    key: str
    browser_key: str
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.url, timeout=30, trust_env=False)

    def post(
        self, path: str, body: Any, *, key: str | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.post(path, content=content, headers=dict(headers or {}), auth=(key or self.key, ""))

    def drain(self) -> cdp.Workspace:
        """Load what has been received, and give the open workspace."""
        ws = cdp.open(self.root)
        while True:
            run = ws.run(select=["load"], wait=60)
            assert run.status == "succeeded", run.error
            if not sum(ws.live.waiting().values()):
                return ws

    def table(self, name: str) -> pl.DataFrame:
        with self.drain() as ws:
            return ws.polars(ws.table(name))

    def stop(self) -> int:
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def workspace(root: Path, source: str = "site", text: str = EMPTY) -> tuple[str, str]:
    """A workspace with one live source and its two keys."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "cdp.yaml").write_text(text)
    with cdp.open(root) as ws:
        server, browser = ws.live.create_key(source), ws.live.create_key(source, browser=True)
    return server["write_key"], browser["write_key"]


@contextlib.contextmanager
def serving(root: Path, *options: str, **environ: str) -> Iterator[Collector]:
    """A collector over a new workspace at `root`."""
    keys = workspace(root)
    with started(root, *options, **environ) as (process, url):
        found = Collector(root, url, process, *keys)
        try:
            yield found
        finally:
            found.client.close()


@contextlib.contextmanager
def started(root: Path, *options: str, **environ: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`cdp collect` on a workspace that is there already, and its address."""
    command = [sys.executable, "-m", "cdp_core.cli", "-w", str(root), "collect", "--port", "0", *options]
    if not options:
        command += ["--drain-every", "off"]
    log = (root / "collector.log").open("a")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **environ})
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        assert url.startswith("http://"), (root / "collector.log").read_text()
        assert _answers(url)
        yield process, url
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
        process.stdout.close()
        log.close()


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            return json.load(opener.open(f"{url}/health", timeout=5))["sources"] == ["site"]
        time.sleep(0.05)
    return False
