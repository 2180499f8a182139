"""A destination as a form: its type, what the type asks for, consent and limits, and a test before it is saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard.pages import forms, option_fields
from cdp_core.dashboard.pages.forms import Form
from cdp_core.dashboard.session import cached
from cdp_core.dashboard.views import forms as view


def draw(form: Form) -> None:
    ws = form.ws
    problems = forms.body(form, lambda text: ws.destination_forms.problems(form.name, text), _fields)
    if problems is None:
        return
    if form.data.get("type"):
        _test(form, problems)
    forms.actions(form, problems)
    if form.editing:
        forms.add_sync_to_it()
    forms.settle(form)


def _fields(form: Form, problems: Sequence[Any]) -> None:
    chosen = _type(form)
    if chosen is None:
        st.caption("Choose where data may go. What is asked for follows from the type.")
        return
    try:
        fields = form.ws.destination_forms.fields(chosen)
    except cdp.CDPError as error:
        forms.told([str(error)])
        return
    usual = [field for field in fields if field.required or field.kind == "secret" or field.name == "private_network"]
    rare = [field for field in fields if field not in usual]
    with st.container(border=True):
        option_fields.draw(form, usual, problems)
        if rare:
            given = any(field.name in form.data or view.said(problems, field.name) for field in rare)
            with st.expander("More options", expanded=given or len(usual) < 2, key=f"more_{form.field_key(chosen)}"):
                option_fields.draw(form, rare, problems)
    _around(form, problems)
    shown = ["type", "consent", "limits", *(field.name for field in fields)]
    forms.told(view.unplaced(problems, shown))


def _type(form: Form) -> str | None:
    types = form.ws.destination_forms.types()
    there = {each.type: each for each in types if each.problem is None}
    now = form.data.get("type")
    options = [*there, *([now] if now and now not in there else [])]
    chosen = st.selectbox(
        "Type", options, index=options.index(now) if now in options else None, key=form.field_key("type"), width=520,
        format_func=lambda name: f"{f.label(name)} · {view.about(name, there[name].words if name in there else '')}",
        placeholder="Choose a type", help="What kind of place it is. Packages of your own may add more",
    )  # fmt: skip
    absent = [each.type for each in types if each.problem is not None]
    if absent and not form.editing:
        st.caption(f"Registered, but not to be loaded here: {', '.join(map(f.escape, absent))}.")
    if chosen is not None and chosen != now:
        names = [field.name for field in form.ws.destination_forms.fields(chosen)]
        form.take(view.retyped(form.data, chosen, names))
        st.rerun()
    return chosen


def _around(form: Form, problems: Sequence[Any]) -> None:
    """What every destination has: who may be sent there, and how fast."""
    given = bool({"consent", "limits"} & set(form.data))
    wrong = bool(view.said(problems, "consent") or view.said(problems, "limits"))
    with st.expander("Consent and limits", expanded=given or wrong, key=f"around_{form.key}"):
        before = form.data.get("consent")
        standing = [before] if isinstance(before, str) else list(before or [])
        seen = cached(view.consents, form.ws)
        chosen = st.multiselect(
            "Consent needed", list(dict.fromkeys([*seen, *standing])), default=standing, accept_new_options=True,
            key=form.field_key("consent"), placeholder="None: everybody may be sent", width=520,
            help="Who has not granted all of these is withheld, and taken back where a sync mirrors",
        )  # fmt: skip
        if list(chosen) != standing:
            form.put("consent", value=list(chosen) or None)
        forms.told(view.said(problems, "consent"))
        option_fields.draw(form, form.ws.destination_forms.limits(), problems, at="limits")


def _test(form: Form, problems: Sequence[Any]) -> None:
    """Connect with the draft as it is. The answer stands until the draft is another."""
    key = f"{form.key}_tested"
    if st.button("Test connection", key="destination_test", icon=":material/power:", disabled=bool(problems),
                 help="Connects with what stands here, saved or not; sends no row"):  # fmt: skip
        with st.spinner("Connecting…"):
            try:
                said = form.ws.destination_forms.test(form.name or "draft", form.draft.text)
                st.session_state[key] = (form.draft.text, True, said)
            except cdp.CDPError as error:
                st.session_state[key] = (form.draft.text, False, str(error))
    text, good, said = st.session_state.get(key, ("", False, ""))
    if not said or text != form.draft.text:
        return
    if good:
        st.success(f"It works: {f.escape(said)}", icon=":material/check_circle:")
    else:
        st.error(f"It does not work: {f.escape(said)}. Nothing was sent.", icon=":material/error:")
