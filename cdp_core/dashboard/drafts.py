"""A text that is being edited on a page, by a form and as text: one draft with two faces, so nothing gets lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import streamlit as st


@dataclass
class Draft:
    """`text` is what is being made of `standing`, the file as it was looked at. `turn` counts when the form must be
    drawn anew; `shown` is the part of it that is open, `names` and `problems` what its table has to say.
    """

    standing: str
    text: str
    turn: int = 0
    shown: Any = None
    base: Any = None
    names: list[str | None] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def is_changed(self) -> bool:
        return self.text != self.standing

    def take(self, text: str) -> None:
        """Another text, not made by the form that is open: draw it anew."""
        self.text = text
        self.turn += 1
        self.shown = None
        self.problems = []


def draft_of(key: str, standing: str) -> Draft:
    """The draft of this session. While nothing is changed in it, it follows the file."""
    draft: Draft | None = st.session_state.get(key)
    if draft is None:
        draft = st.session_state[key] = Draft(standing, standing)
    if draft.standing != standing and (not draft.is_changed or draft.text == standing):
        draft.standing = standing
        if draft.text != standing:
            draft.take(standing)
    return draft


def stale(draft: Draft, standing: str, *, key: str) -> None:
    """Say that the file has changed under edits that are not saved, and offer what stands there now."""
    if draft.standing == standing:
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(
            ":material/sync_problem: The file has changed since you began. Your edits are kept here, and are not saved "
            "over it.",
            width="stretch",
        )
        st.button("Take the file", key=key, icon=":material/refresh:", on_click=_again, args=(draft, standing))


def drop(draft: Draft, standing: str, *, key: str) -> None:
    """A way back to the file."""
    if draft.is_changed and draft.standing == standing:
        st.button("Drop my edits", key=key, type="tertiary", on_click=_again, args=(draft, standing))


def _again(draft: Draft, standing: str) -> None:
    draft.standing = standing
    draft.take(standing)


def text_view(label: str, draft: Draft, *, key: str, height: int) -> None:
    """The draft as text."""
    st.session_state[key] = draft.text

    def typed() -> None:
        draft.take(st.session_state[key])

    with st.container(key=f"as_yaml_{key}"):
        st.html("<style>[class*='st-key-as_yaml'] textarea {font-family: monospace; white-space: pre}</style>")
        st.text_area(label, key=key, height=height, on_change=typed)
