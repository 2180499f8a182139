"""Inventory: personal fields of every source and table, what waits for a decision, and where each field flows."""

from __future__ import annotations

from typing import Any

import polars as pl
import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard import links, parts, saving
from cdp_core.dashboard.pages import inventory_field
from cdp_core.dashboard.session import cached
from cdp_core.dashboard.views import inventory as view

DECIDED = "decisions"
_VIEWS = ("Inbox", "All fields")
_CLASSES = ("red", "yellow", "green")
_LIST = ("source", "place", "holds", "suggested", "why", "values", "destinations")
_ALL = (
    "source",
    "place",
    "class",
    "suggested",
    "holds",
    "control",
    "values",
    "first_seen",
    "traits",
    "destinations",
    "decided_by",
)


def page(ws: cdp.Workspace) -> None:
    with st.spinner("Looking through every field…", show_time=True):
        frame, found = cached(view.fields, ws), cached(view.summary, ws)
    opened = links.opened("field")
    if opened is not None:
        inventory_field.draw(ws, frame, opened)
        return
    with st.grid(4, min_column_width=200, gap="small"):
        st.metric("Personal fields", f.number(found["personal"]), help=f"Of {found['fields']:,} fields", border=True)
        st.metric("Waiting", f.number(found["inbox"]), help="Personal or new, and not decided", border=True)
        st.metric("Decided", f.number(found["decided"]), help="In cdp.yaml, or following a field that is", border=True)
        share = found["looked_at"] / found["rows"] if found["rows"] else None
        st.metric(
            "Rows read", f.percent(share), border=True,
            help=f"{found['looked_at']:,} of {found['rows']:,}; rare events are read whole",
        )  # fmt: skip
    for note in found["notes"]:
        st.caption(f.escape(note))
    undo(ws)
    chosen = st.segmented_control(
        "View", _VIEWS, default=_VIEWS[0], required=True, key="inventory_view", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    with st.container(border=True):
        if chosen == _VIEWS[0]:
            _inbox(ws, cached(view.waiting, ws))
        else:
            _fields(frame)


def undo(ws: cdp.Workspace) -> None:
    """What was decided last, with the way back."""
    saving.saved(DECIDED, ws.inventory.text, lambda edit: edit.file, ws.inventory.undo)


def decide(ws: cdp.Workspace, wanted: dict[str, str], control: str | None = None) -> None:
    """Write decisions, and draw the page anew."""
    saving.write(DECIDED, lambda: ws.inventory.classify(wanted, control=control), None)


def forget(ws: cdp.Workspace, field: str) -> None:
    """Take a decision back, and draw the page anew."""
    saving.write(DECIDED, lambda: ws.inventory.forget(field), None)


def _inbox(ws: cdp.Workspace, waiting: pl.DataFrame) -> None:
    st.subheader("Inbox", anchor=False, help="Fields that look personal or are new, and that nobody has decided about.")
    if waiting.is_empty():
        parts.empty("Nothing waits for you", "Every personal field has a class. New ones will appear here.")
        return
    st.caption(
        "Choose rows to decide about some of them, or decide about all at once. Nothing is stored of the values."
    )
    slot = st.container(horizontal=True, vertical_alignment="center")
    picked = _table(waiting, _LIST, key="inventory_inbox", rows=True)
    chosen = waiting[picked.selection.rows] if picked.selection.rows else waiting
    _buttons(ws, chosen, slot, every=not picked.selection.rows)
    _open(waiting, picked)


def _buttons(ws: cdp.Workspace, chosen: pl.DataFrame, slot: Any, *, every: bool) -> None:
    which = f"all {chosen.height:,}" if every else f.plural(chosen.height, "field")
    suggested = dict(chosen.select("field", "suggested").iter_rows())
    with slot:
        accept = st.button(
            f"Accept {which}", key="inventory_accept", type="primary", icon=":material/check:",
            help="Give each field the class that is suggested",
        )  # fmt: skip
        dismiss = st.button("Not personal", key="inventory_dismiss", disabled=every, help="Green: choose rows first")
        red = st.button("Red", key="inventory_red", disabled=every, help="High risk: dropped unless told otherwise")
        yellow = st.button("Yellow", key="inventory_yellow", disabled=every, help="Moderate risk")
    if accept:
        decide(ws, suggested)
    for class_, pressed in (("green", dismiss), ("red", red), ("yellow", yellow)):
        if pressed:
            decide(ws, dict.fromkeys(suggested, class_))


def _fields(frame: pl.DataFrame) -> None:
    st.subheader("Fields", anchor=False, help="Click a row to see why, what becomes of it, and where it flows.")
    with st.grid(4, min_column_width=170, gap="small"):
        text = st.text_input("Search", key="inventory_search", placeholder="Part of a field's name")
        sources = sorted(frame["source"].unique())
        source = st.selectbox(
            "Source or table", sources, index=None, key="inventory_source", bind="query-params", placeholder="All",
            format_func=f.label,
        )  # fmt: skip
        class_ = st.selectbox(
            "Class", _CLASSES, index=None, key="inventory_class", bind="query-params", placeholder="All",
            format_func=f.label,
        )  # fmt: skip
        kinds = st.multiselect(
            "Holds", sorted(frame["holds"].drop_nulls().unique()), key="inventory_kind", placeholder="Anything"
        )
    shown = frame
    if text.strip():
        shown = shown.filter(pl.col("field").str.to_lowercase().str.contains(text.strip().lower(), literal=True))
    if source:
        shown = shown.filter(pl.col("source") == source)
    if class_:
        shown = shown.filter(pl.coalesce("class", "suggested") == class_)
    if kinds:
        shown = shown.filter(pl.col("holds").is_in(kinds))
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(f"{f.plural(shown.height, 'field')} of {frame.height:,}", width="content")
        st.download_button(
            "CSV", data=lambda: _csv(shown), file_name="inventory.csv", mime="text/csv", key="inventory_csv",
            icon=":material/download:", on_click="ignore",
        )  # fmt: skip
    if shown.is_empty():
        parts.empty("No field is like that", "Take a filter away.")
        return
    _open(shown, _table(shown, _ALL, key="inventory_fields", rows=False))


def _csv(frame: pl.DataFrame) -> str:
    return frame.with_columns(pl.col("calls", "follows").list.join(", ")).write_csv()


def _table(frame: pl.DataFrame, columns: tuple[str, ...], *, key: str, rows: bool) -> Any:
    column = st.column_config
    shown = frame.select(columns).with_columns(
        pl.col("source").map_elements(f.label, return_dtype=pl.String),
        pl.col(name for name in ("class", "suggested", "control") if name in columns).map_elements(
            f.label, return_dtype=pl.String
        ),
    )
    return st.dataframe(
        shown,
        hide_index=True,
        placeholder="–",
        key=key,
        height="content" if frame.height <= 14 else 520,
        on_select="rerun",
        selection_mode=["multi-row", "single-cell"] if rows else "single-cell",
        alt="Fields with what they hold, their class and where they flow",
        column_config={
            "source": column.TextColumn("Source", width=125, pinned=True),
            "place": column.TextColumn("Field", width=200),
            "class": column.TextColumn("Class", width=65, help="As decided"),
            "suggested": column.TextColumn("Suggested", width=85, help="By its name, and by a sample of its values"),
            "holds": column.TextColumn("Holds", width=105),
            "why": column.TextColumn("Why", width=275),
            "control": column.TextColumn("Control", width=75, help="What becomes of it before it is stored"),
            "values": column.NumberColumn("Rows", format="localized", width=75, help="Rows with a value"),
            "first_seen": column.DatetimeColumn("First seen (UTC)", format="D MMM YYYY", width=115),
            "traits": column.TextColumn("Traits", width=120),
            "destinations": column.TextColumn("Flows to", width=100, help="Destinations that it reaches"),
            "decided_by": column.TextColumn("Decided by", width=150, help="In cdp.yaml, or what it follows"),
        },
    )  # fmt: skip


def _open(frame: pl.DataFrame, picked: Any) -> None:
    row = parts.clicked(picked)
    if row is not None and row < frame.height:
        links.go("inventory", field=frame["field"][row])
