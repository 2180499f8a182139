"""The parts of the identity page where people ask why and decide."""

from __future__ import annotations

from typing import Any

import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import charts, links, parts, session
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard.pages import evidence
from cdp_core.dashboard.session import cached
from cdp_core.dashboard.views import decisions as view
from cdp_core.dashboard.views import evidence as ties

_TIME = "D MMM YYYY, HH:mm"
_DRAWN = 8
"""A longer chain is a table only."""


def why(ws: cdp.Workspace) -> None:
    """Two identifiers: the chain of evidence, or what keeps them apart; and a decision about them."""
    hint = "type:value, such as email:ann@example.org or user_id:00005"
    left, right = st.columns(2)
    one = left.text_input("One identifier", key="why_left", placeholder=hint).strip()
    other = right.text_input("Another one", key="why_right", placeholder=hint).strip()
    if not (one and other):
        parts.empty("Why are two one person?", "Enter two identifiers to see the evidence between them.")
        return
    try:
        found = ws.identity.explain(one, other).to_dict()
    except cdp.CDPError as error:
        st.warning(f.escape(str(error)), icon=":material/help:")
        return
    _verdict(found)
    if found["path"]:
        _path(ws, found)
    if found["held_back"]:
        st.markdown("**What was held back**")
        st.dataframe(
            view.held_back(found, session.revealed()),
            hide_index=True,
            placeholder="–",
            key="why_held",
            alt="What rules and people kept from joining",
            column_config={
                "identifier": st.column_config.TextColumn("Identifier", width=230),
                "what": "What was done",
                "rule": "Rule",
                "detail": st.column_config.TextColumn("Why", width="large"),
                "source": "Source",
                "at": st.column_config.DatetimeColumn("At (UTC)", format=_TIME),
            },
        )
    with st.container(horizontal=True, vertical_alignment="center"):
        for profile in dict.fromkeys([found["left_profile_id"], found["right_profile_id"]]):
            if profile:
                links.link("customers", f"Open {profile[:8]}…", icon=":material/person:", profile=profile)
        if found["connected"]:
            parts.decide(
                "Never link the two above…", "never", lambda reason: ws.identity.never_link(one, other, reason=reason)
            )
        else:
            parts.decide(
                "Always link the two above…",
                "always",
                lambda reason: ws.identity.always_link(one, other, reason=reason),
            )


def _path(ws: cdp.Workspace, found: dict[str, Any]) -> None:
    """The chain, drawn where it is short, and as a table; each step can be asked about."""
    graph = ties.path(found, session.revealed())
    chosen = evidence.choice("why", f"{found['left']} {found['right']}", graph)
    if len(graph.edges) <= _DRAWN:
        evidence.draw(graph, chosen, height=170, alt="The chain of evidence from one identifier to the other")
    first = st.column_config.TextColumn("First said by", help="The event that first carried both")
    text = st.column_config.TextColumn
    columns = {"from": text("From", width=230), "to": text("To", width=230), "because": first}
    steps = view.steps(found, session.revealed())
    evidence.table(steps, chosen, alt="The chain of evidence, step by step", columns=columns)
    evidence.panel(ws, graph, chosen)


def _verdict(found: dict[str, Any]) -> None:
    count = f.plural(len(found["path"]), "step")
    if found["connected"]:
        st.success(f"**One person:** {count} of evidence between the two.", icon=":material/check_circle:")
    elif found["path"]:
        st.warning(f"**Not one person**, in spite of {count} of evidence between the two.", icon=":material/block:")
    else:
        st.info("**Not one person.** No evidence ties them.", icon=":material/block:")


def review(ws: cdp.Workspace) -> None:
    """Merges that wait: the queue, the two people side by side, accept or reject."""
    demoted = st.toggle("Also what limits demoted", key="review_demoted")
    frame = cached(view.queue, ws, session.revealed(), demoted)
    decided = {made.override_id for made in ws.identity.overrides()}
    frame = frame.filter(~frame["review_id"].is_in(list(decided)))
    empty = [name for name in ("identifiers", "probability") if frame[name].null_count() == frame.height]
    if frame.is_empty():
        parts.empty("Nothing waits", "Merges that identity.hold in cdp.yaml names would be listed here.")
        return
    st.caption(f"{f.plural(frame.height, 'merge')} waiting, the most pressing first. Click one.")
    column = st.column_config
    picked = st.dataframe(
        frame.head(200),
        hide_index=True,
        placeholder="–",
        key="review_queue",
        on_select="rerun",
        selection_mode="single-cell",
        height=360,
        alt="Merges that wait for a decision",
        column_config={
            "review_id": None,
            "left_profile_id": None,
            "right_profile_id": None,
            "evidence": None,
            "probability": column.ProgressColumn("Match", format="percent", min_value=0, max_value=1),
            "between": "Between",
            "and": "And",
            "identifiers": column.NumberColumn("Held identifiers", format="localized"),
            "detail": column.TextColumn("Why it waits", width="large"),
            "first_at": column.DatetimeColumn("Since (UTC)", format=_TIME),
            **dict.fromkeys(empty),
        },
    )
    row = parts.clicked(picked)
    if row is not None and row < frame.height:
        _entry(ws, frame.row(row, named=True))


def _entry(ws: cdp.Workspace, entry: dict[str, Any]) -> None:
    with st.container(border=True):
        st.markdown(f"**{f.escape(entry['between'])}** and **{f.escape(entry['and'])}**")
        if entry["left_profile_id"] and entry["right_profile_id"]:
            traits = cached(
                view.side_by_side, ws, entry["left_profile_id"], entry["right_profile_id"], session.revealed()
            )
            column = st.column_config
            st.dataframe(
                traits,
                hide_index=True,
                placeholder="–",
                key="side_by_side",
                height="content" if traits.height <= 20 else 700,
                alt="Both profiles side by side",
                column_config={
                    "trait": "Trait",
                    "one": "One",
                    "other": "The other",
                    "differs": column.CheckboxColumn("Differs"),
                },
            )
        if entry["evidence"]:
            chart = charts.waterfall(cdp.waterfall(entry["evidence"]), unit="Weight in bits")
            st.altair_chart(chart, alt="What speaks for and against one person", key="waterfall")
        with st.container(horizontal=True):
            key = entry["review_id"]
            parts.decide("Accept…", f"accept_{key}", lambda reason: ws.identity.accept(key, reason=reason))
            parts.decide("Never link…", f"reject_{key}", lambda reason: ws.identity.reject(key, reason=reason))


def decided(ws: cdp.Workspace) -> None:
    """Decisions in force, each to be taken back."""
    made = ws.identity.overrides()
    if not made:
        parts.empty("No decisions yet", "“Why” and “Review” are where they are made; each can be taken back here.")
        return
    frame = view.decisions(ws, session.revealed())
    column = st.column_config
    picked = st.dataframe(
        frame,
        hide_index=True,
        key="decisions",
        on_select="rerun",
        selection_mode="single-cell",
        alt="Decisions in force",
        column_config={
            "action": "Decision",
            "left": "One",
            "right": "The other",
            "reason": column.TextColumn("Reason", width="large"),
            "at": column.DatetimeColumn("At (UTC)", format=_TIME),
        },
    )
    row = parts.clicked(picked)
    if row is None or row >= len(made):
        st.caption("Click a decision to take it back. All of them stand in data/decisions/identity.jsonl.")
        return
    left, right = (":".join(end) for end in (made[row].left, made[row].right))
    parts.decide("Take it back…", "revoke", lambda reason: ws.identity.revoke(left, right, reason=reason))
