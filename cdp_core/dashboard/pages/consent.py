"""Consent: what people have said per category, how it changes, who needs it, and where statements disagree."""

from __future__ import annotations

import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import charts, links, parts
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard.session import cached
from cdp_core.dashboard.views import consent as view


def page(ws: cdp.Workspace) -> None:
    found = cached(view.consents, ws)
    if not found.categories:
        parts.empty(
            "Nobody has said anything about consent yet",
            "Map a column with consent: in a source, send context.consent.categoryPreferences with events, or note it "
            "on a customer's page.",
        )
        return
    _totals(found)
    left, right = parts.halves()
    with left:
        _categories(found)
    with right:
        _weeks(found)
    with st.container(border=True):
        _uses(found)
    with st.container(border=True):
        _conflicts(ws)


def _totals(found: view.Consents) -> None:
    withheld = int(found.uses["withheld"].sum() or 0)
    with st.grid(4, min_column_width=200, gap="small"):
        st.metric("Profiles", f.number(found.profiles), border=True)
        st.metric("Categories", f.number(len(found.categories)), border=True)
        st.metric(
            "In conflict", f.number(found.totals["conflict"]), border=True,
            help="Statements that disagree, which grants nothing until it is resolved",
        )  # fmt: skip
        st.metric(
            "Withheld", f.number(withheld), border=True,
            help="Profiles that syncs do not send because a category is not granted, sync by sync",
        )  # fmt: skip


def _categories(found: view.Consents) -> None:
    st.subheader("By category", anchor=False, help="All profiles, by what counts of what they have said")
    height = max(70 * len(found.categories) + 60, 200)
    chart = charts.shares(found.shares, name="category", part="state", share="share", count="profiles", height=height)
    st.altair_chart(chart, alt="Profiles by category and state of consent", key="consent_shares")


def _weeks(found: view.Consents) -> None:
    st.subheader(
        "Last half year", anchor=False, help="Profiles whose newest statement was a grant, at the end of each week"
    )
    if found.weeks.is_empty():
        st.caption("Nothing was said in the last 26 weeks.")
        return
    chart = charts.weeks(found.weeks, group="category", value="standing", height=230)
    st.altair_chart(chart, alt="Profiles that consent, by week and category", key="consent_weeks")


def _uses(found: view.Consents) -> None:
    st.subheader("Who needs it", anchor=False, help="Destinations that ask for a category, and whom it holds back now")
    if found.uses.is_empty():
        st.caption(
            "No destination asks for consent. Say consent: with a destination to hold back who has not granted it."
        )
        return
    column = st.column_config
    st.dataframe(
        found.uses,
        hide_index=True,
        placeholder="–",
        key="consent_uses",
        alt="Destinations and syncs by the category of consent that they need",
        column_config={
            "category": column.TextColumn("Category"),
            "destination": column.TextColumn("Destination"),
            "sync": column.TextColumn("Sync", help="Empty: nothing is sent there yet"),
            "profiles": column.NumberColumn("Profiles", format="localized", help="Of the sync's model"),
            "withheld": column.NumberColumn("Withheld", format="localized", help="Of them, without a grant"),
            "reached": column.ProgressColumn("May be sent", format="percent", min_value=0, max_value=1),
        },
    )


def _conflicts(ws: cdp.Workspace) -> None:
    st.subheader(
        "In conflict", anchor=False, help="Click one, and note on the customer's page what the person has said"
    )
    frame = cached(view.conflicts, ws)
    if frame.is_empty():
        st.caption("Nobody's statements disagree.")
        return
    column = st.column_config
    picked = st.dataframe(
        frame,
        hide_index=True,
        placeholder="–",
        key="consent_conflicts",
        on_select="rerun",
        selection_mode="single-cell",
        height="content" if frame.height <= 10 else 410,
        alt="Customers whose statements about consent disagree; click one to open it",
        column_config={
            "profile_id": column.TextColumn("Profile"),
            "category": column.TextColumn("Category"),
            "granted_by": column.TextColumn("Granted by"),
            "denied_by": column.TextColumn("Denied by"),
            "updated_at": column.DatetimeColumn("Since (UTC)", format="D MMM YYYY, HH:mm"),
        },
    )
    row = parts.clicked(picked)
    if row is not None and row < frame.height:
        links.go("customers", profile=frame["profile_id"][row])
