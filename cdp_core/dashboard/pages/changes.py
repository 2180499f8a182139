"""What becomes of profiles and audiences: under rules that are tried, and from one run to another."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard import links, parts, session
from cdp_core.dashboard.session import cached
from cdp_core.dashboard.views import changes as view

_MOVED = ("before", "after", "entered", "exited")
_MEANING = {
    "split": "Profiles that fall apart",
    "merged": "Profiles that join several",
    "new": "Profiles of identifiers that were not there",
    "gone": "Profiles none of whose identifiers is there any more",
    "grown": "Profiles with more identifiers, none of them another profile's",
    "shrunk": "Profiles with fewer identifiers, none of them in another profile now",
    "unchanged": "Profiles with the very same identifiers",
}


def between_runs(ws: cdp.Workspace) -> None:
    """Two runs, chosen by when they were, and what is different after the later one."""
    runs = cached(view.runs, ws)
    if len(runs) < 2:
        parts.empty("Nothing to compare yet", "After the second run, what it changed in who is who is shown here.")
        return
    names = list(runs)
    left, right = st.columns(2)
    before, after = (
        place.selectbox(label, names, index=n, key=key, format_func=runs.__getitem__, bind="query-params")
        for place, label, n, key in ((left, "Before: the run of", 1, "run_1"), (right, "After: the run of", 0, "run_2"))
    )
    try:
        with st.spinner("Comparing the profiles of both runs…"):
            seen = cached(view.between, ws, before, after)
    except cdp.CDPError as error:
        st.warning(f.escape(str(error)), icon=":material/history_toggle_off:")
        return
    if not view.differs(seen):
        st.info("Nothing is different in profiles and audiences between the two.", icon=":material/check_circle:")
        return
    draw(seen, key="runs")


def draw(seen: dict[str, Any], *, key: str) -> None:
    """Profiles by what happened to them, audiences before and after, and examples; a click on one opens it."""
    profiles, card = seen["profiles"], partial(st.metric, border=True, height="stretch")
    shown = [n for n in _MEANING if profiles[n] or n in ("split", "merged", "unchanged")]
    with st.grid(1 + len(shown), min_column_width=120, gap="small"):
        change = profiles["after"] - profiles["before"]
        card("Profiles", f.number(profiles["after"]), delta=f"{change:+,}" if change else None)
        for name in shown:
            card(name.capitalize(), f.number(profiles[name]), help=_MEANING[name])
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    st.markdown("**Audiences**")
    st.dataframe(
        [{"audience": f.label(a["audience"]), **{name: a[name] for name in _MOVED}} for a in seen["audiences"]],
        hide_index=True,
        key=f"{key}_audiences",
        alt="Audiences before and after",
        column_config={name: number(name.capitalize(), format="localized") for name in _MOVED}
        | {"audience": "Audience"},
    )
    frame = view.examples(seen, session.revealed())
    if frame.is_empty():
        return
    st.markdown("**Examples**")
    picked = st.dataframe(
        frame,
        hide_index=True,
        key=f"{key}_examples",
        on_select="rerun",
        selection_mode="single-cell",
        alt="Profiles that change; click one to open it",
        column_config={
            "what": text("What", width=80),
            "profile_id": text("Profile", width=165),
            "part": text("Part", width=165, help="The profile of these identifiers on the other side"),
            "identifiers": text("Identifiers", width="large"),
        },
    )
    row = parts.clicked(picked)
    if row is not None and row < frame.height:
        links.go("customers", profile=frame["profile_id"][row])
