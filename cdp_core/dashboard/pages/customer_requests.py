"""What a customer may ask for at the desk: consent noted, a value corrected, everything about them handed out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard import session
from cdp_core.dashboard.session import cached
from cdp_core.dashboard.views import consent as view
from cdp_core.dashboard.views import forms

_REASON = "For whoever reads the list next year"
_PACKAGE = "access_package"


def consent(ws: cdp.Workspace, person: str, states: pl.DataFrame) -> None:
    """What is so, who said what and when, and what the person says now."""
    st.subheader("Consent", anchor=False, help="What counts now, of all that was said")
    if states.is_empty():
        st.caption("No statement about consent.")
    else:
        _states(states)
        with st.expander("History", icon=":material/history:", key="consent_history_open"):
            _history(cached(view.history, ws, person))
    if not ws.actor.may("privacy"):
        return
    with st.container(horizontal=True):
        with st.popover("Note consent…", key="ask_consent"):
            _note(ws, person, states["category"].to_list())
        decided = ws.consent.decisions(person)
        if decided:
            with st.popover("Take back…", key="ask_consent_back"):
                _take_back(ws, decided)


def _states(states: pl.DataFrame) -> None:
    column = st.column_config
    shown = states.with_columns(
        pl.col("category", "source").map_elements(f.label, return_dtype=pl.String),
        pl.col("state").replace(view.WORDS),
    )
    st.dataframe(
        shown,
        hide_index=True,
        placeholder="–",
        key="card_consents",
        alt="Consent of this customer",
        column_config={
            "category": "Category",
            "state": "State",
            "source": column.TextColumn("Said by", help="The newest that counts; desk: noted here"),
            "updated_at": column.DatetimeColumn("Since (UTC)", format="D MMM YYYY"),
        },
    )


def _history(frame: pl.DataFrame) -> None:
    column = st.column_config
    st.dataframe(
        frame,
        hide_index=True,
        placeholder="–",
        key="card_consent_history",
        alt="Who said what about consent and when",
        column_config={
            "category": column.TextColumn("Category", width=86),
            "said": column.TextColumn("Said", width=64),
            "by": column.TextColumn("By", width=112, help="Source and what spoke there: a device, a record, a user"),
            "counts": column.CheckboxColumn("Counts", width=56, help="Whether it is part of what is so now"),
            "at": column.DatetimeColumn("When (UTC)", format="D MMM YYYY, HH:mm"),
            "reason": "Reason",
        },
        column_order=["category", "said", "by", "counts", "at", "reason"],
    )


def _note(ws: cdp.Workspace, person: str, spoken: list[str]) -> None:
    known = sorted({*spoken, *cached(forms.consents, ws)})
    category = st.selectbox(
        "Category", known, index=0 if known else None, key="consent_category", accept_new_options=True
    )
    if category and category not in known:
        st.caption("Nobody has spoken of this category yet, and no destination asks for it: is it spelled right?")
    state = st.segmented_control(
        "They say", ["granted", "denied"], key="consent_state", format_func=view.WORDS.__getitem__
    )
    reason = st.text_input("Reason", key="reason_consent", placeholder=_REASON) or ""
    ready = bool(category and state and reason.strip())
    if st.button("Note it", key="note_consent", type="primary", disabled=not ready):
        _done(lambda: ws.consent.set(person, str(category), str(state), reason=reason), "Noted. Syncs keep to it now.")
    st.caption("It stands above what devices and lists said before. What a device says later stands beside it.")


def _take_back(ws: cdp.Workspace, decided: list[Any]) -> None:
    names = {d.decision_id: f"{f.label(d.category)} {d.state}, {f.exact(d.at)}" for d in decided[::-1]}
    chosen = st.selectbox("Decision", list(names), key="consent_decision", format_func=names.__getitem__)
    reason = st.text_input("Reason", key="reason_consent_back", placeholder=_REASON) or ""
    if st.button("Take back", key="note_consent_back", type="primary", disabled=not reason.strip()):
        _done(lambda: ws.consent.revoke(str(chosen), reason=reason), "Taken back, as if it had never been noted.")


def correct(ws: cdp.Workspace, person: str) -> None:
    """A value that the person has had corrected, and its taking back."""
    traits = [name for name, trait in ws.config.traits.items() if hasattr(trait, "pick")]
    if not traits:
        return
    with st.popover("Correct a value…", key="ask_rectify"):
        trait = st.selectbox("Trait", traits, key="rectify_trait", format_func=f.label) or traits[0]
        none = st.checkbox("There shall be no value", key="rectify_none")
        value = st.text_input("Right value", key="rectify_value", disabled=none) or ""
        reason = st.text_input("Reason", key="reason_rectify", placeholder=_REASON) or ""
        ready = bool(reason.strip() and (none or value.strip()))
        if st.button("Correct it", key="note_rectify", type="primary", disabled=not ready):
            set_, unset = ({}, [trait]) if none else ({trait: value}, [])
            _done(
                lambda: ws.privacy.rectify(person, set_, unset=unset, reason=reason),
                "Corrected. The profile follows with the next run.",
            )
        if st.button("Take the correction back", key="undo_rectify", type="tertiary", disabled=not reason.strip()):
            _done(
                lambda: ws.privacy.unrectify(person, [trait], reason=reason),
                "Taken back. The profile follows with the next run.",
            )


def export(ws: cdp.Workspace, person: str) -> None:
    """Everything that is held about the person, as a zip to hand out."""
    with st.popover("Export what is held…", key="ask_access"):
        st.caption("Everything about this person, as JSON, CSV and a page to read.")
        reason = st.text_input("Reason", key="reason_access", placeholder=_REASON) or ""
        if st.button("Prepare", key="prepare_access", type="primary", disabled=not reason.strip()):
            try:
                with st.spinner("Gathering…"):
                    made = ws.privacy.access(person, reason=reason)
                    st.session_state[_PACKAGE] = (person, sum(made.rows.values()), made.zipped())
            except cdp.CDPError as error:
                st.error(f.escape(str(error)), icon=":material/error:")
                return
        whose, rows, data = st.session_state.get(_PACKAGE, ("", 0, b""))
        if whose == person:
            st.download_button(
                f"Download ({f.plural(rows, 'row')})", data, file_name=f"access-{person}.zip",
                mime="application/zip", key="download_access", icon=":material/download:", on_click=_handed_out,
            )  # fmt: skip


def _handed_out() -> None:
    """What was handed out is not kept in the session."""
    st.session_state.pop(_PACKAGE, None)


def _done(act: Callable[[], object], said: str) -> None:
    try:
        act()
    except cdp.CDPError as error:
        st.error(f.escape(str(error)), icon=":material/error:")
        return
    st.toast(said, icon=":material/check:")
    st.rerun()


def draw(person: str) -> None:
    """The requests, side by side."""
    ws = session.workspace()
    with st.container(horizontal=True):
        export(ws, person)
        correct(ws, person)
