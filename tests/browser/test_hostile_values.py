"""Values of customers stay text in the browser, and the server answers whom it should."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from pathlib import Path

import hostile_world
import pytest
from playwright.sync_api import Page
from test_walk import Watch, address, idle, watched

import cdp_core as cdp
from cdp_core.dashboard.headers import HEADERS

__all__ = ["address", "watched"]
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
INJECTED = """() => {
    const found = [];
    const within = (e) => (e.closest('[data-testid]') || e).outerHTML.slice(0, 80);
    for (const e of document.querySelectorAll('img, iframe, script, object, embed, form, svg image'))
        if (/evil|^x$/.test(e.getAttribute('src') || e.getAttribute('href') || '')) found.push('element ' + within(e));
    for (const e of document.querySelectorAll('a'))
        if (/evil|javascript:/i.test(e.getAttribute('href') || '') && e.innerText !== e.getAttribute('href'))
            found.push('link ' + within(e));
    for (const e of document.querySelectorAll('strong, b, code'))
        if (/^(xssbold|xsscode)$/.test(e.innerText)) found.push('markup ' + within(e));
    if (document.querySelector('.katex')) found.push('formula ' + within(document.querySelector('.katex')));
    for (const e of document.querySelectorAll('[data-testid=stMain] span'))
        if (e.innerText === 'xssred' && !e.closest('[data-testid=stCode]')) found.push('colour ' + within(e));
    if (window.__xss) found.push('it ran');
    return found;
}"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hostile") / "shop"
    root.mkdir()
    hostile_world.write(root)
    with cdp.open(root) as ws:
        assert ws.run(sync=True).status == "succeeded"
    return root


@pytest.fixture
def ids(shop: Path) -> Iterator[list[str]]:
    with cdp.open(shop) as ws:
        yield ws.sql("SELECT profile_id FROM profiles ORDER BY ALL LIMIT 1")["profile_id"].to_list()


def test_what_customers_are_called_is_text_on_every_page(
    watched: tuple[Page, Watch], address: str, ids: list[str]
) -> None:
    page, watch = watched
    page.on("dialog", lambda dialog: watch.errors.append(f"a dialog: {dialog.message}"))
    page.get_by_text("Show personal data").first.click()
    idle(page)
    places = ["Overview", "Live", "Quality", "Customers", "Identity", "Audiences", "Destinations"]
    seen = 0
    for place in places:
        page.get_by_test_id("stSidebarNav").get_by_role("link", name=place).click()
        seen += _inert(page, place)
    for path in (f"customers?profile={ids[0]}", "audiences?audience=everyone", "destinations?sync=all"):
        page.goto(f"{address}/{path}")
        page.get_by_role("tab").first.wait_for()
        page.get_by_text("Show personal data").first.click()
        seen += _inert(page, path)
        for number in range(page.get_by_role("tab").count()):
            page.get_by_role("tab").nth(number).click()
            seen += _inert(page, f"{path}, tab {number}")
    assert seen > 20, "the hostile text must be there to be seen"
    assert watch.foreign == []
    assert watch.errors == []


def _inert(page: Page, place: str) -> int:
    idle(page)
    assert page.get_by_test_id("stException").count() == 0, place
    assert page.evaluate(INJECTED) == [], place
    return page.get_by_test_id("stApp").inner_text().count("xssbold")


def test_the_walk_would_find_what_is_injected(watched: tuple[Page, Watch]) -> None:
    """The positive control, and the second line: what does get into the page cannot load anything."""
    page, watch = watched
    hurt = """() => { const place = document.querySelector('[data-testid=stMain]');
        place.insertAdjacentHTML('beforeend', '<img src="http://evil.test/p.png"><strong>xssbold</strong>'
            + '<a href="javascript:1">l</a><span class="katex">x</span>'); }"""
    page.evaluate(hurt)
    assert len(page.evaluate(INJECTED)) == 4
    page.wait_for_timeout(500)
    assert any("Content Security Policy" in error for error in watch.errors)


def test_reports_hold_text(shop: Path, tmp_path: Path) -> None:
    with cdp.open(shop) as ws:
        text = ws.quality_report(tmp_path / "report.html").read_text()
    assert "<script>window.__xss" not in text
    assert "<img src" not in text


def _status(address: str, path: str, **headers: str) -> tuple[int, dict[str, str]]:
    host = address.removeprefix("http://")
    line = http.client.HTTPConnection(host, timeout=10)
    try:
        line.request("GET", path, headers=headers)
        answer = line.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}
    finally:
        line.close()


def _websocket(address: str, **headers: str) -> int:
    key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"}
    return _status(address, "/_stcore/stream", Connection="Upgrade", Upgrade="websocket", **key, **headers)[0]


def test_headers_and_who_may_open_a_session(address: str) -> None:
    status, headers = _status(address, "/")
    assert status == 200
    assert {name: headers.get(name) for name in HEADERS} == HEADERS
    assert "access-control-allow-origin" not in _status(address, "/_stcore/health", Origin="http://evil.test")[1]
    assert _websocket(address, Origin=address) == 101
    assert _websocket(address, Origin="http://evil.test") == 403
    assert _websocket(address, Origin="null") == 403
    rebound = "evil.test:" + address.rpartition(":")[2]
    assert _websocket(address, Host=rebound, Origin=f"http://{rebound}") in (400, 403)


def test_an_error_tells_the_browser_nothing(watched: tuple[Page, Watch], address: str, shop: Path) -> None:
    """A page that fails with somebody's name in the exception: the server's log names the place, the browser does not."""
    page, _ = watched
    frames: list[str] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: frames.append(repr(frame))))
    lake = shop / "data/lake/catalog.sqlite"
    whole = lake.read_bytes()
    (shop / "data/lake/catalog.sqlite-wal").unlink(missing_ok=True)
    try:
        lake.write_bytes(whole[:4096] + b"ann@example.org" * 400)
        page.goto(f"{address}/identity")
        page.wait_for_timeout(4000)
        shown = page.get_by_test_id("stApp").inner_text() + "".join(frames)
    finally:
        lake.write_bytes(whole)
    assert "Traceback" not in shown
    assert 'File "/' not in shown
