"""The application: opens the workspace, draws the strip and the page, and stays up when something is wrong."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard import links, login, session, strip

ASSETS = Path(__file__).parent / "assets"
SECTIONS: dict[str, tuple[str, ...]] = {
    "": ("overview",),
    "Collect": ("live",),
    "Govern": ("quality", "inventory", "consent", "requests", "audit"),
    "Unify": ("customers", "identity"),
    "Engage": ("audiences",),
    "Activate": ("destinations",),
}
_WITHOUT_RUN = ("live", "audit")
_PAGES = {
    "overview": ("Overview", "space_dashboard", "Freshness, volumes, quality, and what needs you."),
    "live": ("Live", "sensors", "Events as they arrive, passed or held, with the reason."),
    "quality": ("Quality", "verified", "Suites with their results, and the rows held in quarantine."),
    "inventory": ("Inventory", "privacy_tip", "Which fields are personal, what was decided, and where they flow."),
    "requests": ("Requests", "gavel", "What people have asked for: erasures, receipts, due days, certificates."),
    "consent": ("Consent", "verified_user", "What people have consented to, who needs it, and where it disagrees."),
    "audit": ("Audit log", "history", "Who did what, when and why; and whether anybody has changed the log."),
    "customers": ("Customers", "person_search", "Find a customer by any identifier or name and open the profile."),
    "identity": ("Identity", "hub", "How identifiers were joined into profiles, and what the rules held back."),
    "audiences": ("Audiences", "groups", "Lists of customers by rule: build, preview, save into cdp.yaml."),
    "destinations": ("Destinations", "send", "What is sent where: plan, run, ledger, download."),
}


def main(folder: Path | str) -> None:
    """Draw the dashboard of the workspace at `folder`. Call it from a Streamlit script."""
    cdp.private_process()
    st.set_page_config(page_title="CDP Workbench", page_icon=str(ASSETS / "icon.png"), layout="wide")
    st.logo(str(ASSETS / "logo.svg"), icon_image=str(ASSETS / "mark.svg"), size="large")
    session.choose(Path(folder))
    if not session.admitted():
        return
    pages = {name: _page(name) for names in SECTIONS.values() for name in names}
    links.register(pages)
    chosen = st.navigation({s: [pages[n] for n in names] for s, names in SECTIONS.items()}, expanded=True)
    login.sign_out()
    chosen.run()


def _page(name: str) -> st.Page:
    title, icon, help = _PAGES[name]
    return st.Page(
        _drawer(name),
        title=title,
        icon=f":material/{icon}:",
        help=help,
        url_path=None if name == "overview" else name,
        default=name == "overview",
    )


def _drawer(name: str) -> Callable[[], None]:
    def draw() -> None:
        guarded(name, _PAGES[name][0])

    draw.__name__ = name
    return draw


def guarded(name: str, title: str) -> None:
    """One page under the strip. An error of the workspace is one line in its place, never a traceback."""
    state = strip.head(title)
    try:
        ws = session.workspace()
    except cdp.CDPError as error:
        _cannot_open(error)
        return
    with state:
        strip.draw_state()
    wrong = session.config_error()
    if wrong:
        st.error(f"**cdp.yaml is wrong; the last good one is used.** {f.escape(wrong)}", icon=":material/error:")
    try:
        if not strip.has_run(ws) and name not in _WITHOUT_RUN:
            strip.nothing_yet(ws)
            return
        importlib.import_module(f"cdp_core.dashboard.pages.{name}").page(ws)
    except cdp.CDPError as error:
        st.error(f.escape(str(error)), icon=":material/error:")


def _cannot_open(error: cdp.CDPError) -> None:
    st.subheader("This workspace cannot be opened", anchor=False)
    st.error(f.escape(str(error)), icon=":material/error:")
    st.caption("Nothing is lost: the data stays as the last run left it. Correct the file, then try again.")
    st.button("Try again", key="try_again", icon=":material/refresh:", type="primary")
