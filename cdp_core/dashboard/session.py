"""The open workspace of this server, a reader of it per script run, and views cached by snapshot."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import login

T = TypeVar("T")
_ROOT = "cdp_root"
REVEAL = "reveal"
REVEALED = "revealed"


@dataclass
class _Opened:
    """The workspace of the whole server. Its engine only hands out readers; the lock guards that."""

    workspace: cdp.Workspace
    lock: threading.Lock = field(default_factory=threading.Lock)
    stamp: int = 0
    asked: tuple[int, int] = (0, 0)


@st.cache_resource(show_spinner=False)
def _opened(root: str) -> _Opened:
    opened = cdp.open(root)
    return _Opened(opened, stamp=_stamp(opened))


def choose(root: Path) -> None:
    """Remember the folder that this session looks at."""
    st.session_state[_ROOT] = str(root.resolve())


def root() -> Path:
    return Path(st.session_state[_ROOT])


def workspace() -> cdp.Workspace:
    """A workspace for this thread and for whoever looks: call it once per script run or fragment run. Personal data in
    what it answers are masked unless they were revealed.

    Raises CDPError when the folder cannot be opened, Forbidden when somebody has no role (any more). A cdp.yaml that
    has become wrong keeps the last good one, and `config_error()` says what is wrong.
    """
    opened = _opened(str(root()))
    with opened.lock:
        _reload(opened)
        _forget(opened)
        who = login.actor(opened.workspace)
        return opened.workspace.reader(who, masked=not _asked() or who.masked)


def _forget(opened: _Opened) -> None:
    """Answers that are kept may be about somebody who has been erased since."""
    asked = opened.workspace.privacy.requests.stamp
    if asked != opened.asked:
        opened.asked = asked
        _computed.clear()


def _reload(opened: _Opened) -> str | None:
    """Read the configuration again when a file of it was written; gives what is wrong with it."""
    stamp = _stamp(opened.workspace)
    if stamp == opened.stamp:
        return None
    try:
        opened.workspace.reload()
    except cdp.CDPError as error:
        return str(error)
    opened.stamp = _stamp(opened.workspace)
    return None


def config_error() -> str | None:
    """What is wrong with cdp.yaml as it stands now, in one line."""
    opened = _opened(str(root()))
    with opened.lock:
        return _reload(opened)


def _stamp(ws: cdp.Workspace) -> int:
    """Changes when a file of the configuration was written."""
    found = []
    for name in ("cdp.yaml", "destinations.py", *ws.config.files):
        try:
            stat = (ws.root / name).stat()
        except OSError:
            continue
        found.append((name, stat.st_mtime_ns, stat.st_size))
    return hash(tuple(found))


def cached(view: Callable[..., T], ws: cdp.Workspace, *args: Any) -> T:
    """The answer of a view function, computed once per snapshot, configuration, day, role, masking and arguments."""
    name = f"{view.__module__}.{view.__qualname__}"
    key = (name, str(ws.root), ws.snapshot(), ws.config.version, ws.now.date(), ws.actor.role, ws.masked)
    answer: T = _computed(key, args, _view=view, _ws=ws)
    return answer


@st.cache_data(max_entries=400, show_spinner=False)
def _computed(key: tuple[Any, ...], args: tuple[Any, ...], _view: Callable[..., Any], _ws: cdp.Workspace) -> Any:
    return _view(_ws, *args)


def by_identifier(ws: cdp.Workspace) -> cdp.Workspace:
    """The same workspace for views in which identifiers are chosen and asked about, and which mask what they show by
    themselves: a masked identifier leads nowhere. Roles that may not see them get theirs.
    """
    return ws.reader(masked=False) if ws.actor.may("reveal") else ws


def admitted() -> bool:
    """Whether whoever looks may go on. Of a folder that cannot be opened the page speaks, and shows nothing."""
    try:
        opened = _opened(str(root()))
    except cdp.CDPError:
        return True
    with opened.lock:
        _reload(opened)
        return login.admit(opened.workspace)


def actor() -> cdp.Actor:
    """Whoever looks. Raises Forbidden when they have no role."""
    opened = _opened(str(root()))
    with opened.lock:
        _reload(opened)
        return login.actor(opened.workspace)


def revealed() -> bool:
    """Whether this session sees personal data: its role may, and it has said why."""
    return _asked() and actor().may("reveal")


def reveal(reason: str) -> None:
    """Show personal data from now on; that they were asked for, by whom and why is recorded first. Raises CDPError."""
    workspace().revealed(reason).close()
    st.session_state[REVEALED] = True


def hide() -> None:
    st.session_state[REVEALED] = False


def _asked() -> bool:
    return bool(st.session_state.get(REVEALED, False))
