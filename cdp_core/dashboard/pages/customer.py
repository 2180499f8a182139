"""One customer, drawn from a card."""

from __future__ import annotations

from typing import Any

import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import charts, parts, session
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard.pages import customer_requests, erase_form, evidence, sync_rows
from cdp_core.dashboard.session import cached
from cdp_core.dashboard.views import customer as view
from cdp_core.dashboard.views import evidence as links

PAGE = 25
_STATES = {"granted": ("green", "check"), "denied": ("red", "close"), "conflict": ("orange", "warning")}


def draw(ws: cdp.Workspace, reference: str) -> None:
    """The page of a profile_id or `type:value`."""
    try:
        card = cached(view.card, ws, reference, session.revealed())
    except cdp.UsageError as error:
        st.warning(f.escape(str(error)), icon=":material/search_off:")
        return
    _header(ws, card)
    left, right = parts.halves()
    with left:
        _golden(card)
    with right:
        _timeline(card.profile_id)
    left, right = parts.main_and_aside()
    with left.container(border=True, height="stretch"):
        _identity(card)
    with right.container(border=True, height="stretch"):
        _membership(ws, card)


def _header(ws: cdp.Workspace, card: view.Card) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.header(f.escape(card.name), anchor=False, width="content")
        for row in card.audiences.head(6).to_dicts():
            st.badge(
                f.escape(f.label(row["audience"])),
                icon=":material/groups:",
                color="violet",
                help=f"In this audience since {f.exact(row['entered_at'])}",
            )
        for row in card.consents.to_dicts():
            colour, icon = _STATES.get(row["state"], ("gray", "help"))
            st.badge(
                f.escape(f"{f.label(row['category'])} {row['state']}"),
                icon=f":material/{icon}:",
                color=colour,
                help=f"Consent, stated by {f.escape(row['source'] or 'several sources')}, {f.exact(row['updated_at'])}",
            )
        for each in ws.privacy.suppressed(card.profile_id):
            st.badge(
                "Suppressed",
                icon=":material/block:",
                color="red",
                help=f"Nothing is sent, since {f.exact(each.at)}: {f.escape(each.reason)}",
            )
    st.caption(f"`{card.profile_id}`")
    with st.grid(3 + len(card.facts), min_column_width=165, gap="small"):
        for name, value in card.facts:
            st.metric(f.escape(name), value, border=True)
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


@st.fragment
def _identity(card: view.Card) -> None:
    ws = session.by_identifier(session.workspace())
    st.subheader("Identifiers and why", anchor=False, help="Lines are evidence: two identifiers seen together")
    graph = cached(links.graph, ws, card.profile_id, session.revealed())
    chosen = evidence.choice("identity", card.profile_id, graph)
    picture, table, values = st.tabs(["Graph", "Evidence", "Identifiers"], key="identity_tab")
    with picture:
        if len(graph.nodes) > 1:
            evidence.draw(graph, chosen, alt="Identifiers of this customer and what ties them")
        else:
            st.caption("One identifier: nothing had to be joined.")
        if graph.left_out:
            st.caption(f"{f.plural(graph.left_out, 'identifier')} more are in the table only.")
    with table:
        columns = {"between": "Between", "and": "And"}
        evidence.table(links.table(graph), chosen, alt="Evidence that ties identifiers together", columns=columns)
    column = st.column_config
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
            "first_seen": column.DatetimeColumn("First seen (UTC)", format="D MMM YYYY"),
            "last_seen": column.DatetimeColumn("Last seen (UTC)", format="D MMM YYYY"),
        },
    )
    if card.merges.height:
        values.caption(f"{f.plural(card.merges.height, 'earlier profile')} went into this one; their ids still work.")
    evidence.panel(ws, graph, chosen, profile=card.profile_id)


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
    customer_requests.consent(ws, card.profile_id, card.consents)
    st.subheader("Sent where", anchor=False)
    if card.deliveries.is_empty():
        st.caption("Nothing about this customer was sent anywhere.")
    else:
        sync_rows.sent(card.deliveries, key="card_deliveries", alt="What was sent about this customer")
    person = card.profile_id
    if not ws.actor.may("privacy"):
        return
    if ws.privacy.suppressed(person):
        parts.decide("Send again…", "unsuppress", lambda reason: ws.privacy.unsuppress(person, reason=reason))
    else:
        parts.decide("Send nothing about them…", "suppress", lambda reason: ws.privacy.suppress(person, reason=reason))
    customer_requests.draw(person)
    erase_form.draw(ws, person)


def _labelled(frame: Any, column: str) -> Any:
    import polars as pl

    return frame.with_columns(pl.col(column).map_elements(f.label, return_dtype=pl.String))
