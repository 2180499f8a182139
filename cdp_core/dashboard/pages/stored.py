"""The part of the quality page that sends stored events through today's rules: what would change, then for good."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard import jobs, session, strip
from cdp_core.dashboard.session import cached
from cdp_core.dashboard.views import stored as view

_SEEN = "stored_seen"
_ALL = "All sources"


def draw(ws: cdp.Workspace) -> None:
    with st.container(border=True):
        st.subheader("Replay stored events", anchor=False)
        st.caption("A rule made today holds for what is loaded from today on. Here it is asked of what is stored.")
        chosen = _chosen(ws)
        look = st.button("Show what would change", key="stored_try", type="primary", icon=":material/difference:")
        if look:
            _look(chosen)
        seen = st.session_state.get(_SEEN)
        if seen is not None and seen[0] == chosen:
            _seen(chosen, seen[1])
    _earlier(ws)


def _chosen(ws: cdp.Workspace) -> dict[str, Any]:
    """What `ws.stored.replay` is asked."""
    with st.grid(4, min_column_width=180, gap="small"):
        source = st.selectbox(
            "Source", list(ws.config.sources), index=None, key="replay_source", bind="query-params",
            format_func=f.label, placeholder=_ALL,
        )  # fmt: skip
        events = st.multiselect("Events", cached(view.names, ws, source), key="replay_events", placeholder="All events")
        since = st.date_input("From", value=None, key="replay_from", help="By the time of the event, UTC")
        until = st.date_input("Up to and with", value=None, key="replay_to", help="By the time of the event, UTC")
    where = st.text_input(
        "Condition", key="replay_where", placeholder="type = 'page' AND properties->>'path' LIKE '/music%'",
        help="SQL over the columns of the table events; leave it empty for all",
    )  # fmt: skip
    return {
        "source": source,
        "events": tuple(events),
        "since": _day(since),
        "until": _day(until, 1),
        "where": where.strip() or None,
    }


def _day(chosen: Any, more: int = 0) -> str | None:
    return (chosen + timedelta(days=more)).isoformat() if isinstance(chosen, date) else None


def _look(chosen: dict[str, Any]) -> None:
    st.session_state.pop(_SEEN, None)
    with st.spinner("Checking stored events again; nothing is written."):
        try:
            with cdp.open(session.root(), actor=session.actor()) as own:
                st.session_state[_SEEN] = chosen, own.stored.replay(**chosen, dry_run=True)
        except cdp.CDPError as error:
            st.error(f.escape(str(error)), icon=":material/error:")


def _seen(chosen: dict[str, Any], found: Any) -> None:
    if not found.selected:
        st.caption("No stored event is like that.")
        return
    with st.grid(4, min_column_width=160, gap="small"):
        st.metric("Selected", f.number(found.selected), border=True)
        st.metric("Unchanged", f.number(found.unchanged), border=True)
        st.metric("Would change", f.number(found.changed), help="Corrected, or with another finding", border=True)
        st.metric("Would be held", f.number(found.held), help="In quarantine, to be corrected there", border=True)
    if not found.changed + found.held:
        st.success("Every one of them is as today's rules want it.", icon=":material/check_circle:")
        return
    _by_event(found)
    _examples(found)
    with st.container(horizontal=True, vertical_alignment="center"):
        wanted = st.button("Replay them", key="stored_replay", icon=":material/replay:")
        st.caption("Profiles and audiences are brought up to date. It can be taken back.", width="stretch")
    if wanted:
        st.session_state.pop(_SEEN, None)
        jobs.start(session.root(), strip.RUN, "Replay", "source", "replay", *_arguments(chosen), "--yes")
        st.rerun()


def _arguments(chosen: dict[str, Any]) -> list[str]:
    """The same choice for the command line. An option's value stands behind =, so that it may begin with a dash."""
    named = (("from", "since"), ("to", "until"), ("where", "where"))
    given = [f"--{option}={chosen[key]}" for option, key in named if chosen[key]]
    return [
        *given,
        *(f"--event={name}" for name in chosen["events"]),
        *([chosen["source"]] if chosen["source"] else []),
    ]


def _by_event(found: Any) -> None:
    column = st.column_config
    st.dataframe(
        [{**row, "source": f.label(row["source"]), "event": row["event"] or row["type"]} for row in found.found],
        hide_index=True,
        key="stored_found",
        height="content" if len(found.found) <= 9 else 340,
        alt="Events that a replay would change or hold",
        column_order=("event", "source", "selected", "changed", "held"),
        column_config={
            "event": column.TextColumn("Event", width="large"),
            "source": column.TextColumn("Source"),
            "selected": column.NumberColumn("Selected", format="localized"),
            "changed": column.NumberColumn("Would change", format="localized"),
            "held": column.NumberColumn("Would be held", format="localized"),
        },
    )
    if found.rules:
        told = ", ".join(f"{f.escape(rule)} ({count:,})" for rule, count in list(found.rules.items())[:8])
        st.caption(f"Held by {told}.")


def _examples(found: Any) -> None:
    rows = view.changes(found.samples, reveal=session.revealed())
    if not rows:
        return
    st.markdown("**Examples**")
    column = st.column_config
    st.dataframe(
        rows,
        hide_index=True,
        key="stored_samples",
        alt="Example events: what they have now and would have then",
        column_config={
            "message_id": column.TextColumn("Message ID", width=150),
            "place": column.TextColumn("Where", width=210),
            "before": column.TextColumn("Now", width=260),
            "after": column.TextColumn("Then", width=260),
        },
    )


def _earlier(ws: cdp.Workspace) -> None:
    replays = cached(view.replays, ws)
    if replays.is_empty():
        return
    with st.container(border=True):
        st.subheader("Earlier replays", anchor=False)
        for row in replays.to_dicts():
            with st.container(horizontal=True, vertical_alignment="center"):
                checked, held = f.plural(row["checked"], "event"), f"{row['held']:,}"
                st.markdown(f"{f.exact(row['at'])} · {checked} gone over, {held} held", width="stretch")
                if st.button("Take it back", key=f"undo_{row['run_id']}", icon=":material/undo:", help=row["run_id"]):
                    arguments = ("source", "replay", f"--undo={row['run_id']}")
                    jobs.start(session.root(), strip.RUN, "Taking the replay back", *arguments)
                    st.rerun()
