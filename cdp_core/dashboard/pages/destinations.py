"""Destinations: what is sent where. A plan before every run, the ledger after it."""

from __future__ import annotations

import polars as pl
import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard import links, parts, session
from cdp_core.dashboard.pages import forms, sync_history, sync_plan, sync_refused, sync_rows
from cdp_core.dashboard.session import cached
from cdp_core.dashboard.views import destinations as view


def page(ws: cdp.Workspace) -> None:
    ws = session.by_identifier(ws)
    if forms.drawn(ws):
        return
    name = links.opened("sync")
    if name is None:
        _list(ws)
        return
    parts.back("Destinations", "sync")
    if name in ws.config.syncs:
        _one(ws, name)
    else:
        st.warning(f"There is no sync called {f.escape(name)}.", icon=":material/search_off:")


def _list(ws: cdp.Workspace) -> None:
    forms.ways_in(ws)
    sync_rows.about_a_person(ws)
    frame = cached(view.listing, ws)
    if frame.is_empty():
        parts.empty("No sync is defined yet", "Add a destination, then a sync that says what goes there.")
        return
    st.selectbox(
        "Go to a sync",
        frame["sync"].to_list(),
        index=None,
        format_func=f.label,
        key="go_sync",
        width=360,
        placeholder="Type a part of its name",
        on_change=_open_picked,
    )
    sent = [f.ago(then, ws.now) for then in frame["last_sent_at"].to_list()]
    shown = frame.with_columns(
        pl.col("sync").map_elements(f.label, return_dtype=pl.String),
        pl.col("model").map_elements(parts.model_in_words, return_dtype=pl.String),
        pl.col("schedule").fill_null("by hand"),
        sent=pl.Series(sent, dtype=pl.String),
    )
    column = st.column_config
    picked = st.dataframe(
        shown.select("sync", "model", "destination", "type", "schedule", "delivered", "failed", "pending", "sent"),
        hide_index=True,
        placeholder="–",
        key="sync_list",
        on_select="rerun",
        selection_mode="single-cell",
        alt="Syncs with their destination and what was delivered",
        column_config={
            "sync": column.TextColumn("Sync", width="medium"),
            "model": column.TextColumn("What", width="medium"),
            "destination": column.TextColumn("Destination"),
            "type": column.TextColumn("Type", width="small"),
            "schedule": column.TextColumn("Schedule", help="Cron fields, UTC"),
            "delivered": column.NumberColumn("Delivered", format="localized", help="Rows the destination holds"),
            "failed": column.NumberColumn("Failed", format="localized"),
            "pending": column.NumberColumn("Pending", format="localized"),
            "sent": column.TextColumn("Last sent", help="Counted from the workspace's clock"),
        },
    )
    row = parts.clicked(picked)
    if row is not None:
        st.query_params["sync"] = frame["sync"][row]
        st.rerun()


def _open_picked() -> None:
    links.open_thing("sync", st.session_state["go_sync"])


def _one(ws: cdp.Workspace, name: str) -> None:
    sync = cached(view.one, ws, name)
    row = st.container(horizontal=True, vertical_alignment="center")
    with row.container():
        st.subheader(f.escape(f.label(name)), anchor=False)
        model, place = f.escape(parts.model_in_words(sync.model)), f.escape(f"{sync.destination} ({sync.type})")
        st.caption(f"{model} :material/arrow_forward: {place}")
    with row:
        forms.edit_button("sync", name)
        _download(sync)
    with st.grid(4, min_column_width=150, gap="small"):
        st.metric("Delivered", f.number(sync.counts["delivered"]), help="Rows the destination holds", border=True)
        st.metric(
            "Refused",
            f.number(sync.counts["failed"]),
            help=f"Tried again by the next run; {f.number(sync.counts['dead'])} more are given up",
            border=True,
        )
        st.metric("Last sent", f.ago(sync.last_sent_at, ws.now), help=f.exact(sync.last_sent_at), border=True)
        st.metric(
            "Schedule",
            sync.schedule or "By hand",
            help=f.escape(f"{sync.mode.capitalize()}; key {sync.key}"),
            border=True,
        )
    _tabs(ws, sync)


def _tabs(ws: cdp.Workspace, sync: view.Sync) -> None:
    """Only the open one is computed."""
    planned, history, refused, ledger, mapping = st.tabs(
        ["Plan and run", "History", "Refused", "Ledger", "Mapping"], key="sync_tab", on_change="rerun"
    )
    if planned.open:
        with planned:
            sync_plan.draw(sync.name)
    if history.open:
        with history:
            sync_history.draw(ws, sync.name)
    if refused.open:
        with refused:
            sync_refused.draw(ws, sync.name)
    if ledger.open:
        with ledger:
            sync_rows.draw(ws, sync)
    if mapping.open:
        with mapping:
            _mapping(sync)


def _download(sync: view.Sync) -> None:
    if sync.file is None:
        return
    path = sync.file
    st.download_button(
        "Download",
        data=path.read_bytes,
        file_name=path.name,
        key="download_sync",
        icon=":material/download:",
        on_click="ignore",
        help=f"{f.escape(path.name)}, {path.stat().st_size / 1024:,.0f} kB, as delivered: nothing in it is masked",
    )


def _mapping(sync: view.Sync) -> None:
    frame = pl.DataFrame({"field": list(sync.fields), "source": list(sync.fields.values())})
    frame = frame.with_columns(key=pl.col("field") == sync.key)
    st.dataframe(
        frame,
        hide_index=True,
        placeholder="–",
        key="mapping",
        width=560,
        alt="Fields of the destination and the columns they come from",
        column_config={
            "field": "Field at the destination",
            "source": "From",
            "key": st.column_config.CheckboxColumn("Key"),
        },
    )
    if sync.steps:
        st.markdown("**Changed before it is sent**")
        st.markdown("\n".join(f"{number}. {f.escape(step)}" for number, step in enumerate(sync.steps, 1)))
        st.caption("Steps of the destination; the stored events stay as they are.")
    st.caption("Edit changes the mapping, here or in cdp.yaml under `syncs:`.")
