"""The audience builder: groups of conditions on the left, the live answer on the right, the YAML below."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import polars as pl
import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard import links, parts, session
from cdp_core.dashboard.pages import fields
from cdp_core.dashboard.session import cached
from cdp_core.dashboard.views import audiences as view
from cdp_core.dashboard.views import tree

_DRAFT = "audience_draft"
_NAME = "^[a-z][a-z0-9_]*$"


@dataclass
class Draft:
    """What is being edited. `original` is the audience it came from; `yaml_only` a condition the form cannot show."""

    original: str | None
    description: str = ""
    root: tree.Group = field(default_factory=lambda: tree.Group(children=[tree.Line()]))
    yaml_only: dict[str, Any] | None = None

    def condition(self) -> dict[str, Any] | None:
        return self.yaml_only if self.yaml_only is not None else tree.to_condition(self.root)


def draw(name: str | None) -> None:
    """Edit the audience `name`, or a new one."""
    draft = st.session_state.get(_DRAFT)
    if draft is None or draft.original != name:
        draft = st.session_state[_DRAFT] = _load(name)
    if name is None:
        st.subheader("New audience", anchor=False)
    _editor()


def _load(name: str | None) -> Draft:
    if name is None:
        return Draft(None)
    ws = session.workspace()
    definition = ws.audience(name).definition
    draft = Draft(name, definition.get("description") or "")
    _set_condition(draft, definition["where"])
    return draft


def _set_condition(draft: Draft, condition: dict[str, Any]) -> None:
    try:
        draft.root, draft.yaml_only = tree.from_condition(condition), None
    except tree.NotEditable:
        draft.yaml_only = condition


@st.fragment
def _editor() -> None:
    ws = session.workspace()
    draft: Draft = st.session_state[_DRAFT]
    offered = cached(view.choices, ws)
    left, right = parts.main_and_aside()
    with left:
        if draft.yaml_only is None:
            _group(ws, draft.root, offered, draft, depth=0)
        else:
            st.info(
                "This condition uses something the form cannot show. Edit it as YAML below.", icon=":material/code:"
            )
        _yaml(draft)
    with right:
        found = _answer(ws, draft)
        _save(ws, draft)
        if found is not None:
            _sample(found)


def _group(ws: cdp.Workspace, group: tree.Group, offered: view.Choices, draft: Draft, *, depth: int) -> None:
    with st.container(border=True, gap="small"):
        _group_head(group, draft, depth)
        for place, child in enumerate(group.children):
            if place:
                st.caption(group.joiner)
            if isinstance(child, tree.Group):
                _group(ws, child, offered, draft, depth=depth + 1)
            else:
                fields.line(ws, child, offered, draft)
        with st.container(horizontal=True, gap="small"):
            st.button("Condition", key=f"add_{group.id}", icon=":material/add:", on_click=_add, args=(group, False))
            if depth < 4:
                st.button("Group", key=f"nest_{group.id}", icon=":material/add_box:", on_click=_add, args=(group, True))


def _group_head(group: tree.Group, draft: Draft, depth: int) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        joined = st.segmented_control(
            "Customers who meet",
            ["and", "or"],
            default=group.joiner,
            required=True,
            format_func={"and": "All of", "or": "Any of"}.__getitem__,
            key=f"joiner_{group.id}",
            label_visibility="collapsed",
        )
        group.joiner = str(joined)
        group.negated = st.checkbox(
            "Exclude", value=group.negated, key=f"not_{group.id}", help="Everyone who does not meet this group"
        )
        if depth:
            st.space("stretch")
            st.button(
                "",
                key=f"drop_{group.id}",
                icon=":material/close:",
                type="tertiary",
                help="Remove this group",
                on_click=tree.remove,
                args=(draft.root, group.id),
            )


def _add(group: tree.Group, nested: bool) -> None:
    group.children.append(tree.Group("or", children=[tree.Line()]) if nested else tree.Line())


def _answer(ws: cdp.Workspace, draft: Draft) -> view.Preview | None:
    """The count and the funnel; gives the preview when there is one."""
    condition = draft.condition()
    with st.container(border=True, key="answer"):
        if condition is None:
            st.markdown("**Choose a first condition**")
            st.caption("The number of customers who meet it shows here at once, with a sample of them.")
            return None
        try:
            found = cached(view.preview, ws, condition, session.revealed())
        except cdp.CDPError as error:
            st.warning(f.escape(str(error)), icon=":material/rule:")
            return None
        _count(ws, found, draft)
        _funnel(found)
    return found


def _count(ws: cdp.Workspace, found: view.Preview, draft: Draft) -> None:
    now = cached(view.size, ws, draft.original) if draft.original else None
    change = found.count - now if now is not None else None
    st.metric(
        "Customers",
        f.number(found.count),
        delta=None if change is None else change,
        delta_description="against the last run" if change is not None else None,
        help=f"Counted exactly, in {f.duration(found.seconds)}",
    )
    share = found.count / found.total if found.total else 0.0
    st.progress(min(share, 1.0), text=f"{f.percent(share)} of {f.plural(found.total, 'profile')}")


def _funnel(found: view.Preview) -> None:
    if len(found.funnel) < 2:
        return
    frame = pl.DataFrame(found.funnel, schema=["condition", "alone", "remaining"], orient="row")
    column = st.column_config
    st.dataframe(
        frame,
        hide_index=True,
        placeholder="–",
        key="funnel",
        alt="How many customers each condition keeps",
        column_config={
            "condition": column.TextColumn("Condition", width=180),
            "alone": column.NumberColumn(
                "Alone", format="localized", width=65, help="Customers who meet this condition by itself"
            ),
            "remaining": column.ProgressColumn(
                "Remaining",
                width=100,
                format="localized",
                min_value=0,
                max_value=max(found.total, 1),
                help="Customers left after this condition and those above it",
            ),
        },
    )


def _sample(found: view.Preview) -> None:
    if found.sample.is_empty():
        st.caption("Nobody meets this condition today.")
        return
    with st.container(border=True):
        st.markdown("**Some of them**")
        _sample_table(found)


def _sample_table(found: view.Preview) -> None:
    first = [c for c in ("first_name", "last_name", "email", "city", "total_spent") if c in found.sample.columns]
    rest = [c for c in found.sample.columns if c not in (*first, "profile_id") and not c.endswith("_seen")]
    frame = found.sample.select("profile_id", *(first + rest)[:6])
    row = parts.profiles(frame, key="sample", alt="A sample of the customers who meet the condition")
    if row is not None:
        links.go("customers", profile=frame["profile_id"][row])


def _definition(draft: Draft) -> dict[str, Any]:
    described = {"description": draft.description.strip()} if draft.description.strip() else {}
    return {**described, "where": draft.condition()}


def _yaml(draft: Draft) -> None:
    with st.container(border=True):
        st.markdown("**As it stands in cdp.yaml**")
        condition = draft.condition()
        text = tree.as_yaml(condition) if condition is not None else ""
        key = f"yaml_{hash(text)}"
        edit = st.toggle("Edit as YAML", key="edit_yaml", on_change=_leave_yaml, args=(key, text))
        if not edit:
            st.code(text or "# choose a condition", language="yaml")
            return
        parts.yaml_area("Condition", text, key=key, height=220)
        st.button("Apply", key="apply_yaml", on_click=_apply_yaml, args=(key,))
        if st.session_state.get("yaml_wrong"):
            st.error(st.session_state["yaml_wrong"], icon=":material/error:")


def _leave_yaml(key: str, text: str) -> None:
    """Going back to the form takes over what was typed; where that is wrong the editor stays open with it."""
    if not st.session_state["edit_yaml"] and st.session_state.get(key, text) != text:
        _apply_yaml(key)
        st.session_state["edit_yaml"] = bool(st.session_state["yaml_wrong"])


def _apply_yaml(key: str) -> None:
    """Take the text as the condition. One that is wrong stays as it was typed: the form would leave out what it cannot
    show, and a wider audience could be saved.
    """
    draft: Draft = st.session_state[_DRAFT]
    try:
        condition = tree.from_yaml(st.session_state[key])
        session.workspace().preview_audience(condition, sample=1)
        _set_condition(draft, condition)
    except (ValueError, AttributeError, TypeError, cdp.CDPError) as error:
        st.session_state["yaml_wrong"] = str(error)
        return
    st.session_state["yaml_wrong"] = None


def _save(ws: cdp.Workspace, draft: Draft) -> None:
    with st.container(border=True):
        name = draft.original or st.text_input(
            "Name",
            key="draft_name",
            placeholder="for_example_vip",
            validate=(_NAME, "Small letters, digits and _, starting with a letter"),
            help="How cdp.yaml, syncs and other audiences call it",
        )
        draft.description = st.text_input("Description", value=draft.description, key=f"about_{draft.original}")
        ready = bool(name) and draft.condition() is not None
        used = view.used_by(ws, draft.original) if draft.original else []
        if used:
            st.caption(f"{f.plural(len(used), 'sync')} will send what changes: {f.labels(used)}")
        if st.button(
            "Save", key="save_audience", type="primary", icon=":material/save:", disabled=not ready, width="stretch"
        ):
            _write(ws, draft, str(name))


def _write(ws: cdp.Workspace, draft: Draft, name: str) -> None:
    if draft.original is None and name in ws.config.audiences:
        st.error(f"There is an audience called {f.escape(name)} already.", icon=":material/error:")
        return
    try:
        ws.save_audience(name, _definition(draft))
    except cdp.CDPError as error:
        st.error(f.escape(str(error)), icon=":material/error:")
        return
    st.session_state.pop(_DRAFT, None)
    st.toast("Saved in cdp.yaml. Members follow with the next run.", icon=":material/check_circle:")
    links.close_thing("new")
    st.query_params["audience"] = name
    st.rerun()
