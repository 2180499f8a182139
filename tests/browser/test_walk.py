"""A person's way through the dashboard in a real browser: every page, a search, a new audience, an export."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import ConsoleMessage, Locator, Page, expect, sync_playwright

import cdp_core as cdp
from cdp_core.workspace import demo

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
ROOT = Path(__file__).parents[2]
CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]
expect.set_options(timeout=60_000)
PAGES = (
    "Overview",
    "Quality",
    "Inventory",
    "Consent",
    "Requests",
    "Audit log",
    "Customers",
    "Identity",
    "Audiences",
    "Destinations",
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("browser") / "shop"
    demo(root, people=200, seed=3)
    shutil.copytree(ROOT / "expectations", root / "expectations", dirs_exist_ok=True)
    with cdp.open(root) as ws:
        assert ws.run().status == "succeeded"
    return root


@pytest.fixture(scope="module")
def address(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own on a free port, looking at the small workspace."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (tmp_path_factory.mktemp("server") / "log").open("w+")
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app.py"), f"--server.port={port}"]
    environment = {**os.environ, "CDP_WORKSPACE": str(shop), "STREAMLIT_SERVER_HEADLESS": "true"}
    server = subprocess.Popen(command, cwd=shop, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        until = time.monotonic() + 60
        while not _answers(port):
            assert server.poll() is None, "the server ended by itself"
            assert time.monotonic() < until, "the server does not answer"
            time.sleep(0.2)
        assert server.poll() is None
        yield f"http://127.0.0.1:{port}"
        log.seek(0)
        assert "Traceback" not in log.read()
    finally:
        server.terminate()
        server.wait(10)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=2) as answer:
            return answer.read() == b"ok"
    except OSError:
        return False


@dataclass
class Watch:
    """What must not happen: requests elsewhere, and errors on the console."""

    foreign: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def on_console(self, message: ConsoleMessage) -> None:
        # On a deep link Streamlit looks for its server below the page's path first.
        if message.type == "error" and not re.search(r"/\w+/_stcore/", message.location["url"]):
            self.errors.append(f"{message.text} {message.location['url']}")


@pytest.fixture
def watched(address: str) -> Iterator[tuple[Page, Watch]]:
    if not Path(CHROMIUM).exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("chromium is not installed")
    watch = Watch()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 1400})
        page.set_default_timeout(60_000)
        page.on("request", lambda r: None if _local(r.url) else watch.foreign.append(r.url))
        page.on("console", watch.on_console)
        page.on("pageerror", lambda error: watch.errors.append(str(error)))
        page.goto(address)
        settled(page, "Overview")
        yield page, watch
        browser.close()


@pytest.fixture
def page(watched: tuple[Page, Watch]) -> Iterator[Page]:
    """A page that asks nobody else, and has no errors."""
    page, watch = watched
    yield page
    assert watch.foreign == []
    assert watch.errors == []


def _local(url: str) -> bool:
    return url.startswith(("data:", "blob:")) or re.match(r"(https?|wss?)://127\.0\.0\.1[:/]", url) is not None


def settled(page: Page, title: str) -> None:
    """The page with this title is drawn to its end, and nothing on it failed."""
    expect(page.get_by_role("heading", name=title, exact=True, level=1)).to_be_visible()
    idle(page)
    expect(page.get_by_test_id("stException")).to_have_count(0)


def idle(page: Page) -> None:
    page.wait_for_timeout(300)
    expect(page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]')).to_be_attached()


def visit(page: Page, title: str) -> None:
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=title).click()
    settled(page, title)


def choose(page: Page, label: str, text: str, *, nth: int = 0) -> None:
    """Pick an option of a select box by typing it."""
    box = page.get_by_role("combobox", name=label).nth(nth)
    box.click()
    page.keyboard.insert_text(text)
    page.get_by_role("option", name=text, exact=True).first.click()
    idle(page)


def test_every_page(page: Page) -> None:
    for title in PAGES:
        visit(page, title)


def test_find_a_customer(page: Page, shop: Path) -> None:
    with cdp.open(shop) as ws:
        query = (
            "SELECT value, profile_id FROM user_identifiers WHERE type = 'email' ORDER BY events DESC, value LIMIT 1"
        )
        email, profile_id = ws.sql(query).row(0)
    visit(page, "Customers")
    page.get_by_label("Find a customer", exact=True).fill(email)
    page.get_by_role("button", name="Open the first").click()
    expect(page).to_have_url(re.compile(f"profile={profile_id}"))
    expect(page.get_by_text(profile_id, exact=True)).to_be_visible()
    idle(page)
    assert email not in page.get_by_test_id("stMain").inner_text()
    page.go_back()
    expect(page.get_by_label("Find a customer", exact=True)).to_be_visible()
    page.goto(f"{page.url.split('?')[0].rsplit('/', 1)[0]}/customers?profile={profile_id}")
    expect(page.get_by_text(profile_id, exact=True)).to_be_visible()
    settled(page, "Customers")


def test_ask_about_a_link(page: Page, shop: Path) -> None:
    """A click on a line, not on the square in its middle, shows the evidence; so does a row of the table."""
    with cdp.open(shop) as ws:
        counted = "SELECT profile_id, count(*) AS n FROM user_identifiers GROUP BY ALL ORDER BY n DESC, profile_id"
        profile_id = ws.sql(counted)["profile_id"][0]
    visit(page, "Customers")
    page.goto(f"{page.url.split('?')[0]}?profile={profile_id}")
    settled(page, "Customers")
    chart = page.locator("[class*=st-key-identity_graph]")
    line = chart.locator("svg g.mark-rule line").last
    line.wait_for(state="attached")
    chart.scroll_into_view_if_needed()
    idle(page)
    page.mouse.click(*line.evaluate(_ON_THE_LINE))
    evidence = page.locator(".st-key-identity_evidence")
    expect(evidence.get_by_text("Some of the events")).to_be_visible()
    evidence.get_by_role("button", name="Close").click()
    expect(evidence).to_have_count(0)
    page.get_by_role("tab", name="Evidence").click()
    rows = page.locator("[class*=st-key-identity_table]").get_by_test_id("stDataFrame")
    # Closing draws the table anew; the one before goes at the end of that run.
    expect(rows).to_have_count(1)
    idle(page)
    rows.click(position={"x": 60, "y": 55})
    expect(evidence).to_be_visible()
    _note(page, "Split here…", "two people")
    expect(evidence.get_by_text("two people")).to_be_visible()
    with cdp.open(shop) as ws:
        (made,) = ws.identity.overrides()
        assert {":".join(made.left), ":".join(made.right)} <= {":".join(n) for n in ws.identity_graph(profile_id)}
        ws.identity.revoke(":".join(made.left), ":".join(made.right))


_ON_THE_LINE = """line => {
    const at = line.getPointAtLength(line.getTotalLength() * 0.3).matrixTransform(line.getScreenCTM());
    return [at.x, at.y];
}"""


def test_build_an_audience(page: Page, shop: Path) -> None:
    visit(page, "Audiences")
    page.get_by_role("button", name="New audience").click()
    choose(page, "Trait", "Total spent")
    value = page.get_by_role("spinbutton", name="Value")
    value.fill("20")
    value.press("Enter")
    condition = {"and": [{"trait": "total_spent", "at_least": 20}, {"event": "Product Viewed"}]}
    with cdp.open(shop) as ws:
        first = ws.preview_audience(condition["and"][0]).count
        both = ws.preview_audience(condition).count
    assert 0 < both < first
    expect(count_of(page)).to_have_text(f"{first:,}")
    page.get_by_role("button", name="Condition", exact=True).click()
    choose(page, "Kind of condition", "Event", nth=1)
    choose(page, "Event", "Product Viewed")
    expect(count_of(page)).to_have_text(f"{both:,}")
    page.get_by_label("Name", exact=True).fill("spent_and_looked")
    page.get_by_label("Name", exact=True).press("Tab")
    idle(page)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page).to_have_url(re.compile("audience=spent_and_looked"))
    settled(page, "Audiences")
    with cdp.open(shop) as ws:
        assert ws.audience("spent_and_looked").definition["where"] == condition
    assert "spent_and_looked:" in (shop / "cdp.yaml").read_text()


def count_of(page: Page) -> Locator:
    """The live number of customers."""
    return page.get_by_test_id("stMetric").filter(has_text="Customers").get_by_test_id("stMetricValue")


def test_anomalies(page: Page) -> None:
    """Another series is chosen; boxes that it makes impossible follow, in the browser too, and a link opens it."""
    visit(page, "Quality")
    page.get_by_role("radio", name="Anomalies").click()
    idle(page)
    chart = page.get_by_test_id("stVegaLiteChart")
    expect(chart).to_be_visible()
    choose(page, "Kind", "Missing fields")
    choose(page, "Source", "web_events")
    choose(page, "Event", "Product Viewed")
    choose(page, "Source", "newsletter")
    expect(page.get_by_role("combobox", name="Event")).to_have_value("identify")
    choose(page, "Field", "traits.favourite_genre")
    expect(page).to_have_url(re.compile("series_source=newsletter"))
    page.reload()
    settled(page, "Quality")
    expect(page.get_by_role("combobox", name="Kind")).to_have_value("Missing fields")
    expect(page.get_by_role("combobox", name="Field")).to_have_value("traits.favourite_genre")
    expect(chart).to_be_visible()


def test_export(page: Page, shop: Path, tmp_path: Path) -> None:
    visit(page, "Destinations")
    choose(page, "Go to a sync", "High value CSV")
    page.get_by_role("button", name="Show the plan").click()
    with cdp.open(shop) as ws:
        members = ws.audience("high_value").members()
    page.get_by_role("button", name=f"Send: add {members.height:,}").click()
    expect(page.get_by_text("High value CSV ran in")).to_be_visible(timeout=40_000)
    idle(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download", exact=True).click()
    target = tmp_path / "export.csv"
    download.value.save_as(target)
    lines = target.read_text().splitlines()
    assert len(lines) == members.height + 1
    assert target.read_bytes() == (shop / "data" / "exports" / "high_value.csv").read_bytes()
    with cdp.open(shop) as ws:
        sent = ws.sql("SELECT count(*) AS n FROM sync_ledger WHERE sync = 'high_value_csv' AND status = 'delivered'")
    assert json.loads(sent.write_json()) == [{"n": members.height}]


def test_decide_who_is_who(page: Page, shop: Path) -> None:
    with cdp.open(shop) as ws:
        waiting = ws.identity.review().row(0, named=True)
        one, other = (f"{waiting[f'{side}_type']}:{waiting[f'{side}_value']}" for side in ("left", "right"))
    visit(page, "Identity")
    _why(page, one, other)
    expect(page.get_by_text("Not one person", exact=False)).to_be_visible()
    page.get_by_role("radio", name="Review").click()
    idle(page)
    page.get_by_test_id("stDataFrame").first.click(position={"x": 120, "y": 55})
    idle(page)
    _note(page, "Accept…", "the same person")
    with cdp.open(shop) as ws:
        assert [o.override_id for o in ws.identity.overrides()] == [waiting["review_id"]]
        assert ws.run().status == "succeeded"
    visit(page, "Overview")
    visit(page, "Identity")
    _why(page, one, other)
    expect(page.get_by_text("One person:", exact=False)).to_be_visible()
    page.get_by_role("radio", name="Decisions").click()
    idle(page)
    page.get_by_test_id("stDataFrame").first.click(position={"x": 120, "y": 55})
    idle(page)
    _note(page, "Take it back…", "they are two after all")
    with cdp.open(shop) as ws:
        assert ws.identity.overrides() == []
    _try_rules(page, shop)


def test_cut_a_profile_join_two_and_compare_the_runs(page: Page, shop: Path) -> None:
    with cdp.open(shop) as ws:
        first = ws.identity.suspects().row(0, named=True)
        known = ws.polars(ws.table("user_identifiers").filter(lambda t: t.type == "user_id"))
        others = known.filter(known["profile_id"] != first["profile_id"]).unique("profile_id").sort("value")
        one, other = (f"user_id:{value}" for value in others["value"].head(2))
    visit(page, "Identity")
    page.get_by_role("radio", name="Suspects").click()
    idle(page)
    page.get_by_test_id("stDataFrame").first.click(position={"x": 120, "y": 55})
    found = page.locator(".st-key-suspect_evidence")
    expect(found.get_by_text("Nothing else ties the two")).to_be_visible()
    _note(page, "Split here…", "two people")
    _why(page, one, other)
    _note(page, "Always link the two above…", "one person")
    with cdp.open(shop) as ws:
        made = ws.identity.overrides()
        assert {frozenset(map(":".join, (each.left, each.right))): each.action for each in made} == {
            frozenset((first["cut_left"], first["cut_right"])): "never_link",
            frozenset((one, other)): "always_link",
        }
        assert ws.run().status == "succeeded"
    visit(page, "Overview")
    visit(page, "Identity")
    page.get_by_role("radio", name="Changes").click()
    for name in ("Split", "Merged"):
        value = page.get_by_test_id("stMetric").filter(has_text=name).get_by_test_id("stMetricValue")
        expect(value).to_have_text("1")
    with cdp.open(shop) as ws:
        for each in made:
            ws.identity.revoke(":".join(each.left), ":".join(each.right))
        assert ws.run().status == "succeeded"


def _why(page: Page, one: str, other: str) -> None:
    page.get_by_role("radio", name="Why").click()
    idle(page)
    for label, text in (("One identifier", one), ("Another one", other)):
        page.get_by_label(label, exact=True).fill(text)
        page.get_by_label(label, exact=True).press("Enter")
        idle(page)


def _note(page: Page, button: str, reason: str) -> None:
    page.get_by_role("button", name=button).click()
    page.get_by_label("Reason", exact=True).fill(reason)
    page.get_by_label("Reason", exact=True).press("Enter")
    idle(page)
    page.get_by_role("button", name="Note it", exact=True).click()
    expect(page.get_by_text("Noted. It takes effect")).to_be_visible()
    idle(page)


def _try_rules(page: Page, shop: Path) -> None:
    page.get_by_role("radio", name="Try rules").click()
    idle(page)
    text = page.get_by_label("Rules to try", exact=True)
    text.fill("identity:\n  identifiers:\n    user_id: {limit: 1}\n    anonymous_id: {limit: 20}\n")
    text.press("Control+Enter")
    idle(page)
    page.get_by_role("button", name="Show what it would do").click()
    expect(page.get_by_test_id("stMetric").filter(has_text="Split")).to_be_visible(timeout=40_000)
    expect(page.get_by_test_id("stException")).to_have_count(0)
    before = (shop / "cdp.yaml").read_text()
    page.get_by_role("button", name="Save these rules to cdp.yaml").click()
    expect(page.get_by_text("The next run applies the rules.")).to_be_visible()
    with cdp.open(shop) as ws:
        assert list(ws.config.identity.identifiers) == ["user_id", "anonymous_id"]
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("The next run applies the rules.")).to_have_count(0)
    assert (shop / "cdp.yaml").read_text() == before


def test_edit_a_plan(page: Page, shop: Path) -> None:
    """Cells of the table by keyboard: another limit, another name, a property more; tried, saved and taken back."""
    file = shop / "expectations" / "tracking_plan" / "shop.yaml"
    before = file.read_text()
    visit(page, "Quality")
    page.get_by_role("radio", name="Tracking plans").click()
    idle(page)
    _type_into(page, "plan_table", 2, 4, "15")
    _type_into(page, "plan_table", 1, 0, "style")
    _add_row(page, "plan_table", 3, "shelf")
    line = next(line for line in before.splitlines() if "minimum: 0, description: US dollars" in line)
    after = before.replace(
        "      genre: {type: string, required: true, enum", "      style: {type: string, required: true, enum"
    )
    after = after.replace(line, line.replace("minimum: 0", "minimum: 15") + "\n      shelf: {}")
    with cdp.open(shop) as ws:
        found = ws.plans.preview("shop", "web_events", text=after)
    assert found.held > (found.held_now or 0)
    page.get_by_role("button", name="Show what it would do").click()
    said = f"With this plan, {found.held:,} of the last {found.events:,} events of Web events would have been held (now: {found.held_now:,})."
    expect(page.get_by_text(said)).to_be_visible(timeout=40_000)
    page.get_by_role("button", name="Save this plan").click()
    expect(page.get_by_text("The next run applies the plan.")).to_be_visible()
    assert file.read_text() == after
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("The next run applies the plan.")).to_have_count(0)
    assert file.read_text() == before


def _type_into(page: Page, key: str, row: int, column: int, text: str) -> None:
    """A cell of an editable table: reached by arrow keys from its first one, opened, overwritten."""
    table = page.locator(f"[class*=st-key-{key}]").get_by_test_id("stDataFrame")
    table.scroll_into_view_if_needed()
    idle(page)
    table.click(position={"x": 90, "y": 51})
    for key_name in ["ArrowDown"] * row + ["ArrowRight"] * column + ["Enter"]:
        # The table moves its cursor when it draws, which may take a while on a busy machine.
        page.wait_for_timeout(250)
        page.keyboard.press(key_name)
    _overwrite(page, text)


def _overwrite(page: Page, text: str) -> None:
    """The cell that is open."""
    cell = page.locator("#portal").locator("textarea, input").first
    cell.fill(text)
    cell.press("Enter")
    idle(page)


def _add_row(page: Page, key: str, rows: int, text: str) -> None:
    """The last line of an editable table, which has so many rows, begins another one."""
    table = page.locator(f"[class*=st-key-{key}]").get_by_test_id("stDataFrame")
    table.dblclick(position={"x": 90, "y": 51 + 34 * rows})
    _overwrite(page, text)


def test_edit_a_suite(page: Page, shop: Path) -> None:
    file = shop / "expectations" / "sources" / "shop_orders.json"
    before = file.read_text()
    visit(page, "Quality")
    page.get_by_role("radio", name="Suites").click()
    idle(page)
    choose(page, "Suite to edit", "Shop orders (source)")
    rules = page.locator("[class*=st-key-suite_rules]").get_by_test_id("stDataFrame")
    rules.scroll_into_view_if_needed()
    rules.click(position={"x": 250, "y": 35 * 5 + 16})
    idle(page)
    most = page.get_by_label("Most", exact=True)
    most.fill("3")
    most.press("Tab")
    idle(page)
    after = before.replace('"max_value": 500', '"max_value": 3')
    with cdp.open(shop) as ws:
        found = ws.suites.preview("shop_orders", text=after)
    page.get_by_role("button", name="Show what it would do").click()
    said = f"With this rule, {found.held:,} of the {found.rows:,} rows of shop_orders would have been held (now: 0)."
    expect(page.get_by_text(said)).to_be_visible(timeout=60_000)
    page.get_by_role("button", name="Save this suite").click()
    expect(page.get_by_text("The next run applies the suite.")).to_be_visible()
    assert file.read_text() == after
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("The next run applies the suite.")).to_have_count(0)
    assert file.read_text() == before


def test_replay_stored_events(page: Page, shop: Path) -> None:
    """A rule of today reaches what is stored, and is taken back there; what was asked stands in the page all the way."""
    file = shop / "cdp.yaml"
    before = file.read_text()
    file.write_text(
        re.sub(r"( +)plan: shop\b.*", r"\1plan: shop\n\1transform: [{type: identify, hash: traits.email}]", before)
    )
    visit(page, "Quality")
    page.get_by_role("radio", name="Stored events").click()
    idle(page)
    choose(page, "Source", "Web events")
    with cdp.open(shop) as ws:
        found = ws.stored.replay(source="web_events", dry_run=True)
        assert found.changed > 100
    page.get_by_role("button", name="Show what would change").click()
    metric = page.get_by_test_id("stMetric").filter(has_text="Would change")
    expect(metric).to_contain_text(f"{found.changed:,}", timeout=120_000)
    page.get_by_role("button", name="Replay them").click()
    expect(page.get_by_role("heading", name="Earlier replays")).to_be_visible(timeout=120_000)
    assert _hashed(shop) == found.changed
    undo = page.get_by_role("button", name="Take it back")
    expect(undo).to_be_enabled()
    expect(page.get_by_role("button", name="Run now")).to_be_enabled(timeout=120_000)
    undo.click()
    expect(page.get_by_role("button", name="Running…")).to_be_visible()
    expect(page.get_by_role("button", name="Run now")).to_be_enabled(timeout=120_000)
    assert _hashed(shop) == 0
    file.write_text(before)


def _hashed(shop: Path) -> int:
    with cdp.open(shop) as ws:
        return int(ws.sql("SELECT count(*) AS n FROM events WHERE contains(context, 'hash: traits.email')").item())
