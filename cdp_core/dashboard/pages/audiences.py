"""Audiences: the list; one audience with its definition, members and history; a new one."""

from __future__ import annotations

import altair as alt
import polars as pl
import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import charts, jobs, links, parts, session
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard.pages import builder
from cdp_core.dashboard.session import cached
from cdp_core.dashboard.views import audiences as view

PAGE = 25
SHOWN = ("first_name", "last_name", "email", "city")


def page(ws: cdp.Workspace) -> None:
    name = links.opened("audience")
    if links.opened("new"):
        _back()
        builder.draw(None)
    elif name is None:
        _list(ws)
    elif name not in ws.config.audiences:
        _back()
        st.warning(f"There is no audience called {f.escape(name)}.", icon=":material/search_off:")
    else:
        _one(ws, name)


def _back() -> None:
    parts.back("Audiences", "audience", "new")


def _list(ws: cdp.Workspace) -> None:
    frame = cached(view.listing, ws)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Go to an audience",
            frame["audience"].to_list(),
            index=None,
            format_func=f.label,
            key="go_audience",
            placeholder="Type a part of its name",
            on_change=_open_picked,
            width=360,
        )
        st.space("stretch")
        st.button(
            "New audience",
            key="new_audience",
            type="primary",
            icon=":material/add:",
            on_click=links.open_thing,
            args=("new", "1"),
        )
    if frame.is_empty():
        parts.empty("No audience is defined yet", "Build the first one: it is written into cdp.yaml.")
        return
    _table(ws, frame)
    with st.container(border=True):
        st.subheader("Sizes", anchor=False)
        sizes = frame.sort("members", descending=True).head(20)
        sizes = sizes.with_columns(pl.col("audience").map_elements(f.label, return_dtype=pl.String))
        chart = charts.bars(
            sizes, name="audience", value="members", unit="Members", sort="-x", height=34 * sizes.height + 10
        )
        st.altair_chart(chart, alt="Members of each audience", key="audience_sizes")


def _open_picked() -> None:
    links.open_thing("audience", st.session_state["go_audience"])


def _table(ws: cdp.Workspace, frame: pl.DataFrame) -> None:
    changed = [f.ago(then, ws.now) if then else "after the next run" for then in frame["changed_at"].to_list()]
    shown = frame.with_columns(
        pl.col("audience").map_elements(f.label, return_dtype=pl.String), changed=pl.Series(changed, dtype=pl.String)
    )
    column = st.column_config
    picked = st.dataframe(
        shown.select("audience", "members", "share", "changed", "syncs", "description", "condition"),
        hide_index=True,
        placeholder="–",
        key="audience_list",
        on_select="rerun",
        selection_mode="single-cell",
        alt="Audiences with their size, last change and condition",
        column_config={
            "audience": column.TextColumn("Audience", width="medium"),
            "members": column.NumberColumn("Members", format="localized"),
            "share": column.ProgressColumn("Share of all", format="percent", min_value=0, max_value=1),
            "changed": column.TextColumn("Last change", help="Counted from the workspace's clock"),
            "syncs": column.NumberColumn("Syncs", help="How many syncs send it"),
            "description": column.TextColumn("Description", width="medium"),
            "condition": column.TextColumn("Condition", width="large"),
        },
    )
    row = parts.clicked(picked)
    if row is not None:
        st.query_params["audience"] = frame["audience"][row]
        st.rerun()


def _one(ws: cdp.Workspace, name: str) -> None:
    _back()
    frame = cached(view.listing, ws).filter(pl.col("audience") == name).to_dicts()[0]
    row = st.container(horizontal=True, vertical_alignment="center")
    with row.container():
        st.subheader(f.escape(f.label(name)), anchor=False)
        st.caption(f.escape(frame["description"] or frame["condition"]))
    with row:
        st.button("Delete…", key="delete_audience", icon=":material/delete:", on_click=_ask_delete, args=(name,))
    used = view.used_by(ws, name)
    with st.grid(4, min_column_width=160, gap="small"):
        st.metric("Members", f.number(frame["members"]), border=True)
        st.metric("Share of all profiles", f.percent(frame["share"]), border=True)
        st.metric("Last change", f.ago(frame["changed_at"], ws.now), help=f.exact(frame["changed_at"]), border=True)
        st.metric(
            "Sent by",
            f.plural(len(used), "sync"),
            help=f.labels(used) or "No sync",
            border=True,
        )
    definition, members, history = st.tabs(["Definition", "Members", "History"], key="audience_tab", on_change="rerun")
    if definition.open:
        with definition:
            builder.draw(name)
    if members.open:
        with members:
            _members(ws, name)
    if history.open:
        with history:
            _history(ws, name)


def _members(ws: cdp.Workspace, name: str) -> None:
    total = cached(view.size, ws, name)
    if not total:
        parts.empty("No members", "Nobody meets the condition, or it has not been run since it was saved.")
        return
    pages = -(-total // PAGE)
    slot = st.container()
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(f"{f.plural(total, 'member')}, the latest first", width="content")
        number = st.pagination(min(pages, 10_000), key=f"members_{name}") if pages > 1 else 1
    frame = cached(view.members, ws, name, SHOWN, number, PAGE, session.revealed())
    with slot:
        picked = parts.profiles(frame, key=f"members_table_{name}", alt=f"Members of {f.label(name)}")
    if picked is not None:
        links.go("customers", profile=frame["profile_id"][picked])


def _history(ws: cdp.Workspace, name: str) -> None:
    frame = cached(view.history, ws, name)
    if frame.is_empty():
        parts.empty("No history yet", "Every run that changes the members adds a point.")
        return
    left, right = parts.main_and_aside()
    with left.container(border=True):
        st.markdown("**Members over time**")
        chart: alt.LayerChart = charts.steps(frame, time="at", value="members", unit="Members", height=240)
        st.altair_chart(chart, alt=f"Size of {f.label(name)} over time", key="audience_history")
    column = st.column_config
    right.dataframe(
        frame.sort("at", descending=True).select("at", "entered", "exited", "members"),
        hide_index=True,
        placeholder="–",
        key="audience_changes",
        alt="Entered and left at each run",
        column_config={
            "at": column.DatetimeColumn("At (UTC)", format="D MMM YYYY, HH:mm"),
            "entered": column.NumberColumn("Entered", format="+%,d"),
            "exited": column.NumberColumn("Left", format="-%,d"),
            "members": column.NumberColumn("Members", format="localized"),
        },
    )


def _ask_delete(name: str) -> None:
    st.session_state["deleting_audience"] = name
    _confirm(name)


@st.dialog("Delete this audience?")
def _confirm(name: str) -> None:
    ws = session.workspace()
    used = view.used_by(ws, name)
    st.markdown(f"**{f.escape(f.label(name))}** goes from cdp.yaml. Its history stays; saving it again brings it back.")
    if used:
        st.warning(f"Sent by {f.labels(used)}: change that first.", icon=":material/link:")
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Keep", key="keep_audience"):
            st.rerun()
        if st.button("Delete", key="really_delete", type="primary", disabled=bool(used)):
            try:
                ws.delete_audience(name)
            except cdp.CDPError as error:
                st.error(f.escape(str(error)))
                return
            links.close_thing("audience")
            st.rerun()


def refresh_button() -> None:
    """Offer to compute the members of what was just saved."""
    if st.button("Refresh audiences now", key="refresh_audiences", icon=":material/play_arrow:"):
        jobs.start(session.root(), "run", "Run", "run", "--select", "audiences")
        st.rerun()
