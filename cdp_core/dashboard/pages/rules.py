"""The part of the identity page where people try other rules, save them, and take them back."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard import parts, saving
from cdp_core.dashboard.pages import changes

_SEEN = "rules_seen"
_FIRST = "identity:\n  identifiers:\n    user_id: {limit: 1}\n    email: {limit: 5}\n"


@dataclass(frozen=True)
class Tried:
    """A preview: of which text, over which cdp.yaml, and what it would do or what is wrong with it."""

    text: str
    version: str
    changes: dict[str, Any] | None = None
    wrong: str | None = None


def draw(ws: cdp.Workspace) -> None:
    """The rules as they stand, to be changed, tried and saved."""
    try:
        standing = ws.identity.rules.text
    except cdp.CDPError as error:
        st.error(f.escape(str(error)), icon=":material/error:")
        return
    text = parts.yaml_area("Rules to try", standing or _FIRST, key="rules_text", height=280)
    if st.button("Show what it would do", key="rules_try", type="primary", icon=":material/difference:"):
        with st.spinner("Computing identity, profiles and audiences with these rules; nothing is written."):
            st.session_state[_SEEN] = _tried(ws, text)
    saving.saved("rules", standing, lambda edit: str(edit.file), ws.identity.rules.undo)
    seen: Tried | None = st.session_state.get(_SEEN)
    if seen is None:
        return
    if seen.changes is None:
        st.warning(f.escape(seen.wrong or ""), icon=":material/error:")
        return
    _offer(ws, seen, text, standing)
    changes.draw(seen.changes, key="rules")


@contextmanager
def _as_file(text: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rules.yaml"
        path.write_text(text, encoding="utf-8")
        yield path


def _tried(ws: cdp.Workspace, text: str) -> Tried:
    with _as_file(text) as path:
        try:
            return Tried(text, ws.config.version, ws.identity.preview(path).to_dict())
        except cdp.CDPError as error:
            return Tried(text, ws.config.version, wrong=str(error))


def _offer(ws: cdp.Workspace, seen: Tried, text: str, standing: str) -> None:
    """Saving what has been previewed, and only that."""
    if text.strip() == standing.strip():
        st.caption("These rules stand in cdp.yaml.")
        return
    if text != seen.text:
        st.caption("The text has changed since this preview. Show what it would do before saving it.")
        return
    saving.button("rules", "Save these rules to cdp.yaml", lambda: _save(ws, seen))


def _save(ws: cdp.Workspace, seen: Tried) -> object:
    with _as_file(seen.text) as path:
        return ws.identity.rules.save(path, version=seen.version)
