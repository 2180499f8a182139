"""Refused rows: why, with what to do about it, tried again, dismissed, taken up again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard import jobs, links, parts, session
from cdp_core.dashboard.pages import forms, sync_rows
from cdp_core.dashboard.session import cached
from cdp_core.dashboard.views import sync_rows as view
from cdp_core.privacy import masking

PAGE = 25
MANY = 2_000


def draw(ws: cdp.Workspace, name: str) -> None:
    reasons = cached(view.reasons, ws, name)
    if not reasons:
        parts.empty("Nothing is refused", "Rows that the destination will not take are listed here, with its reason.")
        return
    if any(not reason.dismissed for reason in reasons):
        st.button(
            "Try all again", key="retry_all", type="primary", icon=":material/replay:", on_click=_retry, args=(name,)
        )
    place = st.radio(
        "Why rows were refused",
        range(len(reasons)),
        format_func=lambda i: _heading(reasons[i]),
        key="refused_reason",
    )
    _one(ws, name, reasons[place or 0])


def _heading(reason: view.Reason) -> str:
    text = view.why("dead" if reason.dismissed else "failed", reason.text) or "No reason given"
    text = text if session.revealed() else masking.mask(text, "note") or ""
    return f"{f.escape(text)} · {f.plural(reason.rows, 'row')}{' · dismissed' if reason.dismissed else ''}"


def _one(ws: cdp.Workspace, name: str, reason: view.Reason) -> None:
    if reason.in_setup:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption("The mapping or the destination's settings are the place to look.", width="content")
            forms.edit_button("sync", name, "Mend the mapping")
    else:
        st.caption("The data is the place to look: choose a row to open its customer. The next run tries rows again.")
    number = st.session_state.get("refused_page", 1)
    pages = max(-(-reason.rows // PAGE), 1)
    number = number if number <= pages else 1
    reveal = session.revealed()
    _, rows, keys = cached(view.refused, ws, name, reason.text, reason.dismissed, number, PAGE, reveal)
    if not keys:
        return
    picked = sync_rows.table(rows, key=f"refused_rows_{number}", alt="Rows refused for this reason", select=True)
    if pages > 1:
        st.pagination(min(pages, 10_000), key="refused_page")
    chosen = [place for place in picked if place < len(keys)]
    _acts(ws, name, reason, [keys[place] for place in chosen])
    people = [rows["profile_id"][place] for place in chosen[:3]]
    for profile in dict.fromkeys(p for p in people if p):
        links.link("customers", f"Open customer {profile}", icon=":material/person:", profile=profile)


def _acts(ws: cdp.Workspace, name: str, reason: view.Reason, keys: list[str]) -> None:
    whom = f.plural(len(keys), "chosen row") if keys else f"these {f.plural(min(reason.rows, MANY), 'row')}"
    with st.container(horizontal=True):
        if reason.dismissed:
            if st.button(f"Restore {whom}", key="restore_rows", icon=":material/undo:"):
                _and_say(lambda own: own.sync(name).restore(_those(ws, name, reason, keys)), "taken up again")
            return
        st.button(
            f"Try {whom} again", key="retry_rows", icon=":material/replay:", on_click=_retry, args=(name, reason, keys)
        )
        if st.button(f"Dismiss {whom}", key="dismiss_rows", icon=":material/block:", help="Until they change"):
            _and_say(lambda own: own.sync(name).dismiss(_those(ws, name, reason, keys)), "dismissed")


def _those(ws: cdp.Workspace, name: str, reason: view.Reason, keys: list[str]) -> list[str]:
    return keys or view.keys_of(ws, name, reason.text, reason.dismissed, MANY)


def _retry(name: str, reason: view.Reason | None = None, keys: list[str] | None = None) -> None:
    """Before the page is drawn again: the open tab can be changed only then."""
    chosen = [] if reason is None else _those(session.by_identifier(session.workspace()), name, reason, keys or [])
    args = [part for key in chosen for part in ("--key", key)]
    jobs.start(session.root(), f"sync:{name}", f.label(name), "sync", "retry", name, *args)
    st.session_state["sync_tab"] = "Plan and run"


def _and_say(act: Callable[[cdp.Workspace], Any], word: str) -> None:
    try:
        with cdp.open(session.root(), actor=session.actor()) as own:
            count = act(own)
    except cdp.CDPError as error:
        st.error(f.escape(str(error)), icon=":material/error:")
        return
    st.toast(f"{f.plural(count, 'row')} {word}.", icon=":material/check:")
    st.rerun()
