"""Forms for destinations and syncs: the ways in, and what both have below their fields: text, saving, taking out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import drafts, links, saving
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard.drafts import Draft
from cdp_core.dashboard.views import forms as view

_KINDS = ("destination", "sync")


class Form:
    """What the parts of a form share: the draft, what is wrong with it, and how to change it."""

    def __init__(self, ws: cdp.Workspace, kind: str, name: str | None) -> None:
        self.ws, self.kind, self.editing = ws, kind, name
        self.forms = ws.destination_forms if kind == "destination" else ws.sync_forms
        self.key = f"{kind}_form_{name or ''}"
        self.standing = self.forms.text(name) if name else ""
        self.draft = drafts.draft_of(f"{self.key}_draft", self.standing)
        self.begun = self.draft.text

    @property
    def name(self) -> str:
        """The name of the definition; of a new one as it has been typed."""
        return self.editing or str(st.session_state.get(f"{self.key}_name", ""))

    @property
    def data(self) -> dict[str, Any]:
        """The draft as plain data. Raises CDPError when it is no YAML."""
        return self.forms.data(self.draft.text)

    def field_key(self, name: str) -> str:
        """The key of a field; it holds the turn, so that what is taken from a text is shown."""
        return f"{self.key}_{name}_{self.draft.turn}"

    def put(self, *path: str, value: Any) -> None:
        """Put a value into the draft where it differs."""
        data = self.data
        made = view.with_key(data, path, value)
        if made != data:
            self.draft.text = self.forms.to_text(made)

    def take(self, data: dict[str, Any]) -> None:
        """Another draft, not made by the fields that are open: draw them anew."""
        self.draft.take(self.forms.to_text(data))


def drawn(ws: cdp.Workspace) -> bool:
    """Draw the form that the URL names, if it names one."""
    kind = links.opened("form")
    if kind not in _KINDS:
        return False
    from cdp_core.dashboard.pages import destination_form, sync_form

    name = links.opened(kind)
    st.button("Back", key="form_back", icon=":material/arrow_back:", type="tertiary", on_click=_close, args=(kind,))
    form = Form(ws, kind, name)
    if name and not form.standing:
        st.warning(f"There is no {kind} called {f.escape(name)}.", icon=":material/search_off:")
        _saved(form)
        return True
    (destination_form if kind == "destination" else sync_form).draw(form)
    return True


def ways_in(ws: cdp.Workspace) -> None:
    """Buttons to add a destination or a sync, and to edit a destination."""
    names = list(ws.config.destinations)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.button("Add a destination", key="add_destination", icon=":material/add:", on_click=_open,
                  args=("destination",), help="Where data may be sent")  # fmt: skip
        st.button("Add a sync", key="add_sync", icon=":material/add:", on_click=_open, args=("sync",),
                  disabled=not names, help="What is sent there" if names else "A sync needs a destination")  # fmt: skip
        if names:
            with st.popover("Edit a destination", icon=":material/edit:", key="edit_destinations"):
                for name in names:
                    st.button(f.escape(name), key=f"edit_destination_{name}", type="tertiary", on_click=_open,
                              args=("destination", name), help=f"Type {ws.config.destinations[name].type}")  # fmt: skip
    for kind in _KINDS:
        _saved(Form(ws, kind, None), gone_only=True)


def add_sync_to_it() -> None:
    """A button that begins a sync to the destination that the URL names."""
    st.button("Add a sync to it", key="add_sync_here", icon=":material/add:", type="tertiary", on_click=_open,
              args=("sync",))  # fmt: skip


def edit_button(kind: str, name: str, label: str = "Edit") -> None:
    """A button that opens the form of one destination or sync."""
    st.button(
        label, key=f"{label.split()[0].lower()}_{kind}", icon=":material/edit:", on_click=_open, args=(kind, name)
    )


def _open(kind: str, name: str | None = None) -> None:
    links.open_thing("form", kind)
    if name is None:
        links.close_thing(kind)
    else:
        links.open_thing(kind, name)


def _close(kind: str) -> None:
    links.close_thing("form", *(["destination"] if kind == "destination" else []))


def head(form: Form) -> str:
    """The heading, the name of a new definition, and the choice between form and text."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if form.editing:
            st.subheader(f"Edit {form.kind} {f.escape(form.editing)}", anchor=False)
        else:
            st.subheader(f"Add a {form.kind}", anchor=False)
        st.space("stretch")
        shown = st.segmented_control(
            "Edit as", ("Form", "YAML"), default="Form", required=True, key=f"{form.kind}_as", bind="query-params"
        )
    if not form.editing:
        _name(form)
    return str(shown)


def _name(form: Form) -> None:
    key = f"{form.key}_name"
    typed = st.text_input(
        "Name", value=form.name, key=f"{key}_field", width=360, placeholder="crm" if form.kind == "destination" else
        "newsletter_to_crm", help="Unique; letters, digits, _ and -. It stays, since the ledger is kept by it.",
    )  # fmt: skip
    st.session_state[key] = (typed or "").strip()
    if st.session_state[key] and (problem := form.forms.name_problem(st.session_state[key])):
        st.warning(f.escape(problem), icon=":material/error:")


def as_text(form: Form) -> None:
    """The draft as YAML. A text that is no YAML is kept, and said."""
    drafts.text_view(f"The {form.kind} as YAML", form.draft, key=f"{form.key}_text", height=340)


