"""What an action of the workspace asks of whoever does it: checked at each call, and written into the audit log.

What an action does inside is part of it: only the outermost call is checked, recorded and masked.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from cdp_core.errors import CDPError, Forbidden
from cdp_core.privacy.masking import mask_text
from cdp_core.privacy.roles import Permit, who_may
from cdp_core.runs import auditing

if TYPE_CHECKING:
    from cdp_core.workspace.facade import Workspace

__all__ = ["Permit", "demand", "needs"]

Method = TypeVar("Method", bound=Callable[..., Any])

_UNSAID = ("read",)
"""Permits whose use is not written down."""
_ABOUT = ("identifier", "left", "right", "profile")
"""Arguments that say who it is about."""
_TOLD = frozenset({
    "name", "source", "event", "plan_id", "run_id", "review_id", "select", "limit", "dry_run", "full_refresh", "sync",
    "confirm", "allow_jump", "allow_anomalies", "key_id", "browser", "revoke_others", "host", "port", "systemd", "type",
    "format", "write", "since", "until", "events", "rule", "reason", "history",
})  # fmt: skip
"""Arguments that may stand in the log: names of definitions, switches, counts, and why."""
_LONGEST = 200

Mask = Callable[["Workspace", Any, Mapping[str, Any]], Any]
"""Masks an answer; the arguments of the call are there as well."""


def masked(workspace: Workspace, answer: Any, bound: Mapping[str, Any]) -> Any:
    return workspace.masker.value(answer)


_inside: ContextVar[bool] = ContextVar("cdp_inside_an_action", default=False)


def needs(
    permit: Permit, *, action: str | None = None, plain: bool = False, quiet: bool = False, mask: Mask = masked
) -> Any:
    """Mark a public method with the permit that it asks for; it is enforced at every call.

    `action` is what the audit log calls it (default: room.method). `plain`: its answer is about definitions and counts,
    never about people, so that nothing in it is masked; else `mask` masks it where the workspace is masked. `quiet`: it
    is not recorded, unless it is refused.

    >>> class Room:
    ...     @needs("privacy")
    ...     def erase(self): ...
    >>> Room.erase.__permit__
    'privacy'
    """

    def mark(method: Method) -> Method:
        signature = inspect.signature(method)

        @functools.wraps(method)
        def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
            if _inside.get():
                return method(self, *args, **kwargs)
            workspace = _workspace_of(self)
            said = action or f"{_room(self)}.{method.__name__}"
            note = _Note(workspace, said, _bound(signature, self, args, kwargs), quiet or permit in _UNSAID)
            _check(workspace, permit, note)
            with note.kept(), _within():
                answer = method(self, *args, **kwargs)
                note.answered(answer)
                return answer if plain or not workspace.masked else mask(workspace, answer, note.bound)

        guarded.__permit__ = permit  # type: ignore[attr-defined]
        return guarded  # type: ignore[return-value]

    return mark


def demand(workspace: Workspace, permit: Permit, action: str) -> None:
    """Ask for a permit besides the one that the method is marked with. Raises Forbidden, which is recorded."""
    _check(workspace, permit, _Note(workspace, action, {}, quiet=True))


def _check(workspace: Workspace, permit: Permit, note: _Note) -> None:
    actor = workspace.actor
    if actor.may(permit):
        return
    note.write("refused", {"permit": permit})
    roles = who_may(permit)
    told = f"{', '.join(roles[:-1])} and {roles[-1]} may" if roles[1:] else f"only {roles[0]} may"
    hint = f"{told}; ask whoever looks after access in cdp.yaml"
    raise Forbidden(f"your role {actor.role} does not permit {note.action} (it needs {permit!r})", hint=hint)


class _Note:
    """What the audit log will say of one call."""

    def __init__(self, workspace: Workspace, action: str, bound: Mapping[str, Any], quiet: bool) -> None:
        self.workspace = workspace
        self.action = action
        self.quiet = quiet
        self.bound = bound
        self.outcome = "done"

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Written down when it is over, however it ends. The key is read first: without it nothing can be recorded,
        and nothing is done."""
        if self.quiet:
            yield
            return
        auditing.known_key(self.workspace.root)
        try:
            yield
        except BaseException as error:
            self.write("failed", {"error": type(error).__name__} if isinstance(error, CDPError) else {"error": "bug"})
            raise
        self.write(self.outcome)

    def answered(self, answer: Any) -> None:
        """A run that failed is an answer, and no exception."""
        status = getattr(answer, "status", None)
        if isinstance(status, str) and status in ("failed", "stopped"):
            self.outcome = "failed"

    def write(self, outcome: str, more: Mapping[str, Any] | None = None) -> None:
        details = {**told(self.bound), **(more or {})}
        token = _inside.set(True)
        try:
            about = _about(self.workspace, self.bound)
            auditing.write_down(self.workspace.root, self.workspace.actor, self.action, outcome, about, details)
        finally:
            _inside.reset(token)


def told(bound: Mapping[str, Any]) -> dict[str, Any]:
    """What of a call's arguments may be written down.

    >>> told({"name": "vip", "text": "secret", "limit": None, "query": "SELECT email FROM profiles WHERE name = 'Ann'"})
    {'name': 'vip', 'tables': ['profiles']}
    """
    from cdp_core.tables import CANONICAL

    found = {name: _short(value) for name, value in bound.items() if name in _TOLD and value not in (None, False, ())}
    if isinstance(query := bound.get("query"), str):
        found["tables"] = [table for table in CANONICAL if re.search(rf"\b{table}\b", query)]
    return {name: value for name, value in found.items() if value is not None}


def _short(value: Any) -> Any:
    if isinstance(value, bool | int):
        return value
    if isinstance(value, list | tuple):
        return [_short(each) for each in value[:20]]
    return mask_text(str(value))[:_LONGEST] if isinstance(value, str | datetime) else None


def _about(workspace: Workspace, bound: Mapping[str, Any]) -> list[str]:
    """HMACs of whoever the call names; what cannot be read as an identifier is left out."""
    from cdp_core.identity.lookup import as_ruled

    named: list[tuple[str, str]] = []
    for name in _ABOUT:
        value = bound.get(name)
        if isinstance(value, str) and value:
            try:
                named.append(workspace.identity.parse(as_ruled(value, workspace.config.identity) or value))
            except CDPError:
                named.append(("profile_id", value.removeprefix("profile_id:")))
        named += [one for one in getattr(value, "identifiers", ()) if len(one) == 2]
    return auditing.hmacs(workspace.root, named)


def _bound(signature: inspect.Signature, self: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    try:
        bound = dict(signature.bind(self, *args, **kwargs).arguments)
    except TypeError:
        bound = {}
    bound.pop("self", None)
    name = getattr(self, "name", None)
    return {**({"name": name} if isinstance(name, str) and self is not _workspace_of(self) else {}), **bound}


def _workspace_of(self: Any) -> Workspace:
    return getattr(self, "_workspace", self)


def _room(self: Any) -> str:
    """
    >>> class SyncForms: ...
    >>> _room(SyncForms())
    'sync_forms'
    """
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()


@contextmanager
def _within() -> Iterator[None]:
    token = _inside.set(True)
    try:
        yield
    finally:
        _inside.reset(token)
