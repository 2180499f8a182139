"""Links between identifiers, drawn and as a table: choosing one in either shows its evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import charts, links, parts, session
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard.session import cached
from cdp_core.dashboard.views import decisions
from cdp_core.dashboard.views import evidence as view

_DAY, _TIME = "D MMM YYYY", "D MMM YYYY, HH:mm"


@dataclass
class Choice:
    """The chosen link of a graph: its place in `edges`, wherever it was chosen.

    A widget's selection cannot be set from outside, so when one widget chooses, the others are drawn anew (`turns` is
    part of their keys) and start with that choice.
    """

    key: str
    subject: str
    link: int | None = None
    turns: dict[str, int] = field(default_factory=lambda: {"graph": 0, "table": 0})
    starts: dict[str, int | None] = field(default_factory=lambda: {"graph": None, "table": None})

    def widget(self, name: str) -> str:
        """The key of a widget of this choice."""
        return f"{self.key}_{name}_{self.turns[name]}"

    def pick(self, link: int | None, by: str = "") -> None:
        """Choose a link, or none, in the widget `by`."""
        if link == self.link:
            return
        self.link = link
        for name in self.turns:
            if name != by:
                self.turns[name] += 1
                self.starts[name] = link


def choice(key: str, subject: str, graph: view.Graph, *, start: int | None = None) -> Choice:
    """What is chosen of `subject`; another subject starts with `start` chosen, or nothing."""
    found = st.session_state.get(f"{key}_choice")
    if found is None or found.subject != subject or (found.link or 0) >= max(len(graph.edges), 1):
        turns = {name: turn + 1 for name, turn in found.turns.items()} if found else {"graph": 0, "table": 0}
        starts: dict[str, int | None] = dict.fromkeys(turns, start)
        found = st.session_state[f"{key}_choice"] = Choice(key, subject, start, turns=turns, starts=starts)
    return found


def draw(graph: view.Graph, chosen: Choice, *, height: int = 360, alt: str) -> None:
    """The graph; a click on a line or on the square in its middle chooses the link, a click beside them none."""
    widget, labels = chosen.widget("graph"), len(graph.nodes) <= view.LABELLED
    chart = charts.network(view.picture(graph), chosen=chosen.starts["graph"], height=height, labels=labels)
    st.altair_chart(
        chart,
        key=widget,
        alt=alt,
        selection_mode=["link"],
        on_select=_picked(chosen, "graph", lambda: _clicked(st.session_state[widget])),
    )


def table(frame: pl.DataFrame, chosen: Choice, *, alt: str, columns: dict[str, Any]) -> None:
    """Links as rows, in the order of the graph's edges; a click on one, or the arrow keys, choose it."""
    widget, start = chosen.widget("table"), chosen.starts["table"]
    times = {"first_seen": "First seen (UTC)", "last_seen": "Last seen (UTC)"}
    number = st.column_config.NumberColumn
    st.dataframe(
        frame,
        hide_index=True,
        placeholder="–",
        key=widget,
        height="content" if frame.height <= 8 else 360,
        on_select=_picked(chosen, "table", lambda: parts.clicked(st.session_state[widget])),
        selection_mode="single-cell",
        selection_default=None if start is None else {"selection": {"cells": [(start, frame.columns[0])]}},
        alt=alt,
        column_config={
            **columns,
            "source": "Source",
            "events": number("Events", format="localized", help="Events that say so"),
            **{name: st.column_config.DatetimeColumn(title, format=_DAY) for name, title in times.items()},
        },
    )


def _picked(chosen: Choice, by: str, read: Callable[[], int | None]) -> Callable[[], None]:
    return lambda: chosen.pick(read(), by)


def _clicked(state: Any) -> int | None:
    """The link of a selection in the chart; none where a circle or nothing was hit."""
    picks = state.selection.get("link") or []
    place = picks[0].get("link") if picks else None
    return int(place) if place is not None else None


def panel(ws: cdp.Workspace, graph: view.Graph, chosen: Choice, *, profile: str | None = None) -> None:
    """What stands behind the chosen link, and what can be decided about it: in a `profile`, to cut it there."""
    if chosen.link is None:
        if graph.edges:
            st.caption("Click a line, or a row of the table, to see who says so and to decide about it.")
        return
    edge = graph.edges[chosen.link]
    left, right = graph.ends(chosen.link)
    with st.container(border=True, key=f"{chosen.key}_evidence"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{f.escape(graph.name(edge['left']))}** and **{f.escape(graph.name(edge['right']))}**")
            st.space("stretch")
            st.button(
                "Close",
                key=f"{chosen.key}_close",
                icon=":material/close:",
                type="tertiary",
                on_click=chosen.pick,
                args=(None,),
            )
        if ws.masked:
            st.caption("Your role reads identifiers masked, so that what stands behind this link is not shown.")
            return
        try:
            said, examples = cached(view.behind, ws, left, right, session.revealed())
        except cdp.CDPError as error:
            st.warning(f.escape(str(error)), icon=":material/help:")
            return
        _said(said, chosen.key)
        _examples(examples, chosen.key)
        _decision(ws, graph, chosen, profile)


def _said(said: pl.DataFrame, key: str) -> None:
    column = st.column_config
    times = {"first_seen": "First seen (UTC)", "last_seen": "Last seen (UTC)"}
    st.dataframe(
        said,
        hide_index=True,
        placeholder="–",
        key=f"{key}_said",
        alt="Who says that the two belong together",
        column_config={
            "source": "Source",
            "rule": column.TextColumn("Rule", help="How the two were tied"),
            "events": column.NumberColumn("Events", format="localized"),
            **{name: column.DatetimeColumn(title, format=_TIME) for name, title in times.items()},
        },
    )


def _examples(examples: pl.DataFrame, key: str) -> None:
    if examples.is_empty():
        st.caption("No event states it.")
        return
    st.caption("Some of the events, the newest first")
    st.dataframe(
        examples,
        hide_index=True,
        placeholder="–",
        key=f"{key}_examples",
        alt="Events that carry both identifiers",
        column_config={
            "at": st.column_config.DatetimeColumn("When (UTC)", format=_TIME),
            "event": "Event",
            "source": "Source",
            "message_id": "Message ID",
        },
    )


def _decision(ws: cdp.Workspace, graph: view.Graph, chosen: Choice, profile: str | None) -> None:
    link = chosen.link or 0
    left, right = graph.ends(link)

    def cut(reason: str) -> object:
        if profile is None:
            return ws.identity.never_link(left, right, reason=reason)
        return ws.identity.split(profile, at=(left, right), reason=reason)

    with st.container(horizontal=True, vertical_alignment="center"):
        label = "Never link these two…" if profile is None else "Split here…"
        parts.decide(label, f"{chosen.key}_never_{link}", cut)
        said = decisions.about(ws, left, right)
        if said is None and graph.whole:
            said = view.cut_in_words(graph, link)
        st.caption(f.escape(said or ""), width="stretch")
        links.link("identity", "All decisions", icon=":material/gavel:", part="Decisions")
