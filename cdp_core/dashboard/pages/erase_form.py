"""The customer's page: erasing them, asked for twice."""

from __future__ import annotations

import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard import jobs, links, session
from cdp_core.dashboard.pages.requests import JOB
from cdp_core.dashboard.session import cached
from cdp_core.dashboard.views import requests as view


def draw(ws: cdp.Workspace, profile_id: str) -> None:
    """Asks for the reason, and for the word: there is no way back."""
    with st.popover("Erase…", icon=":material/delete_forever:", key="ask_erase"):
        found = cached(view.person, ws, profile_id)
        where = f", and where {f.plural(found.syncs, 'sync')} sent them" if found.syncs else ""
        st.markdown(
            f"**{f.plural(found.events, 'event')} under {f.plural(found.identifiers, 'identifier')}** go from "
            f"every table, snapshot and file{where}. This cannot be taken back."
        )
        for doubt in found.doubts:
            st.warning(f"They may be more than one person: {doubt}.", icon=":material/group:")
        reason = st.text_input("Reason", key="erase_reason", placeholder="For whoever reads the list next year")
        word = st.text_input("Write erase to confirm", key="erase_word")
        ready = bool(reason.strip()) and word.strip().lower() == "erase"
        if st.button("Erase this person", key="erase", type="primary", disabled=not ready):
            args = ("privacy", "request", "erase", f"profile_id:{profile_id}", "--reason", reason, "--yes")
            jobs.start(session.root(), JOB, "Erasure", *args)
            links.go("requests")
