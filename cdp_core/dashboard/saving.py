"""What a page has saved to a file, with the way back. `what` names it: plan, suite, rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import formatting as f

Act = Callable[[], object]


def button(what: str, label: str, act: Act, *, then: Act | None = None) -> None:
    """The button that saves what was previewed; `then` is done before the page is drawn anew."""
    with st.container(horizontal=True, vertical_alignment="center"):
        wanted = st.button(label, key=f"{what}_save", icon=":material/save:")
        st.caption("Nothing changes before the next run.", width="stretch")
    if wanted:
        write(what, act, then)


def saved(
    what: str,
    standing: str,
    file: Callable[[Any], str | None],
    undo: Callable[[Any], object],
    *,
    then: Act | None = None,
) -> None:
    """What was just saved, with the way back, for as long as it stands. `file` names the file that an edit is of, None
    where that is another than the page shows.
    """
    edit = st.session_state.get(key_of(what))
    if edit is None or edit.after != standing or (name := file(edit)) is None:
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(f":material/check_circle: Saved in {f.escape(name)}. The next run applies the {what}.")
        st.space("stretch")
        if st.button("Undo", key=f"{what}_undo", icon=":material/undo:", help=f"Put the earlier {what} back"):
            write(what, lambda: undo(edit), then)


def write(what: str, act: Act, then: Act | None) -> None:
    """Change the file and draw the page anew, or say why not. What was saved is kept for the way back."""
    try:
        st.session_state[key_of(what)] = act()
    except cdp.CDPError as error:
        st.error(f.escape(str(error)), icon=":material/error:")
        return
    if then is not None:
        then()
    st.rerun()


def key_of(what: str) -> str:
    """Where the session keeps what was saved last."""
    return f"{what}_saved"
