"""Tables of rows that were sent: of a sync, and about one person."""

from __future__ import annotations

import polars as pl
import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard import parts, session
from cdp_core.dashboard.session import cached
from cdp_core.dashboard.views import destinations as syncs
from cdp_core.dashboard.views import sync_history, sync_rows

PAGE = 25


def draw(ws: cdp.Workspace, sync: syncs.Sync) -> None:
    """The ledger of a sync, by outcome and key."""
    if not sum(sync.counts.values()):
        parts.empty("Nothing has been sent yet", "Every row that is sent gets a line here, with its outcome.")
        return
    status = st.segmented_control(
        "Outcome",
        [status for status in syncs.STATUSES if sync.counts[status]],
        key="ledger_status",
        format_func=lambda s: f"{sync_rows.OUTCOMES[s]} · {sync.counts[s]:,}",
        label_visibility="collapsed",
    )
    find = st.text_input("Key or profile", key="ledger_find", placeholder="The beginning of a key", width=360) or ""
    page_key = f"ledger_page_{status}"
    number = st.session_state.get(page_key, 1)
    total, frame = cached(sync_rows.ledger, ws, sync.name, status, find.strip(), number, PAGE, session.revealed())
    if not total:
        st.caption("No row of this sync is like that.")
        return
    table(frame, key="ledger", alt="Ledger of this sync, one line per row sent")
    st.caption(f"{f.plural(total, 'row')}, the latest first")
    if total > PAGE:
        st.pagination(min(-(-total // PAGE), 10_000), key=page_key)


def table(frame: pl.DataFrame, *, key: str, alt: str, select: bool = False) -> list[int]:
    """Rows of the ledger or the log; with `select`, the places of the rows that are chosen."""
    column = st.column_config
    shown = frame.with_columns(pl.col("status").replace(sync_rows.OUTCOMES))
    picked = st.dataframe(
        shown,
        hide_index=True,
        placeholder="–",
        key=key,
        alt=alt,
        on_select="rerun" if select else "ignore",
        selection_mode="multi-row",
        column_config={
            "key": column.TextColumn("Key"),
            "profile_id": column.TextColumn("Profile"),
            "status": column.TextColumn("Outcome"),
            "operation": column.TextColumn("What"),
            "attempts": column.NumberColumn("Attempts"),
            "sent_at": column.DatetimeColumn("Last try (UTC)", format="D MMM YYYY, HH:mm"),
            "error": column.TextColumn("Reason", width="medium"),
            "payload": column.JsonColumn("Content", width="large"),
        },
    )
    return list(picked.selection.rows) if select else []


def about_a_person(ws: cdp.Workspace) -> None:
    """What was sent about whom an identifier names."""
    with st.expander("What did we send about a person?", icon=":material/person_search:"):
        wanted = st.text_input(
            "Identifier", key="sent_about", placeholder="email:ann@example.org, user_id:17 or a profile id", width=420
        )
        if not wanted or not wanted.strip():
            return
        try:
            found = cached(sync_history.sent_about, ws, wanted.strip(), session.revealed())
        except cdp.CDPError as error:
            st.warning(f.escape(str(error)), icon=":material/search_off:")
            return
        if found.is_empty():
            st.caption("Nothing about this person was sent anywhere.")
        else:
            sent(found, key="sent_rows", alt="What was sent about this person, newest first")


def sent(frame: pl.DataFrame, *, key: str, alt: str) -> None:
    """What was sent about one person, as `sync_history.sent_about` gives it."""
    column = st.column_config
    shown = frame.with_columns(
        pl.col("sync").map_elements(f.label, return_dtype=pl.String),
        pl.col("status").replace(sync_rows.OUTCOMES),
    )
    st.dataframe(
        shown.drop("run_id"),
        hide_index=True,
        placeholder="–",
        key=key,
        alt=alt,
        column_config={
            "destination": "Destination",
            "sync": "Sync",
            "operation": "What",
            "status": "Outcome",
            "reason": column.TextColumn("Reason", width="medium"),
            "sent_at": column.DatetimeColumn("When (UTC)", format="D MMM YYYY, HH:mm"),
        },
    )
