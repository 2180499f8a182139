"""A sync as a form: what is sent, where, how, which fields; its plan before it is saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard import links
from cdp_core.dashboard.pages import forms, mapping_fields, option_fields
from cdp_core.dashboard.pages.forms import Form
from cdp_core.dashboard.session import cached
from cdp_core.dashboard.views import forms as view
from cdp_core.dashboard.views import mapping

_MODELS = {"profiles": "All profiles", "audience": "Members of an audience", "events": "Events", "sql": "Rows of SQL"}
_CALLS = ("track", "identify", "page", "screen", "group", "alias")
_SHOWN = ("model", "destination", "mode", "options", "mapping", "key", "description", "schedule", "enabled")


def draw(form: Form) -> None:
    ws = form.ws
    if not ws.config.destinations:
        st.info("A sync needs a destination. Add one first.", icon=":material/info:")
        return
    if not form.editing and not form.draft.text:
        form.draft.text = form.forms.to_text(_begun(ws))
    problems = forms.body(form, lambda text: ws.sync_forms.problems(form.name, text), _fields)
    if problems is None:
        return
    _plan(form, problems)
    forms.actions(form, problems)
    forms.settle(form)


def _begun(ws: cdp.Workspace) -> dict[str, Any]:
    """What a new sync begins with; the URL may name its destination."""
    named = links.opened("destination")
    names = list(ws.config.destinations)
    destination = named if named in names else names[0] if len(names) == 1 else None
    return {"model": "profiles", **({"destination": destination} if destination else {})}


def _fields(form: Form, problems: Sequence[Any]) -> None:
    with st.container(border=True):
        st.markdown("**What is sent, and where**")
        _model(form, problems)
        destination = _destination(form, problems)
    if destination is None:
        st.caption("Choose a destination. What it wants to know, and its fields, follow.")
        return
    with st.container(border=True):
        st.markdown("**Fields**")
        mapping_fields.draw(form, destination, problems)
    _more(form, problems)
    forms.told(view.unplaced(problems, _SHOWN))


def _model(form: Form, problems: Sequence[Any]) -> None:
    model = form.data.get("model")
    now = next(iter(model)) if isinstance(model, dict) and model else str(model or "profiles")
    options = list(_MODELS)
    chosen = st.segmented_control(
        "What is sent", options, default=now if now in options else None, key=form.field_key("model"), required=True,
        format_func=_MODELS.__getitem__,
    )  # fmt: skip
    if chosen != now and chosen is not None:
        made = "profiles" if chosen == "profiles" else {chosen: {} if chosen == "events" else ""}
        form.take({**{k: v for k, v in form.data.items() if k != "mode"}, "model": made})
        st.rerun()
    inside = model.get(now) if isinstance(model, dict) else None
    if now == "audience":
        names = list(form.ws.config.audiences)
        audience = st.selectbox(
            "Audience", names, index=names.index(inside) if inside in names else None, key=form.field_key("audience"),
            format_func=f.label, placeholder="Choose" if names else "No audience is defined yet", width=520,
        )  # fmt: skip
        if audience is not None:
            form.put("model", value={"audience": audience})
    elif now == "sql":
        text = st.text_area(
            "SQL", value=str(inside or ""), key=form.field_key("sql"), height=120, width=700,
            placeholder="SELECT profile_id, email FROM profiles WHERE orders > 3",
            help="One SELECT over the canonical tables; with a column profile_id consent can be looked up",
        )  # fmt: skip
        form.put("model", value={"sql": text or ""})
    elif now == "events":
        _events(form, inside if isinstance(inside, dict) else {})
    forms.told(view.said(problems, "model"))


def _events(form: Form, choice: dict[str, Any]) -> None:
    offered = {"event": cached(mapping.events, form.ws), "type": list(_CALLS), "source": list(form.ws.config.sources)}
    made: dict[str, Any] = {}
    with st.container(horizontal=True, gap="small"):
        for name, options in offered.items():
            before = choice.get(name)
            standing = [before] if isinstance(before, str) else list(before or [])
            found = st.multiselect(
                {"event": "Events", "type": "Types", "source": "Sources"}[name],
                list(dict.fromkeys([*options, *standing])), default=standing, key=form.field_key(f"events_{name}"),
                placeholder="All", width=260, accept_new_options=name == "event",
            )  # fmt: skip
            if list(found) == standing and before is not None:
                made[name] = before
            elif found:
                made[name] = list(found)
    if made != choice:
        form.put("model", value={"events": made})


def _destination(form: Form, problems: Sequence[Any]) -> str | None:
    names = list(form.ws.config.destinations)
    now = form.data.get("destination")
    chosen = st.selectbox(
        "Destination", names, index=names.index(now) if now in names else None, key=form.field_key("destination"),
        format_func=lambda name: f"{name} ({form.ws.config.destinations[name].type})", placeholder="Choose", width=520,
    )  # fmt: skip
    forms.told(view.said(problems, "destination"))
    if chosen is None:
        return None
    if chosen != now:
        names = [field.name for field in form.ws.sync_forms.fields(chosen)]
        options = form.data.get("options")
        kept = {k: v for k, v in options.items() if k in names} if isinstance(options, dict) else {}
        form.take(view.with_key({**form.data, "destination": chosen}, ("options",), kept or None))
        st.rerun()
    _mode(form, chosen, problems)
    fields = form.ws.sync_forms.fields(chosen)
    usual = [field for field in fields if field.required]
    rare = [field for field in fields if not field.required]
    option_fields.draw(form, usual, problems, at="options")
    if rare:
        given = any(view.said(problems, f"options.{field.name}") for field in rare)
        with st.expander(f"Options of {f.escape(chosen)}", expanded=given, key=f"options_{form.field_key(chosen)}"):
            option_fields.draw(form, rare, problems, at="options")
    places = [f"options.{field.name}" for field in fields]
    forms.told(view.said([p for p in problems if not any(p.field.startswith(place) for place in places)], "options"))
    return chosen


def _mode(form: Form, destination: str, problems: Sequence[Any]) -> None:
    model = form.data.get("model")
    of_events = model == "events" or (isinstance(model, dict) and "events" in model)
    modes = form.ws.sync_forms.modes(destination, of_events=of_events)
    usual = "insert" if of_events else "mirror"
    now = form.data.get("mode", usual)
    options = list(modes)
    if now not in modes and "mode" not in form.data and options:
        form.put("mode", value=options[0])
        now = options[0]
    chosen = st.selectbox(
        "Mode", options, index=options.index(now) if now in options else None, key=form.field_key(f"mode_{of_events}"),
        format_func=lambda mode: f"{mode.capitalize()} · {modes[mode]}", placeholder="Choose", width=520,
        help="Only modes that this destination has a meaning for",
    )  # fmt: skip
    if chosen is not None and chosen != now:
        form.put("mode", value=None if chosen == usual else chosen)
    forms.told(view.said(problems, "mode"))


def _more(form: Form, problems: Sequence[Any]) -> None:
    given = bool({"description", "schedule", "enabled"} & set(form.data))
    with st.expander("Description and schedule", expanded=given, key=f"sync_more_{form.key}"):
        for name, label, hint, help in (
            ("description", "Description", "What it is for", None),
            ("schedule", "Schedule", "0 6 * * 1-5", "Five cron fields, UTC; empty: by hand"),
        ):
            before = form.data.get(name)
            typed = st.text_input(label, value=str(before or ""), key=form.field_key(name), placeholder=hint, help=help,
                                  width=520)  # fmt: skip
            if (typed or "") != str(before or ""):
                form.put(name, value=(typed or "").strip() or None)
            forms.told(view.said(problems, name))
        standing = form.data.get("enabled", True)
        ticked = st.checkbox("Enabled", value=bool(standing), key=form.field_key("enabled"),
                             help="Runs with `cdp run --sync` and by its schedule")  # fmt: skip
        if ticked != bool(standing):
            form.put("enabled", value=None if ticked else False)


def _plan(form: Form, problems: Sequence[Any]) -> None:
    """What a run of the draft would send. It stands until the draft is another."""
    key = f"{form.key}_planned"
    if st.button("Plan", key="sync_draft_plan", icon=":material/difference:", disabled=bool(problems),
                 help="Counts what a run would send; nothing is sent or written"):  # fmt: skip
        with st.spinner("Comparing with what was delivered before…"):
            try:
                st.session_state[key] = (form.draft.text, mapping.plan(form.ws, form.name, form.draft.text))
            except cdp.CDPError as error:
                st.session_state[key] = (form.draft.text, str(error))
    text, found = st.session_state.get(key, ("", None))
    if found is None or text != form.draft.text:
        return
    if isinstance(found, str):
        st.error(f.escape(found), icon=":material/error:")
        return
    with st.grid(6, min_column_width=110, gap="small"):
        for what, count in found.counts.items():
            st.metric(what.capitalize(), f.number(count), border=True)
    for said in (found.note, found.brake and f"The brake would hold: {found.brake}"):
        if said:
            st.info(f.escape(said), icon=":material/info:")
