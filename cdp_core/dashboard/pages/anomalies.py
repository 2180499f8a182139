"""The part of the quality page about anomalies: days unlike those before, and a picture of one series."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import charts, links, parts, session
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard.session import cached
from cdp_core.dashboard.views import anomalies as view

if TYPE_CHECKING:
    import polars as pl

_CLICKED = "anomaly_clicked"
_KEYS = tuple(f"series_{name}" for name in view.SERIES)
_LITTLE = (
    "A day is compared with the same weekday of the eight weeks before it (four at least), or else with the last 28 "
    "days (14 at least). No source has that much yet."
)
_NONE = "Nothing that was loaded says when it happened. Load a source first."


def draw(ws: cdp.Workspace) -> None:
    with st.spinner("Comparing days."):
        rows = cached(view.series, ws)
    if rows.is_empty():
        parts.empty("There are no days to compare", _NONE)
        return
    if not view.enough(rows):
        parts.empty("There is not enough history yet", _LITTLE)
    else:
        with st.container(border=True):
            st.subheader(
                "Days unlike those before",
                anchor=False,
                help="The last 28 days of each source, against the same weekday of the eight weeks before",
            )
            _list(ws, view.found(rows, session.revealed()))
    with st.container(border=True):
        st.subheader("Day by day", anchor=False)
        _series(rows)


def _list(ws: cdp.Workspace, found: pl.DataFrame) -> None:
    gate = ws.config.quality.anomalies
    follows = {
        "warn": "A run notes them.",
        "stop": "A run that brings one publishes nothing.",
        "off": "Runs ignore them.",
    }
    limit = f"{f.number(gate.threshold)} deviations from the usual are too many. {follows[gate.action]}"
    if found.is_empty():
        st.markdown(":green[:material/check_circle:] No day is unlike those before it.")
        st.caption(limit)
        return
    import polars as pl

    shown = found.select("what", kind=pl.col("kind").replace_strict(view.KINDS), z=pl.col("z"))
    column = st.column_config
    picked = st.dataframe(
        shown,
        hide_index=True,
        placeholder="–",
        key="anomalies",
        on_select="rerun",
        selection_mode="single-cell",
        height="content" if found.height <= 10 else 390,
        alt="Days that are unlike those before, newest first",
        column_config={
            "what": column.TextColumn("What", width=560, help="Days are UTC days"),
            "kind": column.TextColumn("Kind", width=105),
            "z": column.NumberColumn("Deviations", format="%+.1f", width=85, help="From the usual, robust"),
        },
    )
    st.caption(f"{limit} Click one to see it below.")
    row = parts.clicked(picked)
    if _CLICKED not in st.session_state and not any(map(links.opened, _KEYS)):
        _choose(found.row(0, named=True))
    _show(found.row(row, named=True) if row is not None and row < found.height else None)


def _show(row: dict[str, object] | None) -> None:
    """Choose the series of a row that has newly been clicked; afterwards the boxes decide."""
    clicked = None if row is None else tuple(str(row[name]) for name in ("day", *view.SERIES))
    newly = clicked != st.session_state.get(_CLICKED)
    st.session_state[_CLICKED] = clicked
    if newly and row is not None:
        _choose(row)


def _choose(row: dict[str, object]) -> None:
    for name, key in zip(view.SERIES, _KEYS, strict=True):
        if row[name] is not None:
            st.session_state[key] = row[name]


def _series(rows: pl.DataFrame) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = _box("Kind", "kind", view.options(rows, "kind"), lambda name: view.KINDS[name])
        source = _box("Source", "source", view.options(rows, "source", kind=kind))
        events = view.options(rows, "event", kind=kind, source=source)
        event = _box("Event", "event", events) if events else None
        fields = view.options(rows, "field", kind=kind, source=source, event=event)
        field = _box("Field", "field", fields) if fields else None
    frame = view.one(rows, view.Chosen(kind, source, event, field))
    share = kind in ("missing", "violations")
    name = " · ".join([f.label(source), *(part for part in (event, field) if part)])
    st.altair_chart(
        charts.days_in_band(frame, share=share), key="anomaly_days", alt=f"{view.KINDS[kind]} of {name} by day"
    )
    st.caption(f"{_UNITS[kind]}, by UTC day. The band is what is usual, the dashed line its middle; red is out of it.")


_UNITS = {
    "volume": "Events",
    "missing": "Share of events without a value in this field",
    "violations": "Share of rows that were held or break the tracking plan, by the day of receipt",
    "new_values": "Events with a value that never occurred before",
}


def _box(label: str, name: str, options: list[str], words: Callable[[str], str] = str) -> str:
    """A choice that stands in the URL; one that another choice has made impossible falls back to the first."""
    key = f"series_{name}"
    if key in st.session_state and st.session_state[key] not in options:
        st.session_state[key] = options[0]
    return str(st.selectbox(label, options, key=key, bind="query-params", format_func=words, width=220))
