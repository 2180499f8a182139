"""The part of the quality page that edits suites: rules in plain words, tried on real rows before they are saved."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import drafts, saving, session
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard.drafts import Draft
from cdp_core.dashboard.pages import suite_fields
from cdp_core.dashboard.views import suite_form as view

_SEEN = "suite_seen"
_FORGET = st.cache_data.clear
"""What is shown of suites is kept by the lake's snapshot, which a saved suite does not change."""


@dataclass(frozen=True)
class Tried:
    """A preview: of which suite and text, over what stood there, and what it would do or is wrong."""

    suite: str
    text: str
    standing: str
    found: Any = None
    wrong: str | None = None
    changes: int = 0


def draw(ws: cdp.Workspace) -> None:
    with st.container(border=True):
        st.subheader("Edit a suite", anchor=False)
        _edit(ws)


def _edit(ws: cdp.Workspace) -> None:
    names = ws.suites.list()["suite"].to_list()
    begun = [name for name in st.session_state.setdefault("suites_begun", []) if name not in names]
    name, shown = _choose(ws, names, begun)
    if name is None:
        st.caption("No suite is written yet. Begin one for a source or a table.")
        return
    try:
        standing = ws.suites.text(name) if name in names else ""
    except cdp.CDPError as error:
        st.error(f.escape(str(error)), icon=":material/error:")
        return
    draft = drafts.draft_of(f"suite_draft_{name}", standing)
    if not draft.text:
        draft.text = ws.suites.begin(name)
    if shown == "JSON":
        drafts.text_view("The suite as JSON of Great Expectations", draft, key=f"suite_text_{name}", height=420)
    else:
        _form(ws, name, draft)
    _said(ws, name, draft)
    drafts.stale(draft, standing, key="suite_again")
    _actions(ws, name, draft, standing)


def _choose(ws: cdp.Workspace, names: list[str], begun: list[str]) -> tuple[str | None, str]:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        key = "edit_suite"
        wanted = st.session_state.pop(f"{key}_next", None)
        if wanted is not None:
            st.session_state[key] = wanted
        elif st.session_state.get(key) not in (None, *names, *begun):
            del st.session_state[key]
        options = [*names, *begun]
        name = st.selectbox("Suite to edit", options, key=key, bind="query-params", format_func=_label, width=300)
        with st.popover("Suite", icon=":material/add:", key="suite_new", help="Begin a suite"):
            free = [each for each in ws.suites.possible() if each not in begun]
            new = st.selectbox("For", free, index=None, key="suite_for", format_func=_label, placeholder="Choose")
            if st.button("Begin it", key="suite_begin", type="primary", disabled=new is None):
                st.session_state["suites_begun"].append(new)
                st.session_state[f"{key}_next"] = new
                st.rerun()
        st.space("stretch")
        shown = st.segmented_control(
            "Edit as", ("Form", "JSON"), default="Form", required=True, key="suite_as", bind="query-params"
        )
    return name, str(shown)


def _label(name: str) -> str:
    """
    >>> _label("sources/shop_orders")
    'Shop orders (source)'
    """
    folder, _, target = name.partition("/")
    return f"{f.label(target)} ({folder.removesuffix('s')})"


def _form(ws: cdp.Workspace, name: str, draft: Draft) -> None:
    try:
        items = ws.suites.expectations(name, text=draft.text)
    except cdp.CDPError as error:
        st.warning(f"{f.escape(str(error))}. Correct it in the JSON view; nothing is lost.", icon=":material/error:")
        return
    place = st.container()
    with st.container(horizontal=True, vertical_alignment="center"):
        columns = suite_fields.columns(ws, name)
        if st.button("Rule", key="suite_add", icon=":material/add:", help="Add a rule to this suite"):
            own = [column for column in columns if column not in ("message_id", "source")]
            draft.take(ws.suites.put(name, draft.text, view.fresh(own)))
            draft.shown = len(items)
            st.rerun()
        st.caption("Click a rule to change it." if items else "The suite has no rules yet.")
    number = draft.shown
    if isinstance(number, int) and number < len(items):
        made = suite_fields.edit(ws, name, items[number], key=f"{name}_{draft.turn}_{number}", place=number + 1)
        if made is None:
            draft.take(ws.suites.cut(name, draft.text, number))
            st.rerun()
        elif made != items[number]:
            draft.text = ws.suites.put(name, draft.text, made, at=number)
            items = ws.suites.expectations(name, text=draft.text)
    with place:
        _list(ws, name, draft, items)


