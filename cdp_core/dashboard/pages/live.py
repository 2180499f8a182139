"""Live: events as they arrive, passed or held, with the reason."""

from __future__ import annotations

import json

import polars as pl
import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard import parts, session
from cdp_core.dashboard.views import live as view

_EVERY = 2
_OPENED = "live_opened"
_STANDING = "live_standing"
_HELP = """```sh
cdp source key website
cdp collect
curl -u WRITE_KEY: http://127.0.0.1:8080/v1/track -d '{"userId": "u1", "event": "Hello"}'
```"""


def page(ws: cdp.Workspace) -> None:
    names = view.sources(ws)
    if not names:
        _begin("No source receives live events yet", "The first command adds one and gives its write key.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        source = st.selectbox(
            "Source", names, index=None, key="source", bind="query-params", placeholder="All sources", width=240
        )
        status = st.segmented_control(
            "Outcome", ("passed", "held"), key="status", bind="query-params", format_func=str.capitalize
        )
        text = st.text_input("Find", key="find", placeholder="Event, type or id", width=240)
        st.space("stretch")
        going = st.toggle("Follow", value=True, key="follow", help="Looks again every two seconds")
    st.fragment(_events, run_every=_EVERY if going else None)(source, status, text or "")


def _events(source: str | None, status: str | None, text: str) -> None:
    ws = session.workspace()
    found = view.lately(ws, reveal=session.revealed())
    with st.grid(3, min_column_width=120, gap="small"):
        st.metric("Last minute", f.number(found.minute), help="Events received", border=True)
        st.metric("Of them held", f.number(found.held), help="They go to quarantine, with the reason", border=True)
        st.metric("Waiting", f.number(found.waiting), help="Received and not in the lake yet", border=True)
    if found.events.is_empty():
        _begin("Nothing has come yet", "Start the collector and send an event; it shows here at once.")
        return
    shown = _standing(view.chosen(found.events, source, status, text))
    if shown.is_empty():
        parts.empty("Nothing like that among the last events", "Take a filter away, or wait for more.")
        return
    picked = _table(shown)
    if picked is not None and picked < shown.height:
        _detail(shown.row(picked, named=True))


def _table_key() -> str:
    """A table under another key has nothing selected."""
    return f"live_events_{st.session_state.get(_OPENED, 0)}"


def _close() -> None:
    st.session_state[_OPENED] = st.session_state.get(_OPENED, 0) + 1


def _standing(fresh: pl.DataFrame) -> pl.DataFrame:
    """While an event is open the list stands still: new ones on top would put another event in its row."""
    state, key = st.session_state.get(_table_key()), f"{_STANDING}_{session.revealed()}"
    if state is not None and state["selection"]["cells"] and key in st.session_state:
        kept: pl.DataFrame = st.session_state[key]
        return kept
    st.session_state[key] = fresh
    return fresh


def _table(shown: pl.DataFrame) -> int | None:
    column = st.column_config
    frame = shown.select(
        "received_at",
        status=pl.col("status").str.to_titlecase(),
        source="source",
        type="type",
        event="event",
        who="who",
        reason=pl.col("reason").str.replace_all("`", ""),
    )
    picked = st.dataframe(
        frame,
        hide_index=True,
        placeholder="–",
        key=_table_key(),
        height=480,
        on_select="rerun",
        selection_mode="single-cell",
        alt="Events as they arrived, newest first",
        column_config={
            "received_at": column.DatetimeColumn("Received", format="HH:mm:ss", help="UTC"),
            "status": column.MultiselectColumn(
                "Outcome", options=["Passed", "Held"], color=["green", "red"], width="small"
            ),
            "source": "Source",
            "type": "Type",
            "event": column.TextColumn("Event", width="medium"),
            "who": column.TextColumn("Who", help="User id, else anonymous id", width="medium"),
            "reason": column.TextColumn("Reason", width="large"),
        },
    )
    return parts.clicked(picked)


def _detail(row: dict[str, str]) -> None:
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader(f.escape(row["event"] or row["type"] or "Event"), anchor=False)
            st.caption("The list stands still while an event is open.")
            st.space("stretch")
            st.button("Close", key="live_close", icon=":material/close:", on_click=_close)
        if row["reason"]:
            st.warning(f.escape(f"{row['rule']}: {row['reason']}"), icon=":material/block:")
        st.code(_pretty(row["payload"]), language="json", height=320)


def _pretty(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def _begin(title: str, text: str) -> None:
    parts.empty(title, text)
    st.markdown(_HELP)
