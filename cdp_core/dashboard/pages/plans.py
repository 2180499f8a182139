"""The part of the quality page about tracking plans: what breaks them, and a place to try other ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import charts, drafts, parts, saving
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard.pages import plan_form
from cdp_core.dashboard.session import cached
from cdp_core.dashboard.views import plans as view

_SEEN = "plan_seen"
_NONE = (
    "A plan says which events a source sends and what is in them. Begin one from what a source has sent: "
    "`cdp quality plan infer SOURCE --name NAME --write`."
)
_ACTIONS = {"block": "Held", "omit": "Left out", "allow": "Reported"}


@dataclass(frozen=True)
class Tried:
    """A preview: of which plan and text, over what stood there, on which source, and what it would do or is wrong."""

    plan: str
    source: str
    text: str
    standing: str
    found: Any = None
    wrong: str | None = None
    holds: bool = True


def draw(ws: cdp.Workspace) -> None:
    plans = ws.plans.list()
    if plans.is_empty():
        parts.empty("No tracking plan is written yet", _NONE)
        return
    used = view.used(ws)
    with st.container(border=True):
        st.subheader("Plans in use", anchor=False)
        _used(used)
    broken = cached(view.broken, ws)
    with st.container(border=True):
        st.subheader("What breaks them", anchor=False)
        _broken(broken)
        if not broken.is_empty():
            _over_time(ws)
    with st.container(border=True):
        st.subheader("Edit a plan", anchor=False)
        _try(ws, plans["plan"].to_list(), dict(used.select("plan", "source").iter_rows()))


def _used(used: Any) -> None:
    if used.is_empty():
        st.caption("No source names a plan. Write 'plan: NAME' under a source in cdp.yaml.")
        return
    rows = [{**row, "source": f.label(row["source"])} for row in used.to_dicts()]
    rows = [{key: _ACTIONS.get(value, value) for key, value in row.items()} for row in rows]
    names = {
        "source": "Source",
        "plan": "Plan",
        "unplanned_events": "Unplanned events",
        "unplanned_properties": "Unplanned properties",
        "violations": "Violations",
        "common": "Common schema",
    }
    st.dataframe(
        rows, hide_index=True, key="plans_used", alt="Sources with their plan and controls", column_config=names
    )


def _broken(broken: Any) -> None:
    if broken.is_empty():
        st.caption("Nothing that was loaded breaks a plan.")
        return
    column = st.column_config
    frame = broken.to_dicts()
    st.dataframe(
        [{**row, "source": f.label(row["source"])} for row in frame],
        hide_index=True,
        placeholder="–",
        key="plan_violations",
        height="content" if len(frame) <= 9 else 340,
        alt="Events that break their tracking plan, by event and rule",
        column_order=("event", "what", "events", "source", "first_seen", "last_seen", "sample", "rule", "severity"),
        column_config={
            "event": column.TextColumn("Event", width=120),
            "what": column.TextColumn("What is wrong", width=220),
            "events": column.NumberColumn("Events", format="localized", width=70),
            "source": column.TextColumn("Source", width=95),
            "last_seen": column.DatetimeColumn("Last seen", format="D MMM YYYY", help="UTC", width=95),
            "first_seen": column.DatetimeColumn("First seen", format="D MMM YYYY", help="UTC", width=95),
            "severity": column.TextColumn("Severity", width=90),
            "sample": column.TextColumn("Message IDs", width=180),
            "rule": column.TextColumn("Rule", width=150),
        },
    )


def _over_time(ws: cdp.Workspace) -> None:
    st.markdown("**Findings per run**", help="The last runs that loaded something, by the time they began (UTC)")
    frame = cached(view.over_time, ws)
    st.altair_chart(
        charts.columns(frame, name="run", value="events", unit="Findings", height=130).configure_bar(size=28),
        key="plan_findings",
        alt="Findings of tracking plans in the last runs",
    )


def _try(ws: cdp.Workspace, plans: list[str], users: dict[str, str]) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        plan = st.selectbox("Plan", plans, key="plan", bind="query-params", width=240)
        sources = list(ws.config.sources)
        start = sources.index(users[plan]) if plan in users else 0
        source = st.selectbox(
            "Events of", sources, index=start, key=f"plan_source_{plan}", format_func=f.label, width=240
        )
        st.space("stretch")
        shown = st.segmented_control(
            "Edit as", ("Form", "YAML"), default="Form", required=True, key="plan_as", bind="query-params"
        )
    try:
        standing = ws.plans.text(plan)
    except cdp.CDPError as error:
        st.error(f.escape(str(error)), icon=":material/error:")
        return
    draft = drafts.draft_of(f"plan_draft_{plan}", standing)
    if shown == "YAML":
        drafts.text_view("The plan as YAML", draft, key=f"plan_text_{plan}", height=420)
    else:
        plan_form.edit(ws, plan, source, draft)
    drafts.stale(draft, standing, key="plan_again")
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Show what it would do", key="plan_try", type="primary", icon=":material/difference:"):
            with st.spinner("Checking the newest events with this plan; nothing is written."):
                st.session_state[_SEEN] = _tried(ws, plan, source, draft.text, draft.standing)
        drafts.drop(draft, standing, key="plan_drop")
    saving.saved("plan", standing, lambda edit: f"{plan}.yaml" if edit.name == plan else None, ws.plans.undo)
    seen: Tried | None = st.session_state.get(_SEEN)
    if seen is None or (seen.plan, seen.source) != (plan, source):
        return
    if seen.wrong is not None:
        st.warning(f.escape(seen.wrong), icon=":material/error:")
        return
    _offer(ws, seen, draft.text, draft.standing)
    _found(seen)


def _tried(ws: cdp.Workspace, plan: str, source: str, text: str, standing: str) -> Tried:
    try:
        draft = None if text == standing else text
        found = ws.plans.preview(plan, source, text=draft)
        return Tried(plan, source, text, standing, found=found, holds=view.holds(ws, plan, source))
    except cdp.CDPError as error:
        return Tried(plan, source, text, standing, wrong=str(error))


def _offer(ws: cdp.Workspace, seen: Tried, text: str, standing: str) -> None:
    """Saving what has been previewed, and only that."""
    if text.strip() == standing.strip():
        st.caption("This is the plan as it stands.")
        return
    if text != seen.text:
        st.caption("The plan has changed since this preview. Show what it would do before saving it.")
        return
    saving.button("plan", "Save this plan", lambda: ws.plans.save(seen.plan, text, expected=seen.standing))


def _found(seen: Tried) -> None:
    found = seen.found
    events = f"the last {f.plural(found.events, 'event')} of {f.escape(f.label(seen.source))}"
    now = f" (now: {found.held_now:,})" if found.held_now is not None else ""
    st.markdown(f"With this plan, **{found.held:,}** of {events} would have been held{now}.")
    if not seen.holds:
        st.caption("cdp.yaml only has this source's findings reported: nothing is held until its plan says block.")
    frame = view.previewed(found.found)
    if frame.is_empty():
        st.caption("Every one of them keeps to it.")
        return
    column = st.column_config
    st.dataframe(
        [{**row, "action": _ACTIONS[row["action"]]} for row in frame.to_dicts()],
        hide_index=True,
        placeholder="–",
        key="plan_found",
        height="content" if frame.height <= 13 else 480,
        alt="What the plan would find, by event and rule",
        column_config={
            "event": column.TextColumn("Event", width=150),
            "what": column.TextColumn("What is wrong", width=340),
            "action": column.TextColumn("What follows", width=110),
            "count": column.NumberColumn("Events", format="localized", width=80),
            "sample": column.TextColumn("Message IDs", width=250),
        },
    )