def _list(ws: cdp.Workspace, name: str, draft: Draft, items: Any) -> None:
    if not items:
        return
    key = f"suite_rules_{name}_{draft.turn}"

    def chosen() -> None:
        cells = st.session_state[key].selection.cells
        draft.shown = int(cells[0][0]) if cells else None

    column = st.column_config
    st.dataframe(
        view.listed(ws, items),
        hide_index=True,
        placeholder="–",
        key=key,
        on_select=chosen,
        selection_mode="single-cell",
        alt="Rules of the suite in plain words",
        column_config={
            "severity": column.MultiselectColumn(
                "When it fails", options=list(view.SEVERITIES), color=["red", "orange", "gray"],
                format_func=view.SEVERITIES.get, width=105,
            ),
            "description": column.TextColumn("Rule", width=330),
            "words": column.TextColumn("In words", width=340),
            "rule": column.TextColumn("Short name", width=140),
        },
    )  # fmt: skip


def _said(ws: cdp.Workspace, name: str, draft: Draft) -> None:
    problem = ws.suites.problem(name, draft.text)
    if problem is not None:
        st.warning(f.escape(problem), icon=":material/error:")


def _actions(ws: cdp.Workspace, name: str, draft: Draft, standing: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Show what it would do", key="suite_try", type="primary", icon=":material/difference:"):
            with st.spinner("Great Expectations checks real rows with this suite; nothing is written."):
                st.session_state[_SEEN] = _tried(ws, name, draft)
        drafts.drop(draft, standing, key="suite_drop")
    file = f"{name}.json"
    saving.saved("suite", standing, lambda edit: file if edit.name == name else None, ws.suites.undo, then=_FORGET)
    seen: Tried | None = st.session_state.get(_SEEN)
    if seen is None or seen.suite != name:
        return
    if seen.wrong is not None:
        st.warning(f.escape(seen.wrong), icon=":material/error:")
        return
    _offer(ws, seen, draft)
    _found(name, seen)


def _tried(ws: cdp.Workspace, name: str, draft: Draft) -> Tried:
    try:
        found = ws.suites.preview(name, text=draft.text)
        before = ws.suites.expectations(name, text=draft.standing) if draft.standing else []
        changes = view.changes(before, ws.suites.expectations(name, text=draft.text))
        return Tried(name, draft.text, draft.standing, found=found, changes=changes)
    except cdp.CDPError as error:
        return Tried(name, draft.text, draft.standing, wrong=str(error))


def _offer(ws: cdp.Workspace, seen: Tried, draft: Draft) -> None:
    """Saving what has been previewed, and only that."""
    if not draft.is_changed:
        st.caption("This is the suite as it stands.")
        return
    if draft.text != seen.text:
        st.caption("The suite has changed since this preview. Show what it would do before saving it.")
        return
    save = partial(ws.suites.save, seen.suite, seen.text, expected=seen.standing)
    saving.button("suite", "Save this suite", save, then=_FORGET)


def _found(name: str, seen: Tried) -> None:
    found = seen.found
    st.markdown(view.sentence(found, seen.changes))
    for what in view.cannot_run(found):
        st.warning(f"This rule cannot be run. {f.escape(what)}", icon=":material/error:")
    if name.startswith("sources/"):
        st.caption("Raw rows are not kept once they are loaded, so the source has been read again for this.")
    column = st.column_config
    st.dataframe(
        view.results(found),
        hide_index=True,
        placeholder="–",
        key="suite_found",
        alt="What each rule of the suite would find",
        column_config={
            "outcome": column.MultiselectColumn(
                "Outcome", options=["passed", "failed"], color=["green", "red"], format_func=str.capitalize, width=80
            ),
            "severity": column.MultiselectColumn(
                "When it fails", options=list(view.SEVERITIES), color=["red", "orange", "gray"],
                format_func=view.SEVERITIES.get, width=105,
            ),
            "description": column.TextColumn("Rule", width=300),
            "words": column.TextColumn("In words", width=250),
            "failed": column.NumberColumn("Failing", format="localized", width=70),
            "checked": column.NumberColumn("Checked", format="localized", width=75),
            "observed": column.TextColumn("Seen", width=170),
        },
    )  # fmt: skip
    rows = view.samples(found, session.revealed())
    if rows.is_empty():
        return
    st.markdown("**Some of the rows**")
    st.dataframe(
        rows, hide_index=True, key="suite_samples", alt="Rows that would fail, with their rule",
        column_config={"rule": column.TextColumn("Short name", width=130), "key": column.TextColumn("Key", width=180),
                       "content": column.TextColumn("Content", width=600)},
    )  # fmt: skip
