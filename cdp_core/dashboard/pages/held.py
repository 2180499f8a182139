"""Work on held rows: see what would pass today, try them again, correct one, let one go."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard import parts, session
from cdp_core.dashboard.views.quality import Held

_SEEN = "held_seen"


def again(source: str | None, total: int) -> None:
    """Held rows of a source (or all) tried again: first what would come of it, then for good."""
    with st.container(horizontal=True, vertical_alignment="center"):
        look = st.button("What would pass now", key="held_try", icon=":material/difference:", disabled=not total)
        st.caption("By the mapping, tracking plan and suites as they are today.", width="stretch")
    if look:
        with st.spinner("Checking them again; nothing is written."):
            st.session_state[_SEEN] = source, _done(lambda ws: ws.held.replay(source=source, dry_run=True))
    seen = st.session_state.get(_SEEN)
    if seen is None or seen[0] != source or seen[1] is None:
        return
    found = seen[1]
    st.markdown(
        f"**{found.passed:,}** of {f.plural(found.selected, 'row')} would pass, {found.held:,} would stay held."
    )
    if not found.passed:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        wanted = st.button("Try them again", key="held_replay", type="primary", icon=":material/replay:")
        st.caption("What passes becomes events. The next run brings profiles up to date.", width="stretch")
    if wanted:
        with st.spinner("Trying them again."):
            _and_say(lambda ws: ws.held.replay(source=source), lambda r: f"{r.passed:,} passed, {r.held:,} stay held.")


def correct(row: Held) -> None:
    """The content of a row as it should be. What is masked cannot be edited."""
    if not session.revealed():
        st.caption("Switch on 'Show personal data' to correct this row.")
        return
    text = parts.yaml_area("Content as it should be", _pretty(row.payload), key=f"fix_{row.message_id}", height=240)
    with st.container(horizontal=True, vertical_alignment="center"):
        fix = st.button(
            "Save the correction", key="held_fix", icon=":material/save:", disabled=text == _pretty(row.payload)
        )
        let_go = st.button("Let it go", key="held_discard", icon=":material/delete:", help="It is not tried again")
        st.caption("The original stays beside the correction.", width="stretch")
    if fix:
        _and_say(lambda ws: ws.held.fix(row.source, row.message_id, text), lambda _: "Saved. Now try it again.")
    if let_go:
        _and_say(lambda ws: ws.held.discard(row.source, [row.message_id]), lambda _: "It is not tried again.")


def _done(act: Callable[[cdp.Workspace], Any]) -> Any:
    """What the act gives, on a workspace that may be written to; None after saying what is wrong."""
    try:
        with cdp.open(session.root(), actor=session.actor()) as own:
            return act(own)
    except cdp.CDPError as error:
        st.error(f.escape(str(error)), icon=":material/error:")
        return None


def _and_say(act: Callable[[cdp.Workspace], Any], words: Callable[[Any], str]) -> None:
    """Do it, say it, draw the page anew."""
    done = _done(lambda ws: (act(ws),))
    if done is None:
        return
    st.session_state.pop(_SEEN, None)
    st.toast(words(done[0]), icon=":material/check:")
    st.rerun()


def _pretty(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
