"""One customer, drawn from a card."""

from __future__ import annotations

from typing import Any

import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import charts, parts, session
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard.session import cached
from cdp_core.dashboard.views import customer as view
from cdp_core.dashboard.views import layout

PAGE = 25
_STATES = {"granted": ("green", "check"), "denied": ("red", "close"), "conflict": ("orange", "warning")}


def draw(ws: cdp.Workspace, reference: str) -> None:
    """The page of a profile_id or `type:value`."""
    try:
        card = cached(view.card, ws, reference, session.revealed())
    except cdp.UsageError as error:
        st.warning(str(error), icon=":material/search_off:")
        return
    _header(ws, card)
    left, right = parts.halves()
    with left:
        _golden(card)
    with right:
        _timeline(card.profile_id)
    left, right = parts.main_and_aside()
    with left.container(border=True, height="stretch"):
        _identity(ws, card)
    with right.container(border=True, height="stretch"):
        _membership(ws, card)


def _header(ws: cdp.Workspace, card: view.Card) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.header(f.escape(card.name), anchor=False, width="content")
        for row in card.audiences.head(6).to_dicts():
            st.badge(
                f.label(row["audience"]),
                icon=":material/groups:",
                color="violet",
                help=f"In this audience since {f.exact(row['entered_at'])}",
            )
        for row in card.consents.to_dicts():
            colour, icon = _STATES.get(row["state"], ("gray", "help"))
            st.badge(
                f"{f.label(row['category'])} {row['state']}",
                icon=f":material/{icon}:",
                color=colour,
                help=f"Consent, stated by {row['source'] or 'several sources'}, {f.exact(row['updated_at'])}",
            )
    st.caption(f"`{card.profile_id}`")
    with st.grid(3 + len(card.facts), min_column_width=140, gap="small"):
        for name, value in card.facts:
            st.metric(name, value, border=True)
        st.metric("Events", f.number(card.events), border=True)
        st.metric("First seen", f.ago(card.first_seen, ws.now), help=f.exact(card.first_seen), border=True)
        st.metric("Last seen", f.ago(card.last_seen, ws.now), help=f.exact(card.last_seen), border=True)


def _golden(card: view.Card) -> None:
    st.subheader("Profile", anchor=False, help="Every value with the source that won, and what the others said")
    column = st.column_config
    st.dataframe(
        card.traits,
        hide_index=True,
        placeholder="–",
        key="golden",
        height="content" if card.traits.height <= 20 else 730,
        alt="The golden record: every trait with its source",
        column_config={
            "trait": column.TextColumn("Trait", width=112),
            "value": column.TextColumn("Value", width=142),
            "source": column.TextColumn("Source", width=86, help="Where the value comes from"),
            "updated_at": column.DatetimeColumn("Since (UTC)", format="D MMM YYYY"),
            "others": column.TextColumn("Others said", help="Values of other sources that did not win"),
            "rule": column.TextColumn("Rule", help="How the value was chosen or computed"),
        },
        column_order=["trait", "value", "source", "others", "updated_at", "rule"],
    )


