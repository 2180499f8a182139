"""The first page: what there is, how fresh it is, and what needs someone."""

from __future__ import annotations

import polars as pl
import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import charts, links, parts
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard.session import cached
from cdp_core.dashboard.views import overview as view

_ICONS = {"error": ":material/error:", "warning": ":material/warning:", "info": ":material/info:"}

_ENDS = ("#6A66DD", "#9A9AA8", "#DC8A2E", "#12A594", "#9A9AA8")
"""Middle tones that read on light and on dark."""


def page(ws: cdp.Workspace) -> None:
    _tiles(ws)
    left, right = parts.halves()
    with left:
        _volumes(ws)
    with right:
        _needs(ws)
    with st.container(border=True):
        _sources(ws)
    left, right = parts.halves()
    with left:
        _audiences(ws)
    with right:
        _syncs(ws)
    left, right = parts.halves()
    with left:
        _quality(ws)
    with right:
        _flow(ws)


def _tiles(ws: cdp.Workspace) -> None:
    with st.grid(6, min_column_width=138, gap="small"):
        for figure in cached(view.figures, ws):
            st.metric(
                figure.name,
                figure.value,
                delta=figure.note,
                delta_color="violet",
                delta_arrow="off",
                help=f.escape(figure.help),
                border=True,
                height="stretch",
                chart_data=figure.trend or [0.0],
                chart_type=figure.kind,
            )


def _volumes(ws: cdp.Workspace) -> None:
    st.subheader("Events by source", anchor=False, help="Events a month, by the time they happened.")
    frame = cached(view.monthly_events, ws)
    if frame.is_empty():
        st.caption("No event carries a time yet.")
        return
    frame = frame.with_columns(pl.col("source").map_elements(f.label, return_dtype=pl.String))
    chart = charts.stacked_months(frame, time="month", group="source", value="events", unit="Events", height=250)
    st.altair_chart(chart, alt="Events a month, stacked by source", key="volumes")


def _needs(ws: cdp.Workspace) -> None:
    st.subheader("What needs you", anchor=False)
    found = cached(view.needs, ws)
    if not found:
        st.markdown(":green[:material/check_circle:] Nothing waits for you.")
        return
    with st.container(gap="xsmall"):
        for need in found[:9]:
            text = f.escape(need.text)
            text = f":red[{text}]" if need.level == "error" else text
            links.link(need.page, text, icon=_ICONS[need.level], **dict(need.query))
    if len(found) > 9:
        st.caption(f"and {len(found) - 9} more")


def _sources(ws: cdp.Workspace) -> None:
    st.subheader("Sources", anchor=False, help="Rows read = events + duplicates + held rows, checked on every run.")

    frame = cached(view.sources, ws)
    newest = [f.ago(then, ws.now) if then else "–" for then in frame["newest_event"].to_list()]
    frame = frame.with_columns(
        pl.col("source").map_elements(f.label, return_dtype=pl.String), age=pl.Series(newest, dtype=pl.String)
    )
    column = st.column_config
    st.dataframe(
        frame.select(
            "source",
            "type",
            "rows_read",
            "events",
            "duplicates",
            "quarantined",
            "trend",
            "age",
            "newest_event",
            "balanced",
        ),
        hide_index=True,
        placeholder="–",
        key="sources",
        alt="Sources with their rows, freshness and weekly volume",
        column_config={
            "source": column.TextColumn("Source", width=130),
            "type": column.TextColumn("Type", width=70),
            "rows_read": column.NumberColumn("Rows read", format="localized"),
            "events": column.NumberColumn("Events", format="localized"),
            "duplicates": column.NumberColumn("Duplicates", format="localized", help="Rows seen before, or sent twice"),
            "quarantined": column.NumberColumn("Held", format="localized", help="Rows in quarantine"),
            "trend": column.AreaChartColumn("Events a week", help="The last half year", width=150),
            "age": column.TextColumn("Newest event", help="Counted from the workspace's clock"),
            "newest_event": column.DatetimeColumn("At (UTC)", format="D MMM YYYY, HH:mm"),
            "balanced": column.CheckboxColumn("Adds up", help="Rows read = events + duplicates + held"),
        },
    )


