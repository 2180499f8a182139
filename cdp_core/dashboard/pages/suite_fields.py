"""One expectation as fields: its type, arguments of the right kind, what a failure means."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard.session import cached
from cdp_core.dashboard.views import plan_form
from cdp_core.dashboard.views import suite_form as view

Item = dict[str, Any]
_TYPES_OF = {"number": ["number"], "boolean": ["boolean", "string"]}


def columns(ws: cdp.Workspace, name: str) -> dict[str, str]:
    """Columns of the rows that the suite sees, with the sort of each."""
    return cached(_columns, ws, name)


def _columns(ws: cdp.Workspace, name: str) -> dict[str, str]:
    return ws.suites.columns(name)


def edit(ws: cdp.Workspace, name: str, item: Item, *, key: str, place: int) -> Item | None:
    """Draw the fields; give the expectation as they have it, None when it is to go."""
    catalogue = {kind["type"]: kind for kind in ws.suites.catalogue()}
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**Rule {place}**")
            st.space("stretch")
            if st.button("Remove this rule", key=f"suite_cut_{key}", icon=":material/delete:", type="tertiary"):
                return None
        made = _type(item, catalogue, key)
        kind = catalogue.get(str(made.get("type")))
        if kind is not None:
            made = _arguments(made, kind["arguments"], columns(ws, name), f"{key}_{kind['type']}")
        return _meaning(ws, name, made, bool(kind and kind["rows"]), key)


def _type(item: Item, catalogue: Mapping[str, Any], key: str) -> Item:
    now = str(item.get("type") or "")
    options = [*([now] if now and now not in catalogue else []), *catalogue]
    chosen = st.selectbox(
        "What must hold",
        options,
        index=options.index(now) if now in options else None,
        key=f"suite_type_{key}",
        format_func=lambda name: _kind_label(name, catalogue),
        help="Rules about single rows come first; rules about all rows together behind them",
    )
    if chosen is None or chosen == now:
        return item
    return view.retyped(item, chosen, catalogue[chosen]["arguments"])


def _kind_label(name: str, catalogue: Mapping[str, Any]) -> str:
    if name not in catalogue:
        return name
    return f"{catalogue[name]['label']}{'' if catalogue[name]['rows'] else ' · all rows together'}"


def _arguments(item: Item, arguments: Sequence[Any], sorts: Mapping[str, str], key: str) -> Item:
    usual = [argument for argument in arguments if not argument.rare]
    rare = [argument for argument in arguments if argument.rare]
    kwargs = item.get("kwargs")
    kwargs = kwargs if isinstance(kwargs, dict) else {}
    sort = sorts.get(str(kwargs.get("column") or ""), "text")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        for argument in usual:
            item = _argument(item, argument, sorts, sort, key)
    if rare:
        used = any(argument.name in kwargs for argument in rare)
        with st.expander("More", expanded=used), st.container(horizontal=True, vertical_alignment="bottom"):
            for argument in rare:
                item = _argument(item, argument, sorts, sort, key)
    return item


def _argument(item: Item, argument: Any, sorts: Mapping[str, str], sort: str, key: str) -> Item:
    kwargs = item.get("kwargs")
    before = kwargs.get(argument.name) if isinstance(kwargs, dict) else None
    try:
        value = _field(argument, before, sorts, sort, f"suite_{argument.name}_{key}")
    except ValueError as error:
        st.warning(f.escape(f"{argument.label}: {error}"), icon=":material/error:")
        return item
    return view.with_argument(item, argument.name, value)


def _field(argument: Any, before: Any, sorts: Mapping[str, str], sort: str, key: str) -> Any:
    """The field that fits the kind of argument; a value of another kind is shown as JSON, so that it is not lost."""
    kind, label = argument.kind, argument.label
    if not _fits(kind, before):
        text = st.text_input(f"{label} (JSON)", value=json.dumps(before, ensure_ascii=False), key=f"{key}_json")
        return view.from_json(text, before)
    if kind == "column":
        options = list(dict.fromkeys([*sorts, *([before] if before else [])]))
        index = options.index(before) if before in options else None
        return st.selectbox(
            label, options, index=index, key=key, accept_new_options=True, placeholder="Choose", width=200
        )
    if kind in ("columns", "values", "texts"):
        return _several(argument, before, sorts, sort, key)
    if kind == "flag":
        ticked = st.checkbox(label, value=view.ticked(before, argument.name), key=key)
        return view.flag(ticked, before, argument.name, argument.required)
    if kind == "choice":
        index = argument.choices.index(before) if before in argument.choices else None
        return st.selectbox(label, argument.choices, index=index, key=key, placeholder="As usual", width=220)
    return _one(argument, before, sort, key)


def _fits(kind: str, value: Any) -> bool:
    if value is None:
        return True
    if kind in ("columns", "values", "texts"):
        return isinstance(value, list) and not any(isinstance(each, list | dict) for each in value)
    if kind == "flag":
        return isinstance(value, bool)
    if kind in (*view.NUMBERS, "share"):
        return view.is_number(value)
    return isinstance(value, str) or (kind == "bound" and view.is_number(value)) or kind == "json"


def _several(argument: Any, before: Any, sorts: Mapping[str, str], sort: str, key: str) -> Any:
    start = [plan_form.shown(value) for value in before or []]
    offered = list(sorts) if argument.kind == "columns" else []
    options = list(dict.fromkeys([*offered, *start]))
    chosen = st.multiselect(
        argument.label,
        options,
        default=start,
        key=key,
        accept_new_options=True,
        placeholder="Choose or type",
        width=420,
    )
    if not chosen and before is None:
        return None
    types = _TYPES_OF.get(sort, ["string"]) if argument.kind == "values" else ["string"]
    return plan_form.choices(chosen, before, types)


def _one(argument: Any, before: Any, sort: str, key: str) -> Any:
    kind, label = argument.kind, argument.label
    if kind == "share":
        start = None if before is None else float(before) * 100
        found = st.number_input(
            label, value=start, min_value=0.0, max_value=100.0, step=1.0, format="%g", key=key, placeholder="100 %",
            width=170, help="Per cent of the rows; it fails only when fewer fit",
        )  # fmt: skip
        return before if found == start else None if found is None else view.number(round(found / 100, 6), before)
    if kind in view.NUMBERS:
        start = None if before is None else float(before)
        found = st.number_input(label, value=start, step=1.0, format="%g", key=key, width=140, placeholder="Number")
        return view.number(found, before, whole=kind == "integer")
    if kind == "bound":
        text = st.text_input(label, value="" if before is None else plan_form.shown(before), key=key, width=170,
                             placeholder={"time": "1998-07-01", "number": "Number"}.get(sort, "Anything"))  # fmt: skip
        return view.bound(text, before, sort)
    if kind in ("sql", "json"):
        written = "" if before is None else before if kind == "sql" else json.dumps(before, ensure_ascii=False)
        example = "SELECT message_id FROM {batch} WHERE …" if kind == "sql" else None
        text = st.text_area(label, value=written, key=key, height=100, placeholder=example)
        return _text(text, before) if kind == "sql" else view.from_json(text, before)
    return _text(st.text_input(label, value=before or "", key=key, width=280), before)


def _text(text: str, before: Any) -> str | None:
    """An empty field is no value, unless an empty text is what was written."""
    return text or ("" if before == "" else None)


def _meaning(ws: cdp.Workspace, name: str, item: Item, rows: bool, key: str) -> Item:
    """Severity, description and short name."""
    meta = item.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    now = meta.get("severity")
    options = view.possible_severities(name, rows, now)
    kwargs = item.get("kwargs")
    words = ws.suites.words(str(item.get("type") or ""), kwargs if isinstance(kwargs, dict) else {})
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        severity = st.segmented_control(
            "When it fails", options, default=now if now in options else None, key=f"suite_severity_{key}",
            format_func=view.SEVERITIES.__getitem__,
        )  # fmt: skip
        description = st.text_input(
            "Description", value=str(meta.get("description") or ""), key=f"suite_description_{key}", placeholder=words
        )
        rule = st.text_input(
            "Short name", value=str(meta.get("rule") or ""), key=f"suite_rule_{key}", width=200,
            placeholder="From its column", help="Unique in the suite; results are kept by it",
        )  # fmt: skip
    item = view.with_meaning(item, "severity", severity or "")
    item = view.with_meaning(item, "rule", rule.strip())
    return view.with_meaning(item, "description", description.strip())
