"""History: how deliveries went, run by run, and the rows of a run."""

from __future__ import annotations

import polars as pl
import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import charts, links, parts, session
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard.pages import sync_rows
from cdp_core.dashboard.session import cached
from cdp_core.dashboard.views import sync_history as view

PAGE = 25


def draw(ws: cdp.Workspace, name: str) -> None:
    frame = view.runs(ws, name)
    if frame.is_empty():
        parts.empty("No run yet", "Look at the plan and send it; every run gets a line here.")
        return
    days = cached(view.by_day, ws, name)
    if days.height:
        st.altair_chart(
            charts.stacked_days(days), alt="Rows a day: delivered, removed, refused and withheld", key="sync_days"
        )
    _table(frame)
    run = links.opened("run")
    if run is not None:
        _rows(ws, name, run, frame)


def _table(frame: pl.DataFrame) -> None:
    column = st.column_config
    counts = {**view.OUTCOMES, "pending": "Still to send"}
    shown = frame.with_columns(
        pl.col("status").replace(view.STATUSES),
        pl.Series("seconds", [f.duration(seconds) for seconds in frame["seconds"].to_list()], dtype=pl.String),
    )
    picked = st.dataframe(
        shown.select("started_at", "status", "seconds", *counts, "error"),
        hide_index=True,
        placeholder="–",
        key="sync_runs",
        on_select="rerun",
        selection_mode="single-cell",
        alt="Runs of this sync, newest first",
        column_config={
            "started_at": column.DatetimeColumn("Began (UTC)", format="D MMM YYYY, HH:mm"),
            "status": column.TextColumn("Status"),
            "seconds": column.TextColumn("Took"),
            **{name: column.NumberColumn(text, format="localized") for name, text in counts.items()},
            "error": column.TextColumn("Reason", width="large"),
        },
    )
    row = parts.clicked(picked)
    if row is not None and links.opened("run") != frame["run_id"][row]:
        links.open_thing("run", frame["run_id"][row])
        st.rerun()


def _rows(ws: cdp.Workspace, name: str, run_id: str, frame: pl.DataFrame) -> None:
    found = frame.filter(pl.col("run_id") == run_id).to_dicts()
    if not found:
        st.warning("This run is not among the newest ones of this sync.", icon=":material/search_off:")
        return
    with st.container(border=True):
        st.markdown(f"**Run of {f.exact(found[0]['started_at'])}** · {view.summary_of_run(found[0])}")
        number = st.session_state.get("run_page", 1)
        total, rows = cached(view.rows_of, ws, name, run_id, number, PAGE, session.revealed())
        if not total:
            st.caption("This run settled no row.")
            return
        sync_rows.table(rows, key="run_rows", alt="Rows of this run, those that were not delivered first")
        if total > PAGE:
            st.pagination(min(-(-total // PAGE), 10_000), key="run_page")
        st.button("Close", key="close_run", type="tertiary", on_click=links.close_thing, args=("run",))
