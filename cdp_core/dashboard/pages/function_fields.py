"""A function of a mapping as fields: its name, what it does, its arguments."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard.pages import forms
from cdp_core.dashboard.pages.forms import Form
from cdp_core.dashboard.views import mapping as view


def draw(form: Form, number: int, field: str, source: Any, columns: Sequence[str]) -> Any:
    """Draw the function that makes a field; give the source as the fields have it."""
    functions = form.ws.sync_forms.functions()
    now = view.function_named(source, functions)
    names = [each.name for each in functions]
    with st.container(border=True):
        chosen = st.selectbox(
            f"Function {number}", names, index=names.index(now.name) if now else None, width=420,
            key=form.field_key(f"function_{number}"), format_func=lambda name: _label(name, functions),
        )  # fmt: skip
        if chosen is None:
            return source
        described = next(each for each in functions if each.name == chosen)
        if now is None or chosen != now.name:
            source = view.refunctioned(source, now, described)
        st.caption(f"{described.help} Gives {described.gives}. Example: `{json.dumps(described.example)}`")
        for argument in described.arguments:
            key = form.field_key(f"argument_{number}_{chosen}_{argument.name}")
            try:
                value = _argument(form, argument, source.get(argument.name), columns, key)
            except (ValueError, cdp.CDPError) as error:
                forms.told([f"{field}, {argument.name}: {error}"])
                continue
            if value is None:
                source = {name: each for name, each in source.items() if name != argument.name}
            elif value != source.get(argument.name):
                source = {**source, argument.name: value}
    return source


def _label(name: str, functions: Sequence[Any]) -> str:
    described = next(each for each in functions if each.name == name)
    return f"{name} ({described.group}) · {described.help.partition('. ')[0].rstrip('.')}"


def _argument(form: Form, argument: Any, before: Any, columns: Sequence[str], key: str) -> Any:
    label, help = f.label(argument.name), argument.help or None
    if argument.kind == "source":
        return _source(form, label, before, columns, key, help)
    if argument.kind in ("branches", "table") or (argument.kind == "sources" and not _each_once(before)):
        written = form.forms.to_text({argument.name: before})
        text = st.text_area(f"{label} (YAML)", value=written, key=f"{key}_yaml", help=help, height=120, width=520)
        return before if text == written else form.forms.data(text or "").get(argument.name)
    if argument.kind == "sources":
        standing = [_written(each) for each in before or []]
        chosen = st.multiselect(
            label, list(dict.fromkeys([*columns, *standing])), default=standing, key=key, accept_new_options=True,
            help=f"{argument.help}: columns, or {{value: …}}, or a function such as {{lower: email}}", width=520,
        )  # fmt: skip
        return before if list(chosen) == standing else [_read(form, each) for each in chosen]
    if argument.kind == "choice":
        index = argument.choices.index(before) if before in argument.choices else None
        usual = "As it is" if argument.default is None else str(argument.default)
        picked = st.selectbox(label, argument.choices, index=index, key=key, help=help, placeholder=usual, width=260)
        return before if picked is None and index is None else picked
    if argument.kind == "integer" and (before is None or (isinstance(before, int) and not isinstance(before, bool))):
        return st.number_input(
            label, value=before, step=1, key=key, help=help, width=200,
            placeholder="" if argument.default is None else str(argument.default),
        )  # fmt: skip
    shown = "" if before is None else str(before)
    text = st.text_input(label, value=shown, key=key, help=help, width=420)
    return before if text == shown else text if text or argument.required else None


def _source(form: Form, label: str, before: Any, columns: Sequence[str], key: str, help: str | None) -> Any:
    """A column; a constant or a function inside is written as YAML."""
    standing = None if before is None else _written(before)
    options = list(dict.fromkeys([*columns, *([standing] if standing else [])]))
    chosen = st.selectbox(
        label, options, index=options.index(standing) if standing else None, key=key, accept_new_options=True,
        width=360, help=f"{help or 'A column'}. Or type {{value: web}}, or a function such as {{lower: email}}",
        placeholder="A column, or {value: …}",
    )  # fmt: skip
    return before if chosen == standing else None if chosen is None else _read(form, chosen)


def _each_once(before: Any) -> bool:
    """Whether a list can be shown as choices, of which none is there twice."""
    if before is None:
        return True
    return isinstance(before, list) and len({_written(each) for each in before}) == len(before)


def _written(source: Any) -> str:
    return source if isinstance(source, str) else json.dumps(source, ensure_ascii=False)


def _read(form: Form, text: str) -> Any:
    return form.forms.data(f"it: {text}")["it"] if text.startswith("{") else text
