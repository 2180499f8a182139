"""Customers: one search box over any identifier or name, and the profile that it opens."""

from __future__ import annotations

from typing import Any

import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard import links, parts, session
from cdp_core.dashboard.pages import customer
from cdp_core.dashboard.session import cached
from cdp_core.dashboard.views import customers as view


def page(ws: cdp.Workspace) -> None:
    reference = links.opened("profile")
    if reference is None:
        _search()
        return
    parts.back("Customers", "profile", "tab")
    customer.draw(ws, reference)


@st.fragment
def _search() -> None:
    ws = session.workspace()
    text = st.text_input(
        "Find a customer",
        key="customer_search",
        type="search",
        live=True,
        persist_state="session",
        width=640,
        icon=":material/search:",
        placeholder="E-mail, phone, customer number, device, or any part of a name",
        help="An identifier can be written in full, by its beginning, or as type:value.",
    )
    found = cached(view.search, ws, text or "", session.revealed())
    if found.rows.is_empty():
        parts.empty("Nobody is found", "Try the beginning of an identifier, another spelling, or type:value.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        if text and text.strip():
            more = " or more" if found.rows.height >= view.MOST else ""
            st.caption(f"{f.plural(found.rows.height, 'customer')}{more}, the best match first")
        else:
            st.caption(f"The {found.rows.height} customers seen last. Click one to open it.")
        if text and text.strip():
            first = found.exact or found.rows["profile_id"][0]
            st.button(
                "Open the first", key="open_first", icon=":material/keyboard_return:", on_click=_open, args=(first,)
            )
    _table(ws, found, bool(text and text.strip()))


def _open(profile_id: str) -> None:
    links.open_thing("profile", profile_id)
    st.rerun()


def _table(ws: cdp.Workspace, found: view.Found, searched: bool) -> None:
    import polars as pl

    money = cached(view.currencies, ws)
    seen = [f.ago(then, ws.now) for then in found.rows["last_seen"].to_list()]
    rows = found.rows.with_columns(pl.col("name").fill_null("No name"), seen=pl.Series(seen, dtype=pl.String))
    shown = rows.select(
        "name", "contact", *(["matched"] if searched else []), "events", *found.numbers, "seen", "last_seen", "sources"
    )
    column = st.column_config
    config: dict[str, Any] = {
        "name": column.TextColumn("Name"),
        "contact": column.TextColumn("Contact"),
        "matched": column.TextColumn("Matched by"),
        "events": column.NumberColumn("Events", format="localized"),
        "seen": column.TextColumn("Last seen", help="Counted from the workspace's clock"),
        "last_seen": column.DatetimeColumn("At (UTC)", format="D MMM YYYY, HH:mm"),
        "sources": column.MultiselectColumn(
            "Sources", options=list(ws.config.sources), color="auto", format_func=f.label
        ),
    }
    for name in found.numbers:
        format = f.money_format(money[name]) if name in money else "localized"
        config[name] = column.NumberColumn(f.label(name), format=format)
    picked = st.dataframe(
        shown,
        hide_index=True,
        placeholder="–",
        key="customer_list",
        on_select="rerun",
        selection_mode="single-cell",
        column_config=config,
        alt="Customers; click one to open it",
        height="content" if shown.height <= 22 else 760,
    )
    row = parts.clicked(picked)
    if row is not None:
        links.open_thing("profile", found.rows["profile_id"][row])
        st.rerun()
