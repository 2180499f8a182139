"""Links between pages: every thing has a URL, and a page drawn alone (in a test) shows plain text instead."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

_PAGES = "cdp_pages"


def register(pages: Mapping[str, st.Page]) -> None:
    """Tell this session which pages its navigation has."""
    st.session_state[_PAGES] = dict(pages)


def link(page: str, label: str, *, icon: str | None = None, **query: str) -> None:
    """A link to a page of the dashboard, with the thing it opens as query parameters."""
    target = st.session_state.get(_PAGES, {}).get(page)
    if target is None:
        st.markdown(label)
    else:
        st.page_link(target, label=label, icon=icon, query_params=query or None, help="")


def go(page: str, **query: str) -> None:
    """Switch to a page."""
    target = st.session_state.get(_PAGES, {}).get(page)
    if target is not None:
        st.switch_page(target, query_params=query)


def opened(name: str) -> str | None:
    """The thing that the URL names, if any."""
    value = st.query_params.get(name)
    return str(value) if value else None


def open_thing(name: str, value: str) -> None:
    """Put a thing into the URL, in a callback; the page then draws it."""
    st.query_params[name] = value


def close_thing(*names: str) -> None:
    """Take things out of the URL, in a callback."""
    for name in names:
        if name in st.query_params:
            del st.query_params[name]
