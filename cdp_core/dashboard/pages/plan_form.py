"""A tracking plan as a form: pick an event, edit its properties in a table, add what the data have and it has not.

Every change goes into the text of the plan at once; the text is the other view of the same draft.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard.drafts import Draft
from cdp_core.dashboard.session import cached
from cdp_core.dashboard.views import plan_form as view
from cdp_core.dashboard.views import plans as plans_view

MOST_SUGGESTED = 12
_WRONG = "plan_form_wrong"
_COMMON = "Every event (common)"


class Form:
    """What the parts of the form share: the plan as it is being made, and how to change it."""

    def __init__(self, ws: cdp.Workspace, plan: str, draft: Draft, model: dict[str, Any]) -> None:
        self.ws, self.plan, self.draft, self.model = ws, plan, draft, model

    def change(self, make: Callable[[dict[str, Any]], dict[str, Any]], renamed: Sequence[Any] = ()) -> bool:
        """Put a change into the text of now, which may be newer than what was drawn; say why not where it cannot be."""
        try:
            now = self.ws.plans.model(self.plan, text=self.draft.text)
            self.draft.text = self.ws.plans.edit(self.plan, self.draft.text, make(now), renamed=renamed)
        except cdp.CDPError as error:
            st.session_state[_WRONG] = str(error)
            return False
        return True

    def set(self, path: view.Path, value: Any) -> None:
        self.change(lambda plan: view.with_value(plan, path, value))


def edit(ws: cdp.Workspace, plan: str, source: str, draft: Draft) -> None:
    """Draw the form over the draft."""
    try:
        model = ws.plans.model(plan, text=draft.text)
    except cdp.CDPError as error:
        st.warning(f"{f.escape(str(error))}. Correct it in the YAML view; nothing is lost.", icon=":material/error:")
        return
    form = Form(ws, plan, draft, model)
    call = _choose(form)
    if call is None:
        st.caption("The plan has no events yet. Add one, or take one that the data suggest.")
    elif call.path == ("common",):
        _common(form)
    else:
        _call(form, call)
    _wrong(form)
    _suggested(form, source, call)


def _choose(form: Form) -> view.Call | None:
    calls = view.calls(form.model)
    if "common" in form.model:
        calls.append(view.Call(("common",), _COMMON))
    labels = {call.label: call for call in calls}
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        key = f"plan_call_{form.plan}"
        if key not in st.session_state or f"{key}_next" in st.session_state:
            st.session_state[key] = st.session_state.pop(f"{key}_next", st.session_state.get(f"{key}_last"))
        if st.session_state[key] not in labels:
            st.session_state[key] = next(iter(labels), None)
        label = st.selectbox("Event", list(labels), key=key, width=300, placeholder="No event yet")
        st.session_state[f"{key}_last"] = label
        _add_call(form)
        call = labels.get(label or "")
        if call is not None:
            _rename_call(form, call)
            _more(form, call)
    return call


def _add_call(form: Form) -> None:
    others = [name for name in view.OTHER_CALLS if name not in form.model]
    with st.popover("Event", icon=":material/add:", key="plan_add", help="Add an event to the plan"):
        with st.form("plan_add_form", border=False, clear_on_submit=True):
            name = st.text_input("Name", key="plan_add_name", placeholder="Order Completed").strip()
            wanted = st.form_submit_button("Add the event", key="plan_add_event", type="primary")
        if wanted and name:
            if view.at(form.model, ("events", name)) is None and name not in (form.model.get("events") or {}):
                form.set(("events", name), {"properties": {}})
                _open(form, name)
            else:
                st.warning(f"There is an event {f.escape(name)} already.")
        for other in others:
            if st.button(f"Every {other}", key=f"plan_add_{other}", icon=":material/add:", type="tertiary"):
                form.set((other,), {"traits" if other in ("identify", "group") else "properties": {}})
                _open(form, f"Every {other}")


def _open(form: Form, label: str) -> None:
    form.draft.take(form.draft.text)
    st.session_state[f"plan_call_{form.plan}_next"] = label
    st.rerun()


def _rename_call(form: Form, call: view.Call) -> None:
    if call.path[0] != "events":
        return
    name = call.path[1]
    with st.popover("Rename", icon=":material/edit:", key="plan_rename", type="tertiary"):
        with st.form("plan_rename_form", border=False):
            new = st.text_input("Name", value=name, key=f"plan_rename_to_{name}").strip()
            wanted = st.form_submit_button("Rename the event", key="plan_rename_event", type="primary")
        if wanted and new and new != name:
            if new in form.model["events"]:
                st.warning(f"There is an event {f.escape(new)} already.")
                return
            path = ("events", name)
            if form.change(lambda plan: view.renamed_key(plan, path, new), [(path, new)]):
                _open(form, call.label.replace(name, new, 1))


def _more(form: Form, call: view.Call) -> None:
    versioned = "versions" in call.path
    what = "version" if versioned else "event"
    if versioned and st.button(
        "Version", icon=":material/add:", key="plan_version", help="Begin with a copy of this one"
    ):
        holder = view.at(form.model, call.path[:-1])
        number = str(max((int(n) for n in holder if str(n).isdecimal()), default=0) + 1)
        form.set((*call.path[:-1], number), view.at(form.model, call.path) or {})
        _open(form, call.label.rpartition(" (version ")[0] + f" (version {number})")
    if st.button(f"Remove this {what}", icon=":material/delete:", key="plan_remove", type="tertiary"):
        form.set(call.path, None)
        _open(form, "")


def _call(form: Form, call: view.Call) -> None:
    _about(form, call)
    places = view.objects(form.model, call)
    path, _ = places[0]
    if len(places) > 1:
        names = {label: path for path, label in places}
        label = st.segmented_control(
            "Properties of",
            list(names),
            default=places[0][1],
            required=True,
            key=f"plan_inside_{form.plan}_{call.label}",
        )
        path = names.get(str(label), path)
    _table(form, path)


def _about(form: Form, call: view.Call) -> None:
    """Description, labels and number of version. Keys hold the turn, so that what is taken from a text is shown."""
    found = view.at(form.model, call.path)
    found = found if isinstance(found, dict) else {}
    key = f"{form.plan}_{call.label}_{form.draft.turn}"
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        _line(form, call, "description", "Description", str(found.get("description") or ""), f"plan_description_{key}")
        labels = view.labels_text(found.get("labels"))
        _labels(form, call, labels, f"plan_labels_{key}")
        if call.path[0] == "events" and "version" in found and "versions" not in call.path:
            _number(form, call, found["version"], f"plan_number_{key}")


def _line(form: Form, call: view.Call, name: str, label: str, value: str, key: str) -> None:
    def typed() -> None:
        form.set((*call.path, name), str(st.session_state[key]).strip() or None)

    st.text_input(label, value=value, key=key, on_change=typed, placeholder="What it means, for whoever sends it")


def _labels(form: Form, call: view.Call, value: str | None, key: str) -> None:
    def typed() -> None:
        try:
            form.set((*call.path, "labels"), view.labels_of(str(st.session_state[key])))
        except ValueError as error:
            st.session_state[_WRONG] = str(error)

    helped = "name: value, name: value" if value is not None else "These labels can only be edited as YAML"
    st.text_input(
        "Labels", value=value or "", key=key, on_change=typed, disabled=value is None, help=helped, width=260,
        placeholder="owner: web team",
    )  # fmt: skip


def _number(form: Form, call: view.Call, value: Any, key: str) -> None:
    def typed() -> None:
        form.set((*call.path, "version"), int(st.session_state[key]))

    number = value if isinstance(value, int) and value >= 1 else 1
    st.number_input("Version", value=number, min_value=1, step=1, key=key, on_change=typed, width=110)


def _table(form: Form, path: view.Path) -> None:
    """The properties. The table keeps its own edits of what it was drawn with, until something else is drawn."""
    draft = form.draft
    if draft.shown != path:
        draft.shown, draft.turn, draft.problems = path, draft.turn + 1, []
        draft.base = view.at(form.model, path) or {}
        draft.names = list(draft.base) if isinstance(draft.base, dict) else []
    key = f"plan_table_{draft.turn}"
    base = draft.base

    def typed() -> None:
        found = view.applied(base, st.session_state[key])
        renames = [
            ((*path, was), new)
            for was, new in zip(draft.names, found.names, strict=True)
            if was is not None and new is not None and was != new
        ]
        if form.change(lambda plan: view.with_value(plan, path, found.rules), renames):
            draft.names = found.names
        draft.problems = found.problems

    rows = plans_view.frame_of(view.table(base))
    st.data_editor(
        rows, key=key, on_change=typed, num_rows="dynamic", hide_index=True, column_config=_columns(), height="content",
        placeholder="", alt="Properties with their rules",
    )  # fmt: skip
    for what in view.never_right(view.at(form.model, path)):
        st.info(f.escape(what), icon=":material/info:")
    st.caption(
        "Type into a cell to change it; the last row adds a property; tick rows and press Delete to remove them."
    )


def _columns() -> dict[str, Any]:
    column = st.column_config
    return {
        "name": column.TextColumn("Property", width=140, pinned=True, help="Dots lead inside an object"),
        "type": column.MultiselectColumn("Type", options=list(view.TYPES), width=110, help="Several: any of them"),
        "required": column.CheckboxColumn("Required", width=85),
        "enum": column.MultiselectColumn("Choices", options=[], accept_new_options=True, width=170, color="gray"),
        "minimum": column.NumberColumn("Minimum", width=85, help="Of a number"),
        "maximum": column.NumberColumn("Maximum", width=85, help="Of a number"),
        "pattern": column.TextColumn(
            "Pattern", width=130, help="A regular expression; it may match anywhere in a text"
        ),
        "format": column.SelectboxColumn("Format", options=list(view.FORMATS), width=85),
        "min_length": column.NumberColumn("Min length", width=95, min_value=0, step=1, help="Characters of a text"),
        "max_length": column.NumberColumn("Max length", width=95, min_value=0, step=1, help="Characters of a text"),
        "description": column.TextColumn("Description", width=240),
    }


def _common(form: Form) -> None:
    """What holds for whole events is JSON Schema, which no table can say."""
    st.caption("JSON Schema that whole events must keep to, whatever their type. Edit it in the YAML view.")
    st.json(form.model["common"] if isinstance(form.model["common"], dict) else {})


def _suggested(form: Form, source: str, call: view.Call | None) -> None:
    """What the source sends and the plan does not have, one click away."""
    with st.spinner("Looking at what the source has sent."):
        try:
            seen = cached(plans_view.seen, form.ws, source)
            found = plans_view.unplanned(form.ws, seen, form.model)
        except cdp.CDPError:
            return
    here = [s for s in found if call is not None and s.path[: len(call.path)] == call.path]
    others = [s for s in found if s not in here and len(s.path) <= 2]
    offered = [*here, *others]
    if not offered:
        return
    st.markdown(f"**Seen in {f.escape(f.label(source))}, not in the plan**")
    with st.container(horizontal=True, gap="small"):
        for number, suggestion in enumerate(offered[:MOST_SUGGESTED]):
            label = plans_view.suggestion_label(suggestion)
            helped = "Add this event" if len(suggestion.path) <= 2 else "Add this property"
            if st.button(f.escape(label), key=f"plan_take_{number}", icon=":material/add:", help=helped):
                form.set(suggestion.path, dict(suggestion.rule))
                form.draft.take(form.draft.text)
                st.rerun()
    if len(offered) > MOST_SUGGESTED:
        st.caption(f"and {len(offered) - MOST_SUGGESTED} more")


def _wrong(form: Form) -> None:
    """What is wrong, with the event and property; the table keeps what was typed."""
    refused = st.session_state.pop(_WRONG, None)
    said = [*([refused] if refused else []), *form.draft.problems]
    said += [str(problem) for problem in form.ws.plans.problems(form.plan, form.draft.text)]
    for what in said:
        st.warning(f.escape(what), icon=":material/error:")
