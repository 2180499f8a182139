"""The mapping of a sync: a line per field, what fits suggested, functions as forms, and what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard import session
from cdp_core.dashboard.pages import forms, function_fields
from cdp_core.dashboard.pages.forms import Form
from cdp_core.dashboard.session import cached
from cdp_core.dashboard.views import forms as drafted
from cdp_core.dashboard.views import mapping as view

MOST_SUGGESTED = 12


def draw(form: Form, destination: str, problems: Sequence[Any]) -> None:
    try:
        columns = _columns(form)
    except cdp.CDPError as error:
        forms.told([f"The columns are not known yet: {error}"])
        columns = []
    mapping = _mapping(form)
    if not mapping:
        st.caption("Nothing is mapped yet: take what is suggested, or add a field.")
    for number, field in enumerate(mapping, 1):
        _row(form, number, field, columns, problems)
    _add(form, destination, columns)
    _suggested(form, destination)
    _key(form, problems)
    said = [p for p in problems if not any(f"{p.field}.".startswith(f"mapping.{field}.") for field in mapping)]
    forms.told([] if not mapping else drafted.said(said, "mapping"))
    if mapping:
        _sample(form)


def _mapping(form: Form) -> dict[str, Any]:
    found = form.data.get("mapping")
    return dict(found) if isinstance(found, dict) else {}


def _columns(form: Form) -> list[str]:
    model = form.data.get("model")
    found = list(form.ws.sync_forms.columns(model))
    if isinstance(model, dict) and isinstance(model.get("events"), dict):
        chosen = model["events"].get("source") or list(form.ws.config.sources)
        found += cached(view.paths, form.ws, tuple([chosen] if isinstance(chosen, str) else chosen))
    return found


def _row(form: Form, number: int, field: str, columns: Sequence[str], problems: Sequence[Any]) -> None:
    mapping = _mapping(form)
    source = mapping[field]
    with st.container(horizontal=True, vertical_alignment="center", gap="small", width=680):
        name = st.text_input(f"Field {number}", value=field, key=form.field_key(f"field_{number}"), width="stretch",
                             label_visibility="collapsed")  # fmt: skip
        st.markdown(":material/arrow_back:", width="content")
        now = view.source_label(source)
        options = list(dict.fromkeys([*columns, now, view.CONSTANT, view.FUNCTION]))
        label = st.selectbox(
            f"From {number}", options, index=options.index(now), key=form.field_key(f"from_{number}"), width="stretch",
            label_visibility="collapsed", accept_new_options=True,
        )  # fmt: skip
        made = view.source_from(str(label), source, columns[0] if columns else "profile_id")
        if view.source_label(made) == view.CONSTANT:
            made = _constant(form, number, made)
        if st.button("", key=form.field_key(f"cut_{number}"), icon=":material/delete:", type="tertiary",
                     help=f"Remove field {number}"):  # fmt: skip
            _take(form, {key: each for key, each in mapping.items() if key != field})
    if view.source_label(made) == view.FUNCTION:
        made = function_fields.draw(form, number, field, made, columns)
    if made != source:
        form.put("mapping", field, value=made)
    _rename(form, field, (name or "").strip())
    forms.told(drafted.said(problems, f"mapping.{field}"))


def _constant(form: Form, number: int, source: Any) -> Any:
    value = source.get("value", "") if isinstance(source, dict) else source
    typed = st.text_input(
        f"Value {number}", value=view.constant_text(value), key=form.field_key(f"value_{number}"), width="stretch",
        label_visibility="collapsed", placeholder="web", help='Digits are a number; in quotes they are a text: "5"',
    )  # fmt: skip
    found = view.constant_from(typed or "")
    return source if found == value and type(found) is type(value) else {"value": found}


def _rename(form: Form, field: str, name: str) -> None:
    if not name or name == field:
        return
    mapping = _mapping(form)
    if name in mapping:
        forms.told([f"There is a field {name} already."])
        return
    data = {**form.data, "mapping": view.renamed(mapping, field, name)}
    if data.get("key") == field:
        data["key"] = name
    form.take(data)


def _take(form: Form, mapping: dict[str, Any]) -> None:
    """Another set of fields; a key that is gone goes too, and the first field is one."""
    data = drafted.with_key(form.data, ("mapping",), mapping or None)
    if data.get("key") not in mapping:
        data.pop("key", None)
        model = data.get("model")
        if mapping and not (isinstance(model, dict) and "events" in model):
            data["key"] = next(iter(mapping))
    form.take(data)
    st.rerun()


def _add(form: Form, destination: str, columns: Sequence[str]) -> None:
    known = form.ws.sync_forms.known_fields(destination)
    with (
        st.form(f"{form.key}_add", border=False, clear_on_submit=True, enter_to_submit=False),
        st.container(horizontal=True, vertical_alignment="bottom", gap="small", width=680),
    ):
        label = "Field at the destination"
        if known:
            name = st.selectbox(
                label, list(known), index=None, key="mapping_field", accept_new_options=True, width="stretch",
                format_func=lambda each: f"{each} · {known[each]}" if each in known else each,
                placeholder="Choose or type",
            )  # fmt: skip
        else:
            name = st.text_input(label, key="mapping_field", width="stretch", placeholder="email")
        column = st.selectbox(
            "Comes from", [*columns, view.CONSTANT, view.FUNCTION], index=None, key="mapping_from",
            accept_new_options=True, width="stretch", placeholder="Column, constant or function",
        )  # fmt: skip
        wanted = st.form_submit_button("Add the field", key="mapping_add", icon=":material/add:")
    if not wanted:
        return
    mapping, name = _mapping(form), (name or "").strip()
    if not name or column is None:
        forms.told(["A field needs a name and something it comes from."])
    elif name in mapping:
        forms.told([f"There is a field {name} already."])
    else:
        _take(form, {**mapping, name: view.source_from(column, None, columns[0] if columns else "profile_id")})


def _suggested(form: Form, destination: str) -> None:
    """What fits, one click away."""
    try:
        found = dict(form.ws.sync_forms.suggested(destination, form.data.get("model"), _mapping(form)))
    except cdp.CDPError:
        return
    if not found:
        return
    known = form.ws.sync_forms.known_fields(destination)
    st.markdown("Suggested" if known else "Columns that are not mapped")
    with st.container(horizontal=True, gap="small"):
        for name, column in list(found.items())[:MOST_SUGGESTED]:
            label = f.escape(name if name == column else f"{name} ← {column}")
            if st.button(label, key=f"suggest_{name}", icon=":material/add:", help=known.get(name, f"Map {column}")):
                _take(form, {**_mapping(form), name: column})
        if st.button(f"Take all {len(found)}", key="suggest_all", type="tertiary"):
            _take(form, {**_mapping(form), **found})
    if len(found) > MOST_SUGGESTED:
        st.caption(f"and {len(found) - MOST_SUGGESTED} more")


def _key(form: Form, problems: Sequence[Any]) -> None:
    fields = list(_mapping(form))
    if not fields:
        return
    model, now = form.data.get("model"), form.data.get("key")
    of_events = isinstance(model, dict) and "events" in model
    chosen = st.selectbox(
        "Key", fields, index=fields.index(now) if now in fields else None, key=form.field_key(f"key_{len(fields)}"),
        width=360, help="The field by which the destination knows a row: unique, never empty, and from a column",
        placeholder="event_id, which is added" if of_events else "Choose",
    )  # fmt: skip
    if chosen is not None and chosen != now:
        form.put("key", value=chosen)
    forms.told(drafted.said(problems, "key"))


def _sample(form: Form) -> None:
    """Three rows as they would be sent, drawn anew with every change."""
    revealed = session.revealed()
    try:
        rows = cached(view.sample, form.ws, form.name, form.draft.text, revealed)
    except cdp.CDPError as error:
        st.caption(f"No rows to show yet: {f.escape(str(error))}.")
        return
    st.markdown("Three rows as they would be sent", help="Personal data are masked unless they are revealed")
    places = {name: st.column_config.TextColumn(f"{name.capitalize()} row") for name in ("first", "second", "third")}
    st.dataframe(
        rows, hide_index=True, placeholder="–", key="mapping_sample", alt="Fields with the values of three rows",
        column_config={"field": st.column_config.TextColumn("Field", pinned=True), **places},
    )  # fmt: skip