def _audiences(ws: cdp.Workspace) -> None:
    st.subheader("Audiences", anchor=False)

    frame = cached(view.audience_rows, ws)
    if frame.is_empty():
        st.caption("No audience is defined yet.")
        links.link("audiences", "Build the first audience", icon=":material/add:")
        return
    shown = frame.with_columns(
        pl.col("audience").map_elements(f.label, return_dtype=pl.String),
        pl.col("entered", "exited").replace(0, None),
    )
    column = st.column_config
    picked = st.dataframe(
        shown.select("audience", "members", "share", "entered", "exited"),
        hide_index=True,
        placeholder="–",
        key="overview_audiences",
        on_select="rerun",
        selection_mode="single-cell",
        alt="Audiences with their size and last change",
        column_config={
            "audience": column.TextColumn("Audience", width=158),
            "members": column.NumberColumn("Members", format="localized", width=75),
            "share": column.ProgressColumn("Share", format="percent", min_value=0, max_value=1, width=100),
            "entered": column.NumberColumn("In", format="+%,d", help="Entered at the last change", width=56),
            "exited": column.NumberColumn("Out", format="-%,d", help="Left at the last change", width=50),
        },
    )
    row = parts.clicked(picked)
    if row is not None:
        links.go("audiences", audience=frame["audience"][row])


def _syncs(ws: cdp.Workspace) -> None:
    st.subheader("Syncs", anchor=False)

    frame = cached(view.sync_rows, ws)
    if frame.is_empty():
        st.caption("No sync is defined yet; add one under `syncs:` in cdp.yaml.")
        return
    sent = [f.ago(then, ws.now) for then in frame["last_sent_at"].to_list()]
    shown = frame.with_columns(
        pl.col("sync").map_elements(f.label, return_dtype=pl.String),
        pl.col("model").map_elements(parts.model_in_words, return_dtype=pl.String),
        sent=pl.Series(sent, dtype=pl.String),
    )
    column = st.column_config
    picked = st.dataframe(
        shown.select("sync", "model", "delivered", "failed", "sent"),
        hide_index=True,
        placeholder="–",
        key="overview_syncs",
        on_select="rerun",
        selection_mode="single-cell",
        alt="Syncs with what they delivered",
        column_config={
            "sync": column.TextColumn("Sync", width=128),
            "model": column.TextColumn("What", width=124),
            "delivered": column.NumberColumn("Delivered", format="localized", width=72),
            "failed": column.NumberColumn("Failed", format="localized", width=60),
            "sent": column.TextColumn("Last sent", width=85, help="Counted from the workspace's clock"),
        },
    )
    row = parts.clicked(picked)
    if row is not None:
        links.go("destinations", sync=frame["sync"][row])


def _quality(ws: cdp.Workspace) -> None:
    st.subheader("Quality", anchor=False, help="Expectations passed when they were last checked.")

    frame = cached(view.suite_rows, ws)
    if frame.is_empty():
        st.caption("No suite is defined yet; suites are JSON files in `expectations/`.")
        return
    shown = frame.with_columns(pl.col("suite").map_elements(f.label, return_dtype=pl.String))
    column = st.column_config
    st.dataframe(
        shown.select("suite", "share", "expectations", "rows_failed"),
        hide_index=True,
        placeholder="–",
        key="overview_quality",
        alt="Suites with the share of expectations that passed",
        column_config={
            "suite": column.TextColumn("Suite", width="medium"),
            "share": column.ProgressColumn("Passed", format="percent", min_value=0, max_value=1),
            "expectations": column.NumberColumn("Expectations"),
            "rows_failed": column.NumberColumn("Failing rows", format="localized"),
        },
    )


def _flow(ws: cdp.Workspace) -> None:
    st.subheader("Where every row went", anchor=False, help="Every row read is an event, a duplicate or held.")
    flow = cached(view.flow, ws)
    nodes = [f.label(name) for name in flow.by_source["source"].to_list()]
    ends = ["Events", "Duplicates", "Held", "In profiles", "No identifier or superseded"]
    ties = [
        (f.label(row["source"]), end, row[key])
        for row in flow.by_source.to_dicts()
        for end, key in (("Events", "events"), ("Duplicates", "duplicates"), ("Held", "quarantined"))
    ]
    ties += [("Events", "In profiles", flow.in_profiles), ("Events", ends[4], flow.without_identifier)]
    used = {name for a, b, n in ties if n for name in (a, b)}
    colours = dict.fromkeys(nodes, "#8F8BF2") | dict(zip(ends, _ENDS, strict=True))
    spec = charts.sankey({name: colour for name, colour in colours.items() if name in used}, ties)
    st.echarts_chart(spec, height=260, key="flow", alt="Rows from each source to events, duplicates, held and profiles")
