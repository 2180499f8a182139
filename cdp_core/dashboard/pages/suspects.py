"""The part of the identity page about profiles that may be several people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard import links, parts, session
from cdp_core.dashboard.pages import evidence
from cdp_core.dashboard.session import cached
from cdp_core.dashboard.views import suspects as view

if TYPE_CHECKING:
    import polars as pl


def draw(ws: cdp.Workspace) -> None:
    """Large profiles that hang on one link, the most doubtful first; the one that was clicked is drawn, to be cut."""
    frame = cached(view.rows, ws, session.revealed())
    if frame.is_empty():
        parts.empty("Nobody looks like two people", "Profiles whose halves hang together by one link would be here.")
        return
    st.caption(
        f"{f.plural(frame.height, 'profile')} whose parts hang together by a single link, the largest part first. "
        "Most are healthy: look at who says so. Click one."
    )
    row = parts.clicked(_table(frame))
    if row is not None and row < frame.height:
        with st.container(border=True):
            _one(ws, frame.row(row, named=True))


def _table(frame: pl.DataFrame) -> Any:
    column = st.column_config
    number = column.NumberColumn
    # The ends as they are stay here: a column that is only left out of view would go to the browser.
    return st.dataframe(
        frame.drop("cut_left", "cut_right"),
        hide_index=True,
        placeholder="–",
        key="suspects",
        height="content" if frame.height <= 8 else 320,
        on_select="rerun",
        selection_mode="single-cell",
        alt="Profiles that may be several people, with the link that holds them together",
        column_order=("between", "and", "cut_events", "smaller_part", "identifiers", "density", "bridges"),
        column_config={
            "between": column.TextColumn("Hangs on", width="medium", help="One end of the link to cut"),
            "and": column.TextColumn("And", width="medium", help="Its other end"),
            "cut_events": number("Events that say so", format="localized"),
            "smaller_part": number("Smaller part", format="localized", help="Identifiers behind that link"),
            "identifiers": number("Identifiers", format="localized"),
            "density": number("Density", format="percent", help="Share of all links there could be"),
            "bridges": number("Bridges", format="localized", help="Links without which it falls apart"),
        },
    )


def _one(ws: cdp.Workspace, suspect: dict[str, Any]) -> None:
    profile, ends = suspect["profile_id"], (suspect["cut_left"], suspect["cut_right"])
    with st.container(horizontal=True, vertical_alignment="center"):
        rest = suspect["identifiers"] - suspect["smaller_part"]
        st.markdown(f"**{suspect['smaller_part']} and {f.plural(rest, 'identifier')}**, tied by one link")
        st.space("stretch")
        links.link("customers", f"Open {profile[:8]}…", icon=":material/person:", profile=profile)
    if ws.masked:
        st.caption("Your role reads identifiers masked, so that what ties them is not shown.")
        return
    graph = cached(view.graph, ws, profile, *ends, session.revealed())
    chosen = evidence.choice("suspect", profile, graph, start=view.place(graph, *ends))
    evidence.draw(graph, chosen, alt="Identifiers of this profile and what ties them")
    if graph.left_out:
        st.caption(f"{f.plural(graph.left_out, 'identifier')} more are not drawn.")
    evidence.panel(ws, graph, chosen, profile=profile)
