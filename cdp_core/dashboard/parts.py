"""Pieces that several pages draw the same way."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard import links

if TYPE_CHECKING:
    import polars as pl


def back(label: str, *names: str) -> None:
    """A way out of one thing to the list it came from."""
    st.button(label, key="back", icon=":material/arrow_back:", type="tertiary", on_click=links.close_thing, args=names)


def halves() -> tuple[Any, Any]:
    """Two cards of equal height side by side, one above the other where there is no room."""
    grid = st.grid(2, min_column_width=360, gap="small")
    return grid.container(border=True, height="stretch"), grid.container(border=True, height="stretch")


def main_and_aside() -> tuple[Any, Any]:
    """A wide place and a narrow one, one above the other where there is no room."""
    grid = st.grid(5, min_column_width=172, gap="small")
    return grid.cell(column_span=3), grid.cell(column_span=2)


def empty(title: str, text: str) -> None:
    """Nothing is here, and what to do about it."""
    with st.container(border=True, horizontal_alignment="center"):
        st.markdown(f"**{title}**", text_alignment="center")
        st.caption(text, text_alignment="center")


def clicked(picked: Any) -> int | None:
    """The row of the cell that was clicked in a table, if any."""
    cells = picked.selection.cells
    return int(cells[0][0]) if cells else None


def decide(label: str, key: str, act: Callable[[str], object]) -> None:
    """A button that asks for the reason, and notes the decision."""
    with st.popover(label, key=f"ask_{key}"):
        reason = st.text_input("Reason", key=f"reason_{key}", placeholder="For whoever reads the list next year")
        if st.button("Note it", key=f"note_{key}", type="primary", disabled=not reason.strip()):
            try:
                act(reason)
            except cdp.CDPError as error:
                st.error(f.escape(str(error)), icon=":material/error:")
                return
            st.toast("Noted. It takes effect with the next run.", icon=":material/check:")


def profiles(frame: pl.DataFrame, *, key: str, alt: str, currency: dict[str, str] | None = None) -> int | None:
    """A table of profiles whose rows open; gives the row that was clicked."""
    column = st.column_config
    config: dict[str, Any] = {"profile_id": None}
    for name, kind in frame.schema.items():
        if name in config:
            continue
        heading = f.label(name)
        if kind.is_temporal():
            format = "D MMM YYYY" if str(kind) == "Date" else "D MMM YYYY, HH:mm"
            config[name] = column.DatetimeColumn(heading, format=format, help="UTC")
        elif kind.is_numeric() and name in (currency or {}):
            config[name] = column.NumberColumn(heading, format=f.money_format((currency or {})[name]))
        elif kind.is_numeric():
            config[name] = column.NumberColumn(heading, format="localized")
        else:
            config[name] = heading
    picked = st.dataframe(
        frame,
        hide_index=True,
        placeholder="–",
        key=key,
        on_select="rerun",
        selection_mode="single-cell",
        column_config=config,
        alt=alt,
    )
    return clicked(picked)


def model_in_words(model: str) -> str:
    """
    >>> model_in_words("audience:high_value"), model_in_words("profiles")
    ('Members of High value', 'All profiles')
    >>> model_in_words("events:Paid, Refunded (web)"), model_in_words("events")
    ('Events · Paid, Refunded (web)', 'All events')
    """
    kind, _, name = model.partition(":")
    if kind == "events":
        return f"Events · {name}" if name else "All events"
    if kind == "audience" and name:
        return f"Members of {f.label(name.strip())}"
    return "All profiles" if model == "profiles" else model


def yaml_area(label: str, value: str, *, key: str, height: int) -> str:
    """A text area in which YAML lines up: in letters of one width, long lines not broken."""
    with st.container(key=f"as_yaml_{key}"):
        st.html("<style>[class*='st-key-as_yaml'] textarea {font-family: monospace; white-space: pre}</style>")
        return st.text_area(label, value=value, key=key, height=height) or ""
