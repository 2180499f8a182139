"""Fields that follow from a model: every kind of option as the widget that fits, what is wrong beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import streamlit as st

from cdp_core.dashboard import formatting as f
from cdp_core.dashboard.pages.forms import Form, told
from cdp_core.dashboard.views import forms as view

_HELP_ON_VARIABLES = "The name of an environment variable. cdp.yaml gets ${NAME}; the secret itself is written nowhere"


def draw(form: Form, fields: Sequence[Any], problems: Sequence[Any], *, at: str | None = None) -> None:
    """Draw the fields over the draft, or over what stands in it at the key `at`."""
    for field in fields:
        holder = form.data if at is None else form.data.get(at)
        before = holder.get(field.name) if isinstance(holder, dict) else None
        place = field.name if at is None else f"{at}.{field.name}"
        try:
            value = _value(form, field, before, form.field_key(place))
        except ValueError as error:
            told([f"{f.label(field.name)}: {error}"])
            continue
        if value != before or type(value) is not type(before):
            form.put(*([] if at is None else [at]), field.name, value=value)
        told(view.said(problems, place))


def _value(form: Form, field: Any, before: Any, key: str) -> Any:
    label = f"{f.label(field.name)}{' *' if field.required else ''}"
    if field.kind == "secret":
        return _secret(form, field, before, key, label)
    if field.kind in ("table", "secrets"):
        return _table(form, field, before, key, label)
    if field.kind == "json" or not _fits(field, before):
        return _json(field, before, key, label)
    return _plain(field, before, key, label)


def _fits(field: Any, value: Any) -> bool:
    kinds: dict[str, Any] = {"text": str, "integer": int, "number": (int, float), "flag": bool, "texts": list}
    if value is None:
        return True
    if field.kind == "choice":
        return value in field.choices
    if field.kind == "texts" and not (isinstance(value, list) and all(isinstance(each, str) for each in value)):
        return False
    return isinstance(value, kinds[field.kind]) and (field.kind == "flag" or not isinstance(value, bool))


def _plain(field: Any, before: Any, key: str, label: str) -> Any:
    usual = "" if field.default in (None, "") else f"{field.default}"
    help = field.help or None
    if field.kind == "text":
        typed = st.text_input(label, value=before or "", key=key, help=help, placeholder=usual, width=520)
        return before if (typed or "") == (before or "") else (typed or "").strip() or None
    if field.kind in ("integer", "number"):
        return _number(field, before, key, label, usual)
    if field.kind == "flag":
        standing = bool(field.default) if before is None else before
        ticked = st.checkbox(label, value=standing, key=key, help=help)
        return before if ticked == standing else None if ticked == bool(field.default) else ticked
    if field.kind == "choice":
        index = field.choices.index(before) if before in field.choices else None
        return st.selectbox(
            label, field.choices, index=index, key=key, help=help, placeholder=usual or "Choose", width=360
        )
    chosen = st.multiselect(
        label, before or [], default=before or [], key=key, help=help, accept_new_options=True,
        placeholder="Type, then Enter", width=520,
    )  # fmt: skip
    return list(chosen) or None


def _number(field: Any, before: Any, key: str, label: str, usual: str) -> Any:
    """Bounds are shown in the help and checked with the rest, so that what was typed is not changed silently."""
    whole = field.kind == "integer"
    lowest = "above" if field.open_minimum else "at least"
    said = [field.help] if field.help else []
    said += [f"{lowest} {field.minimum:g}"] if field.minimum is not None else []
    said += [f"at most {field.maximum:g}"] if field.maximum is not None else []
    found = st.number_input(
        label, value=None if before is None else float(before), step=1.0, format="%g", key=key, width=260,
        help=", ".join(said) or None, placeholder=usual or "Number",
    )  # fmt: skip
    if found is None or found == before:
        return None if found is None else before
    return int(found) if whole or float(found).is_integer() else found


def _secret(form: Form, field: Any, before: Any, key: str, label: str) -> Any:
    name = view.variable_of(before)
    refused = st.session_state.pop(f"{form.key}_{field.name}_refused", None)
    hint = (
        "Name of a variable"
        if name is not None
        else "Kept as it stands in cdp.yaml; the name of a variable replaces it"
    )
    typed = st.text_input(
        f"{label}: environment variable", value=name or "", key=key, placeholder=hint, width=520,
        help=f"{field.help}. {_HELP_ON_VARIABLES}",
    )  # fmt: skip
    try:
        value = view.secret_from(typed or "", before)
    except ValueError as error:
        # Drawn anew, the field is empty: what was typed may be the secret.
        st.session_state[f"{form.key}_{field.name}_refused"] = f"{f.label(field.name)}: {error}. It was not kept."
        form.draft.turn += 1
        st.rerun()
    if refused:
        told([refused])
    variable = view.variable_of(value)
    if variable and form.forms.is_set(variable):
        st.caption(f":material/check: {f.escape(variable)} is set.")
    elif variable:
        st.caption(
            f":material/error: {f.escape(variable)} is not set where the dashboard runs. Set it, then start it again."
        )
    return value


def _table(form: Form, field: Any, before: Any, key: str, label: str) -> Any:
    """Names and values in a table; of secrets the values are names of variables."""
    secret = field.kind == "secrets"
    standing = before if isinstance(before, dict) else {}
    base = st.session_state.setdefault(f"{key}_base", view.table_of(standing, secret=secret))
    st.markdown(f.escape(label), help=f"{field.help}. {_HELP_ON_VARIABLES}" if secret else field.help or None)
    rows = st.data_editor(
        base, key=key, num_rows="dynamic", hide_index=True, width=520, placeholder="", alt=f"{label}, by name",
        column_config={"name": "Name", "value": "Environment variable" if secret else "Value"},
    )  # fmt: skip
    try:
        return view.table_from(rows.to_dicts(), secret=secret, before=standing)
    except ValueError as error:
        told([f"{f.label(field.name)}: {error}"])
        return before


def _json(field: Any, before: Any, key: str, label: str) -> Any:
    written = "" if before is None else json.dumps(before, ensure_ascii=False)
    text = st.text_area(f"{label} (JSON)", value=written, key=key, help=field.help or None, height=80, width=520)
    return before if (text or "") == written else view.json_from(text or "")
