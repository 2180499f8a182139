"""The clients that people have in their sites and servers, as they are: they only get another host."""

from __future__ import annotations

import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import polars as pl
import pytest
from serving import Collector

HERE = Path(__file__).parent / "clients"
CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
PYTHON = ("segment-python", "rudder-python", "segment-python-old")
NODE = ("segment-node", "segment-node-old", "rudder-node", "jitsu-js")
BROWSER = ("segment-browser", "segment-browser-batching", "rudder-browser")
AT = datetime(2026, 5, 1, 12)
pytestmark = pytest.mark.xdist_group("clients")


def missing(what: str) -> None:
    """Clients come from package registries, which not every machine can reach."""
    pytest.skip(f"{what} cannot be installed")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the JavaScript clients of package-lock.json."""
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "package-lock.json", "browser.html"):
        shutil.copy(HERE / name, folder)
    if shutil.which("npm") is None:
        missing("npm")
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    if subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=300).returncode:
        missing("the packages of package-lock.json")
    return folder


def python_client(name: str, folder: Path) -> Path:
    """A folder with one Python client and what it needs; they do not agree with each other about that."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--target", str(folder), "-r", str(HERE / f"{name}.txt")]
    if subprocess.run(command, capture_output=True, check=False, timeout=300).returncode:
        missing(name)
    return folder


def run(command: list[str], **environ: str) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=90, env={**os.environ, **environ}
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]


def node_version() -> int:
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    return int(said.strip().removeprefix("v").partition(".")[0])


def arrived(collector: Collector, client: str) -> dict[str, dict[str, Any]]:
    """What one client has sent, by type; every event is there once."""
    rows = collector.table("events").filter(pl.col("user_id") == f"user-{client}")
    found = {row["type"]: row for row in rows.iter_rows(named=True)}
    assert rows.height == len(found), rows.select("type", "message_id").rows()
    held = collector.table("quarantine").filter(pl.col("payload").str.contains(f"user-{client}", literal=True))
    assert held.is_empty(), held["reasons"].to_list()
    return found


def check(found: dict[str, dict[str, Any]], client: str, *, at: datetime | None, alias: bool = True) -> None:
    """Ids, traits, properties and times are what the client was told."""
    assert set(found) == {"identify", "track", "page", "group", *(["alias"] if alias else [])}
    traits = json.loads(found["identify"]["traits"])
    assert {"email": f"{client}@example.org", "plan": "gold"}.items() <= traits.items()
    assert found["track"]["event"] == "Order Completed"
    assert {"total": 9.5, "products": [{"sku": "a"}]}.items() <= json.loads(found["track"]["properties"]).items()
    assert json.loads(found["page"]["properties"])["path"] == "/"
    assert found["group"]["group_id"] == f"group-{client}"
    assert json.loads(found["group"]["traits"])["name"] == "Acme"
    if alias:
        assert found["alias"]["previous_id"] == f"anon-{client}"
    for row in found.values():
        now = datetime.now(UTC).replace(tzinfo=None)
        assert abs(row["received_at"] - now) < timedelta(minutes=5)
        expected = at or row["received_at"]
        assert abs(row["timestamp"] - expected) < timedelta(seconds=30), row["type"]


@pytest.mark.parametrize("client", PYTHON)
def test_python(collector: Collector, client: str, tmp_path: Path) -> None:
    folder = python_client(client, tmp_path / "site")
    run([sys.executable, str(HERE / "send.py"), client, collector.url, collector.key], PYTHONPATH=str(folder))
    check(arrived(collector, client), client, at=AT)


@pytest.mark.parametrize("client", NODE)
def test_node(collector: Collector, node: Path, client: str) -> None:
    if client == "segment-node" and node_version() < 20:
        pytest.skip("this client wants Node 20")
    run(["node", str(HERE / "send.mjs"), client, collector.url, collector.key, str(node)])
    jitsu = client == "jitsu-js"
    check(arrived(collector, client), client, at=None if jitsu else AT, alias=not jitsu)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        return


@pytest.fixture
def pages(node: Path) -> Iterator[str]:
    """The page and the libraries from another origin than the collector's."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(node)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.browser
@pytest.mark.parametrize("client", BROWSER)
def test_browser(collector: Collector, pages: str, client: str) -> None:
    from playwright.sync_api import sync_playwright

    if not CHROMIUM.exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("chromium is not installed")
    foreign: list[str] = []
    asked = urlencode({"client": client, "url": collector.url, "key": collector.key})
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        page = browser.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.route(
            re.compile(r"^https?://(?!127\.0\.0\.1)"), lambda route: (foreign.append(route.request.url), route.abort())
        )
        page.goto(f"{pages}/browser.html?{asked}")
        try:
            page.wait_for_function("document.title !== 'shop'", timeout=30_000)
        except Exception as error:
            raise AssertionError((said, foreign)) from error
        assert page.title() == "sent", (page.title(), said)
        page.wait_for_timeout(2500)
        browser.close()
    assert foreign == []
    check(arrived(collector, client), client, at=None)
