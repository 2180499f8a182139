"""One field of the inventory: why it is personal, what was decided, and the picture of where it flows."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl
import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import charts, links, parts
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard.pages import inventory
from cdp_core.dashboard.session import cached
from cdp_core.dashboard.views import inventory as view

_COLOURS: dict[str, Any] = {"red": "red", "yellow": "orange", "green": "green"}
_CONTROLS = ("allow", "drop", "hash", "mask", "truncate", "generalise")


def draw(ws: cdp.Workspace, frame: pl.DataFrame, field: str) -> None:
    """The field that the URL names."""
    parts.back("All fields", "field")
    found = frame.filter(pl.col("field") == field)
    if found.is_empty():
        parts.empty("There is no such field", f"{f.escape(field)} is in no source and no table of this workspace.")
        return
    row = found.row(0, named=True)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(f.escape(row["place"]), anchor=False, width="content")
        class_ = row["class"] or row["suggested"]
        st.badge(f.label(class_) + ("" if row["class"] else ", suggested"), color=_COLOURS[class_])
        if row["control"]:
            st.badge(f.label(row["control"]), color="gray", help="What becomes of it before it is stored")
        if row["new"]:
            st.badge("New", color="violet")
    st.caption(f"{f.escape(f.label(row['source']))} · {f.escape(', '.join(row['calls'][:6]) or 'all rows')}")
    inventory.undo(ws)
    left, right = parts.halves()
    with left:
        _why(ws, row)
    with right:
        _decide(ws, row)
    with st.container(border=True):
        _flow(ws, field)


def _why(ws: cdp.Workspace, row: dict[str, Any]) -> None:
    st.subheader("What it holds", anchor=False)
    reasons = cached(view.reasons, ws, row["field"])
    for reason in reasons:
        kind = view.kind_in_words(reason["kind"])
        st.markdown(f"**{f.escape(kind or '')}**: {f.escape(reason['why'])}")
    if not reasons:
        st.caption("Neither its name nor its values look personal.")
    if not row["values"]:
        st.caption("No row in the lake has a value: it is left out, dropped, or has not come yet.")
        return
    st.caption(
        f"{f.plural(row['values'], 'row')} with a value, first seen {f.exact(row['first_seen'])}, "
        f"last seen {f.exact(row['last_seen'])}"
    )


def _decide(ws: cdp.Workspace, row: dict[str, Any]) -> None:
    st.subheader("Decision", anchor=False, help="Kept in cdp.yaml under `privacy.fields`.")
    own = row["decided_by"] == row["field"]
    if row["follows"]:
        st.caption("It holds what these fields hold, and follows them:")
        for name in row["follows"][:6]:
            links.link("inventory", f.escape(name), icon=":material/subdirectory_arrow_right:", field=name)
    elif row["decided_by"]:
        st.caption(f"Decided by {f.escape(row['decided_by'])} in cdp.yaml.")
    class_ = st.segmented_control(
        "Class", tuple(_COLOURS), default=row["class"] or row["suggested"], required=True, format_func=f.label,
        key=f"class_{row['field']}",
    )  # fmt: skip
    control = None
    if row["control"] is not None:
        control = st.selectbox(
            "Control", _CONTROLS, index=None, placeholder="What its class says", format_func=f.label,
            key=f"control_{row['field']}", help="What becomes of it before it is stored, from the next load on",
        )  # fmt: skip
    with st.container(horizontal=True):
        if st.button("Save", key="field_save", type="primary", icon=":material/save:"):
            inventory.decide(ws, {row["field"]: class_}, control)
        if own and st.button("Take the decision back", key="field_forget", icon=":material/undo:"):
            inventory.forget(ws, row["field"])


def _flow(ws: cdp.Workspace, field: str) -> None:
    st.subheader("Where it flows", anchor=False, help="As cdp.yaml says: traits, audiences, syncs and destinations.")
    found = cached(view.picture, ws, field)
    if len(found.ties) < 2:
        st.caption("Nothing reads it: no trait, no audience, no sync.")
        return
    ends = f"Its value reaches **{f.escape(', '.join(found.destinations))}**. " if found.destinations else ""
    if not ends:
        ends = "Its value reaches no destination. "
    if found.only_decides:
        ends += f"It decides who is sent to {f.escape(', '.join(found.only_decides))}. "
    st.markdown(ends + "Full ties carry the value; grey ones only decide who is meant.")
    fullest = max(Counter(name.partition(" · ")[0] for name in found.nodes).values())
    spec = charts.ways(found.nodes, found.ties)
    st.echarts_chart(spec, height=130 + 44 * fullest, key="field_flow", alt=f"Where {field} flows, from its source on")
    with st.expander("As a list"):
        st.dataframe(
            [
                {"From": left, "To": right, "Carries": "the value" if full else "who is meant"}
                for left, right, full in found.ties
            ],
            hide_index=True,
            key="field_ties",
            height="content",
            alt=f"Where {field} flows, step by step",
        )
