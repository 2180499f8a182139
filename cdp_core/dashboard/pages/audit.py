"""Audit log: who did what, when and why, and whether the log is whole."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl
import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard import parts
from cdp_core.dashboard.views import audit as view

PAGE = 50


def page(ws: cdp.Workspace) -> None:
    if not ws.actor.may("privacy"):
        parts.empty("For privacy officers and admins", f"Your role, {f.label(ws.actor.role)}, does not see it.")
        return
    everything = view.entries(ws, view.Wanted())
    _state(ws)
    if everything.is_empty():
        parts.empty(
            "Nothing has been recorded yet", "Runs, syncs, what is saved and revealed, requests: all appear here."
        )
        return
    wanted = _filters(everything)
    try:
        rows = view.entries(ws, wanted)
    except cdp.UsageError as error:
        st.error(f.escape(str(error)), icon=":material/error:")
        return
    _table(rows, everything.height)


def _state(ws: cdp.Workspace) -> None:
    """The badge that says whether the chain holds."""
    verdict = ws.audit.verify()
    words = verdict.words[:1].upper() + verdict.words[1:]
    if verdict.ok:
        help = "Every entry follows the one before it, and none was cut off; as `cdp privacy audit --verify` says"
        st.badge(words, icon=":material/verified_user:", color="green", help=help)
        if verdict.note:
            st.caption(f.escape(verdict.note))
    else:
        st.error(f"**The audit log is not what was written.** {f.escape(words)}", icon=":material/gpp_bad:")


def _filters(rows: pl.DataFrame) -> view.Wanted:
    with st.grid(3, min_column_width=220, gap="small"):
        actor = st.selectbox("Who", [view.ALL, *_values(rows, "actor")], key="audit_actor")
        action = st.selectbox("Action", [view.ALL, *_actions(rows)], key="audit_action")
        outcome = st.selectbox("Outcome", [view.ALL, *view.OUTCOMES.values()], key="audit_outcome")
        days: Any = st.date_input("Days (UTC)", value=(), key="audit_days", max_value=date.today())
        about = st.text_input(
            "About", key="audit_about", placeholder="email:ann@example.org",
            help="An identifier of a person. The log has only its HMAC; what you write here is kept nowhere.",
        )  # fmt: skip
    codes = {label: code for code, label in view.OUTCOMES.items()}
    return view.Wanted(
        actor=None if actor == view.ALL else actor,
        action=None if action == view.ALL else action,
        outcome=codes.get(outcome),
        days=(days[0], days[-1]) if days else None,
        about=about,
    )


def _values(rows: pl.DataFrame, column: str) -> list[str]:
    return list(rows[column].drop_nulls().unique().sort().to_list())


def _actions(rows: pl.DataFrame) -> list[str]:
    """Every action, and every room that has several."""
    actions = _values(rows, "action")
    rooms = [action.partition(".")[0] for action in actions if "." in action]
    return sorted({*actions, *(room for room in rooms if rooms.count(room) > 1)})


def _table(rows: pl.DataFrame, total: int) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"{rows.height:,} of {f.plural(total, 'entry', 'entries')}, newest first", width="stretch")
        listed = rows.with_columns(pl.col("subject_hmac").list.join(" "))
        st.download_button(
            "Download CSV", data=listed.write_csv, file_name="audit_log.csv", mime="text/csv", key="audit_csv",
            icon=":material/download:", disabled=rows.is_empty(), on_click="ignore",
        )  # fmt: skip
    if rows.is_empty():
        parts.empty("No entry is like that", "Take a filter away.")
        return
    column = st.column_config
    st.dataframe(
        view.shown(rows.head(5 * PAGE)),
        hide_index=True,
        placeholder="–",
        key="audit_entries",
        alt="Entries of the audit log, newest first",
        column_config={
            "at": column.DatetimeColumn("When (UTC)", format="D MMM YYYY, HH:mm:ss"),
            "actor": column.TextColumn("Who"),
            "role": column.TextColumn("Role"),
            "action": column.TextColumn("Action"),
            "outcome": column.TextColumn("Outcome"),
            "people": column.NumberColumn("Identifiers", help="How many identifiers of people it was about"),
            "details": column.TextColumn("Details", width="large"),
        },
    )
    if rows.height > 5 * PAGE:
        st.caption(f"The newest {5 * PAGE:,} are shown; the download has all.")
