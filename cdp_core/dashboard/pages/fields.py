"""One line of the audience builder: pickers fed by what really arrives."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard.session import cached
from cdp_core.dashboard.views import audiences as view
from cdp_core.dashboard.views import tree

_ICONS = {"trait": "badge", "event": "bolt", "audience": "groups", "consent": "verified_user"}
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
_ANY = "at any time"


def line(ws: cdp.Workspace, node: tree.Line, offered: view.Choices, draft: Any) -> None:
    """Draw one condition and write what is chosen into the node."""
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        _kind(node, offered)
        if node.kind == "trait":
            _trait(ws, node, offered)
        elif node.kind == "event":
            _event(node, offered)
        elif node.kind == "audience":
            _audience(node, offered, draft)
        else:
            _consent(node, offered)
        _remove(draft.root, node.id, "Remove this condition")
    if node.kind == "event" and node.name:
        _tests(ws, node, draft)


def _pick(label: str, options: Sequence[Any], value: Any, key: str, *, width: Any = 150, **more: Any) -> Any:
    """A select box without a visible label that starts at `value`."""
    options = list(options) if value in (None, "") or value in options else [value, *options]
    index = options.index(value) if value in options else None
    return st.selectbox(label, options, index=index, key=key, label_visibility="collapsed", width=width, **more)


def _remove(root: tree.Group, id: str, help: str) -> None:
    st.button(
        "", key=f"drop_{id}", icon=":material/close:", type="tertiary", help=help, on_click=tree.remove, args=(root, id)
    )


def _kind(node: tree.Line, offered: view.Choices) -> None:
    kinds = [k for k in tree.KINDS if k != "consent" or offered.consents]
    kind = _pick(
        "Kind of condition", kinds, node.kind, f"kind_{node.id}", width=104, format_func=tree.KINDS.__getitem__
    )
    if kind != node.kind:
        node.kind, node.name, node.value, node.op, node.negated = kind, "", None, "equals", False


def _trait(ws: cdp.Workspace, node: tree.Line, offered: view.Choices) -> None:
    name = _pick(
        "Trait",
        list(offered.traits),
        node.name,
        f"trait_{node.id}",
        width="stretch",
        format_func=f.label,
        placeholder="Choose a trait",
    )
    if (name or "") != node.name:
        node.name, node.value, node.op = name or "", None, tree.FITTING[offered.traits.get(name or "", "string")][0]
    if not node.name:
        return
    kind = offered.traits.get(node.name, "string")
    suggestions = cached(view.values, ws, node.name) if kind == "string" else []
    node.op, node.value = operator(kind, node.op, node.value, f"{node.id}_{node.name}", suggestions)
    if node.negated:
        st.badge("excluded", color="orange")


def operator(kind: str, op: str, value: Any, key: str, suggestions: Sequence[Any]) -> tuple[str, Any]:
    """The operator and its operand, as fits the kind of value."""
    ops = list(tree.FITTING[kind])
    chosen = _pick(
        "Operator",
        ops,
        op if op in ops or op in tree.OPERATORS else ops[0],
        f"op_{key}",
        width=128,
        format_func=tree.OPERATORS.__getitem__,
    )
    chosen = str(chosen or ops[0])
    if chosen in ("exists", "missing"):
        return chosen, None
    return chosen, _operand(kind, chosen, value, f"value_{key}_{_shape(chosen)}", suggestions)


def _shape(op: str) -> str:
    """Operators of one shape share their operand, so that it survives a change of the operator."""
    if op in ("one_of", "not_one_of"):
        return "many"
    return "span" if "within" in op else "one"


def _operand(kind: str, op: str, value: Any, key: str, suggestions: Sequence[Any]) -> Any:
    shape = _shape(op)
    if shape == "many":
        return _many(kind, value, key, suggestions)
    if shape == "span":
        return span("In the last", value, key)
    if isinstance(value, list):
        value = value[0] if value else None
    if kind == "boolean":
        return _pick(
            "Value",
            [True, False],
            value if isinstance(value, bool) else True,
            key,
            width=90,
            format_func={True: "yes", False: "no"}.__getitem__,
        )
    if kind in ("integer", "number"):
        return _number(kind, value, key)
    if kind in ("date", "datetime"):
        return st.date_input(
            "Date",
            value=tree.day(value) or "today",
            key=key,
            label_visibility="collapsed",
            width=128,
            min_value=date(1900, 1, 1),
            max_value=date(2100, 12, 31),
        )
    if suggestions and op in ("equals", "not_equals"):
        return _pick("Value", suggestions, value, key, width=150, accept_new_options=True, placeholder="Choose or type")
    return (
        st.text_input(
            "Value", value=str(value or ""), key=key, label_visibility="collapsed", width=150, placeholder="Text"
        )
        or None
    )


def _number(kind: str, value: Any, key: str) -> Any:
    start = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if kind == "integer":
        return st.number_input(
            "Value",
            value=None if start is None else int(start),
            step=1,
            key=key,
            label_visibility="collapsed",
            width=108,
            placeholder="Number",
        )
    found = st.number_input(
        "Value",
        value=None if start is None else float(start),
        step=1.0,
        format="%g",
        key=key,
        label_visibility="collapsed",
        width=108,
        placeholder="Number",
    )
    return int(found) if found is not None and float(found).is_integer() else found


def _many(kind: str, value: Any, key: str, suggestions: Sequence[Any]) -> list[Any]:
    start = [str(v) for v in (value if isinstance(value, list) else [value] if value not in (None, "") else [])]
    options = list(dict.fromkeys([*start, *map(str, suggestions)]))
    chosen = st.multiselect(
        "Values",
        options,
        default=start,
        key=key,
        accept_new_options=True,
        label_visibility="collapsed",
        width=260,
        placeholder="Choose or type",
    )
    if kind not in ("integer", "number"):
        return list(chosen)
    numbers = [_as_number(text) for text in chosen]
    return [n for n in numbers if n is not None]


def _as_number(text: str) -> int | float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return int(found) if found.is_integer() else found


def span(label: str, value: Any, key: str) -> str:
    """A length of time such as 30d."""
    text = value if isinstance(value, str) and value[:-1].isdigit() and value[-1:] in _UNITS else "30d"
    count = st.number_input(
        label, value=int(text[:-1]), min_value=1, step=1, key=f"{key}_n", label_visibility="collapsed", width=105
    )
    unit = _pick("Unit", list(_UNITS), text[-1], f"{key}_u", width=92, format_func=_UNITS.__getitem__)
    return f"{int(count)}{unit}"


def _event(node: tree.Line, offered: view.Choices) -> None:
    did = _pick(
        "Did or did not",
        [False, True],
        node.negated,
        f"did_{node.id}",
        width=92,
        format_func={False: "did", True: "did not"}.__getitem__,
    )
    node.negated = bool(did)
    name = _pick(
        "Event", list(offered.events), node.name, f"event_{node.id}", width="stretch", placeholder="Choose an event"
    )
    if (name or "") != node.name:
        node.name, node.tests = name or "", []
    if not node.name:
        return
    node.count_op = str(
        _pick(
            "How often",
            list(tree.COUNTS),
            node.count_op,
            f"often_{node.id}",
            width=106,
            format_func=tree.COUNTS.__getitem__,
        )
    )
    node.count = int(
        st.number_input(
            "Times",
            value=node.count,
            min_value=0,
            step=1,
            key=f"count_{node.id}",
            label_visibility="collapsed",
            width=100,
        )
    )
    st.markdown("times", width="content")
    limited = _pick(
        "When",
        [False, True],
        node.window is not None,
        f"limited_{node.id}",
        width=118,
        format_func={False: _ANY, True: "in the last"}.__getitem__,
    )
    node.window = span("In the last", node.window, f"window_{node.id}") if limited else None


def _tests(ws: cdp.Workspace, node: tree.Line, draft: Any) -> None:
    seen = cached(view.properties, ws, node.name)
    for test in node.tests:
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            st.markdown(":gray[where]", width=52)
            name = _pick(
                "Property", list(seen), test.name, f"property_{test.id}", width=160, placeholder="Choose a property"
            )
            if (name or "") != test.name:
                test.name, test.value = name or "", None
                test.op = tree.FITTING[seen.get(name or "", ("string", []))[0]][0]
            if test.name:
                kind, values = seen.get(test.name, ("string", []))
                test.op, test.value = operator(kind, test.op, test.value, f"{test.id}_{test.name}", values)
            _remove(draft.root, test.id, "Remove this filter")
    st.button(
        "Filter by property",
        key=f"filter_{node.id}",
        icon=":material/filter_alt:",
        type="tertiary",
        on_click=node.tests.append,
        args=(tree.Test(),),
    )


def _audience(node: tree.Line, offered: view.Choices, draft: Any) -> None:
    node.negated = bool(
        _pick(
            "In or not in",
            [False, True],
            node.negated,
            f"in_{node.id}",
            width=92,
            format_func={False: "is in", True: "is not in"}.__getitem__,
        )
    )
    others = [name for name in offered.audiences if name != draft.original]
    node.name = (
        _pick(
            "Audience",
            others,
            node.name,
            f"audience_{node.id}",
            width=240,
            format_func=f.label,
            placeholder="Choose an audience",
        )
        or ""
    )


def _consent(node: tree.Line, offered: view.Choices) -> None:
    node.name = (
        _pick(
            "Category",
            offered.consents,
            node.name,
            f"consent_{node.id}",
            width="stretch",
            format_func=f.label,
            placeholder="Choose a category",
        )
        or ""
    )
    node.value = _pick("State", tree.STATES, node.value or "granted", f"state_{node.id}", width=120)
