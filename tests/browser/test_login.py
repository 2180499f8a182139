"""Somebody logs in at a real identity provider, through `cdp app`, in a real browser: in, masked, out, run out."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from oidc_provider import CLIENT, SECRET, Provider
from playwright.sync_api import Page, expect, sync_playwright
from test_walk import CHROMIUM, FLAGS

import cdp_core as cdp

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
ANN = {"sub": "7", "email": "ann@example.org", "email_verified": True}


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    made = Provider()
    yield made
    made.close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cdp.init(tmp_path_factory.mktemp("login") / "shop")


def people(shop: Path, access: str) -> None:
    path = shop / "cdp.yaml"
    text = path.read_text().partition("\naccess:")[0]
    path.write_text(f"{text}\naccess:\n  {access}\n")


@pytest.fixture(scope="module")
def address(shop: Path, provider: Provider) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (shop / ".streamlit").mkdir(exist_ok=True)
    (shop / ".streamlit" / "secrets.toml").write_text(
        f'[auth]\nredirect_uri = "http://127.0.0.1:{port}/oauth2callback"\ncookie_secret = "{"c" * 40}"\n'
        f'client_id = "{CLIENT}"\nclient_secret = "{SECRET}"\n'
        f'server_metadata_url = "{provider.issuer}/.well-known/openid-configuration"\n'
    )
    command = [sys.executable, "-m", "cdp_core.cli", "app", "--no-browser", "--port", str(port), "-w", str(shop)]
    server = subprocess.Popen(command, cwd=shop, env=dict(os.environ), stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        assert server.stdout.readline().strip() == f"http://127.0.0.1:{port}"
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture(scope="module")
def page(address: str) -> Iterator[Page]:
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        made = browser.new_page()
        made.goto(address)
        yield made
        browser.close()


def test_in_masked_out_and_run_out(page: Page, address: str, shop: Path, provider: Provider) -> None:
    people(shop, "people: {Ann@example.org: viewer}")
    provider.person = {**ANN, "email_verified": False}
    button = page.get_by_role("button", name="Log in", exact=True)
    expect(button).to_be_visible()
    assert "Run now" not in page.inner_text("body"), "nothing is shown before the login"
    button.click()
    expect(page.get_by_text("you have no role in this workspace")).to_be_visible()
    page.get_by_role("button", name="Log in as somebody else").click()
    provider.person = ANN
    button.click()
    expect(page.get_by_text("Logged in as ann@example.org")).to_be_visible()
    expect(page.get_by_text("Masked").first).to_be_visible()
    expect(page.get_by_role("button", name="Run now").first).to_be_disabled()

    people(shop, f"people: {{'{provider.issuer}|7': admin, ann@example.org: viewer}}")
    page.goto(address)
    expect(page.get_by_text("Show personal data")).to_be_visible()

    people(shop, "people: {}")
    page.goto(address)
    expect(page.get_by_text("you have no role in this workspace")).to_be_visible()
    page.get_by_role("button", name="Log in as somebody else").click()
    expect(button).to_be_visible()

    people(shop, "people: {ann@example.org: admin}")
    provider.ttl = 12
    button.click()
    expect(page.get_by_text("Logged in as ann@example.org")).to_be_visible()
    time.sleep(provider.ttl)
    page.goto(address)
    expect(page.get_by_text("your login has run out")).to_be_visible()