def told(what: Sequence[str]) -> None:
    for each in dict.fromkeys(what):
        st.warning(f.escape(each), icon=":material/error:")


def actions(form: Form, problems: Sequence[Any]) -> None:
    """Save, drop, take out, and the way back of what was saved."""
    drafts.stale(form.draft, form.standing, key=f"{form.key}_again")
    _saved(form)
    with st.container(horizontal=True, vertical_alignment="center"):
        if form.draft.is_changed:
            _save(form, problems)
        elif form.editing:
            st.caption("This is what stands in cdp.yaml.")
        drafts.drop(form.draft, form.standing, key=f"{form.key}_drop")
        st.space("stretch")
        if form.editing:
            _remove(form)


def _save(form: Form, problems: Sequence[Any]) -> None:
    why = None if form.editing else form.forms.name_problem(form.name)
    wrong = why or (f"not saved yet: {problems[0]}" if problems else None)
    label = f"Save {form.kind}"
    wanted = st.button(
        label, key=f"{form.kind}_save", type="primary", icon=":material/save:", disabled=wrong is not None
    )
    st.caption(f.escape(wrong) if wrong else _said(form), width="stretch")
    if wanted:
        expected = form.draft.standing
        text = form.draft.text if form.editing else form.forms.to_text(view.ordered(form.data))
        act = partial(form.forms.save, form.name, text, expected=expected)
        saving.write(form.kind, act, partial(_after, form, form.name))


def _said(form: Form) -> str:
    if not form.editing:
        return f"Adds {form.kind} {f.escape(form.name)} to cdp.yaml. Nothing is sent before you run a sync."
    found = view.changes(form.forms.data(form.draft.standing), form.data)
    return f"Changes {f.escape('; '.join(found[:6]) or 'the order of keys')}."


def _after(form: Form, name: str) -> None:
    """The saved definition is opened, and the draft of a new one is a new one again."""
    _follow(form, name)
    if not form.editing:
        for key in (f"{form.key}_draft", f"{form.key}_name"):
            st.session_state.pop(key, None)
    _open(form.kind, name)


def _follow(form: Form, name: str) -> None:
    """The draft of a definition shows what stands in the file now; fields that are open are drawn anew."""
    draft: Draft | None = st.session_state.get(f"{form.kind}_form_{name}_draft")
    if draft is not None:
        draft.standing = form.forms.text(name)
        draft.take(draft.standing)


def _remove(form: Form) -> None:
    used = form.ws.destination_forms.used_by(str(form.editing)) if form.kind == "destination" else []
    with st.popover(f"Delete {form.kind}", icon=":material/delete:", key=f"{form.kind}_delete", type="tertiary"):
        if used:
            names = ", ".join(f.escape(name) for name in used)
            count = f.plural(len(used), "sync", "syncs")
            st.markdown(f"It is used by {count}: {names}. Delete or move them first.")
            return
        what = "What was delivered stays where it is." if form.kind == "sync" else "No sync uses it."
        st.markdown(f"Take **{f.escape(str(form.editing))}** out of cdp.yaml? {what} It can be undone.")
        if st.button("Delete it", key=f"{form.kind}_delete_it", type="primary"):
            act = partial(form.forms.remove, str(form.editing), expected=form.standing)
            saving.write(form.kind, act, partial(_gone, form))


def _gone(form: Form) -> None:
    _follow(form, str(form.editing))
    links.close_thing("form", form.kind)


def _saved(form: Form, gone_only: bool = False) -> None:
    """What was just written, with the way back for as long as it stands."""
    edit = st.session_state.get(saving.key_of(form.kind))
    if edit is None:
        return
    there = edit.name in form.forms.names()
    if (gone_only and there) or (form.editing and edit.name != form.editing):
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        done = f"Saved {form.kind} {f.escape(edit.name)} in" if there else f"Took {f.escape(edit.name)} out of"
        st.markdown(f":material/check_circle: {done} {f.escape(edit.file)}.")
        st.space("stretch")
        if st.button("Undo", key=f"{form.kind}_undo", icon=":material/undo:", help="Put the file back as it was"):
            saving.write(form.kind, partial(form.forms.undo, edit), partial(_undone, form, edit.name))


def _undone(form: Form, name: str) -> None:
    """The form shows what is there again; a definition that is gone has none."""
    _follow(form, name)
    if name not in form.forms.names():
        links.close_thing("form", form.kind)


Part = Callable[[Form, Sequence[Any]], None]


def body(form: Form, check: Callable[[str], Sequence[Any]], fields: Part) -> Sequence[Any] | None:
    """The draft as fields or as text, and what is wrong with it; None when it cannot be read."""
    shown = head(form)
    if shown == "YAML":
        as_text(form)
    try:
        form.forms.data(form.draft.text)
        found = check(form.draft.text)
    except cdp.CDPError as error:
        told([f"{error}. Correct it in the YAML view; nothing is lost."])
        drafts.drop(form.draft, form.standing, key=f"{form.key}_drop")
        return None
    if shown == "YAML":
        told([str(each) for each in found])
        return list(found)
    fields(form, list(found))
    return list(found) if form.draft.text == form.begun else list(check(form.draft.text))


def settle(form: Form) -> None:
    """What is wrong is said beside the fields, and was found before what changed now: draw the page anew.

    To be called last, so that a click that came with the change is not lost.
    """
    if form.draft.text != form.begun:
        st.rerun()