@st.fragment
def _timeline(profile_id: str) -> None:
    ws = session.workspace()
    st.subheader("Timeline", anchor=False)
    months = cached(view.rhythm, ws, profile_id)
    if months.is_empty():
        st.caption("No event carries a time.")
        return
    chart = charts.stacked_months(
        months, time="month", group="event", value="events", unit="Events", height=190, narrow=True
    )
    st.altair_chart(chart, alt="This customer's events by month", key="rhythm")
    names = months["event"].unique().sort().to_list()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kinds = st.multiselect(
            "Events", names, key="timeline_events", placeholder="All events", label_visibility="collapsed", width=215
        )
        sources = st.multiselect(
            "Sources",
            list(ws.config.sources),
            key="timeline_sources",
            placeholder="All sources",
            format_func=f.label,
            label_visibility="collapsed",
            width=205,
        )
    slot = st.container()
    number = st.session_state.get("timeline_page", 1)
    total, events = cached(
        view.timeline, ws, profile_id, tuple(kinds), tuple(sources), number, PAGE, session.revealed()
    )
    pages = max(-(-total // PAGE), 1)
    if number > pages:
        number = 1
        total, events = cached(view.timeline, ws, profile_id, tuple(kinds), tuple(sources), 1, PAGE, session.revealed())
    with slot:
        _events(events)
    if pages > 1:
        st.pagination(min(pages, 10_000), key="timeline_page")


def _events(events: list[view.Event]) -> None:
    import polars as pl

    frame = pl.DataFrame(
        {
            "when": [e.timestamp for e in events],
            "event": [e.name for e in events],
            "summary": [e.summary for e in events],
            "source": [f.label(e.source) for e in events],
        },
        schema={"when": pl.Datetime("us"), "event": pl.String, "summary": pl.String, "source": pl.String},
    )
    column = st.column_config
    picked = st.dataframe(
        frame,
        hide_index=True,
        placeholder="–",
        key="timeline",
        height="content" if frame.height <= 10 else 410,
        on_select="rerun",
        selection_mode="single-cell",
        alt="Events of this customer, newest first; click one for its content",
        column_config={
            "when": column.DatetimeColumn("When (UTC)", format="D MMM YYYY, HH:mm", width=122),
            "event": column.TextColumn("Event", width=104),
            "summary": column.TextColumn("What", width=128),
            "source": column.TextColumn("Source"),
        },
    )
    row = parts.clicked(picked)
    if row is not None and row < len(events):
        with st.container(height=260, border=False):
            st.code(events[row].content, language="json")


def _identity(ws: cdp.Workspace, card: view.Card) -> None:
    st.subheader("Identifiers and why", anchor=False, help="Lines are evidence: two identifiers seen together")
    graph = cached(view.graph, ws, card.profile_id, session.revealed())
    picture, evidence, values = st.tabs(["Graph", "Evidence", "Identifiers"], key="identity_tab")
    with picture:
        if len(graph.nodes) > 1:
            st.echarts_chart(
                drawing(graph), height=360, key="identity_graph", alt="Identifiers of this customer and what ties them"
            )
        else:
            st.caption("One identifier: nothing had to be joined.")
        if graph.left_out:
            st.caption(f"{f.plural(graph.left_out, 'identifier')} more are in the table only.")
    column = st.column_config
    times = {
        name: column.DatetimeColumn(label, format="D MMM YYYY")
        for name, label in (("first_seen", "First seen (UTC)"), ("last_seen", "Last seen (UTC)"))
    }
    evidence.dataframe(
        view.evidence(graph),
        hide_index=True,
        placeholder="–",
        key="evidence_table",
        alt="Evidence that ties identifiers together",
        column_config={
            "between": "Between",
            "and": "And",
            "source": "Source",
            "events": column.NumberColumn("Events", format="localized"),
            **times,
        },
    )
    values.dataframe(
        card.identifiers,
        hide_index=True,
        placeholder="–",
        key="identifier_table",
        alt="Identifiers of this customer",
        column_config={
            "type": "Identifier",
            "value": "Value",
            "events": column.NumberColumn("Events", format="localized"),
            **times,
        },
    )
    if card.merges.height:
        values.caption(f"{f.plural(card.merges.height, 'earlier profile')} went into this one; their ids still work.")


def drawing(graph: view.Graph) -> dict[str, Any]:
    """An ECharts option: identifiers as circles by type, evidence as lines."""
    types = list(dict.fromkeys(node["type"] for node in graph.nodes))
    ties = [(edge["left"], edge["right"]) for edge in graph.edges]
    at = layout.place(len(graph.nodes), ties)
    series = {
        "type": "graph",
        "layout": "none",
        "preserveAspect": True,
        "roam": True,
        "draggable": True,
        "top": 56,
        "bottom": 24,
        "left": 40,
        "right": 110,
        "categories": [{"name": f.label(name)} for name in types],
        "label": {"show": len(graph.nodes) <= 25, "position": "right", "fontSize": 12},
        "emphasis": {"focus": "adjacency", "label": {"show": True}},
        "lineStyle": {"opacity": 0.55},
        "data": [_circle(node, types.index(node["type"]), point) for node, point in zip(graph.nodes, at, strict=True)],
        "links": [_line(edge, tie) for edge, tie in zip(graph.edges, ties, strict=True)],
    }
    legend = {"data": [f.label(name) for name in types], "top": 0, "left": "center", "icon": "circle", "itemWidth": 10}
    return {"tooltip": {"trigger": "item", "formatter": "{b}"}, "legend": legend, "series": [series]}


def _circle(node: dict[str, Any], category: int, point: tuple[float, float]) -> dict[str, Any]:
    return {
        "name": node["value"],
        "category": category,
        "x": point[0] * 600,
        "y": point[1] * 260,
        "symbolSize": 13 + min(15, 4 * len(str(node["events"]))),
    }


def _line(edge: dict[str, Any], tie: tuple[int, int]) -> dict[str, Any]:
    width = min(1 + (edge["events"] or 0) / 10, 4)
    return {"source": tie[0], "target": tie[1], "value": edge["events"], "lineStyle": {"width": width}}


def _membership(ws: cdp.Workspace, card: view.Card) -> None:
    column = st.column_config
    st.subheader("Audiences", anchor=False)
    if card.audiences.is_empty():
        st.caption("In no audience.")
    else:
        st.dataframe(
            _labelled(card.audiences, "audience"),
            hide_index=True,
            placeholder="–",
            key="card_audiences",
            alt="Audiences this customer is in",
            column_config={
                "audience": "Audience",
                "entered_at": column.DatetimeColumn("Since (UTC)", format="D MMM YYYY"),
            },
        )
    st.subheader("Consent", anchor=False)
    if card.consents.is_empty():
        st.caption("No statement about consent.")
    else:
        st.dataframe(
            _labelled(card.consents, "category"),
            hide_index=True,
            placeholder="–",
            key="card_consents",
            alt="Consent of this customer",
            column_config={
                "category": "Category",
                "state": "State",
                "source": "Source",
                "updated_at": column.DatetimeColumn("Since (UTC)", format="D MMM YYYY"),
            },
        )
    st.subheader("Sent where", anchor=False)
    if card.deliveries.is_empty():
        st.caption("Nothing about this customer was sent anywhere.")
    else:
        st.dataframe(
            _labelled(card.deliveries, "sync"),
            hide_index=True,
            placeholder="–",
            key="card_deliveries",
            alt="What was sent about this customer",
            column_config={
                "sync": "Sync",
                "status": "Outcome",
                "operation": "What",
                "error": "Reason",
                "sent_at": column.DatetimeColumn("When (UTC)", format="D MMM YYYY, HH:mm"),
            },
        )


def _labelled(frame: Any, column: str) -> Any:
    import polars as pl

    return frame.with_columns(pl.col(column).map_elements(f.label, return_dtype=pl.String))
