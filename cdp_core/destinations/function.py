"""`@cdp.destination`: a function as a destination type."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

F = TypeVar("F", bound=Callable[..., Any])
GIVEN = ("batch", "delivery", "root")
"""Parameters that are no options: the whole Batch, the Delivery, the workspace's folder."""


@overload
def destination(function: F, /) -> F: ...
@overload
def destination(
    *,
    remove: Callable[..., Any] | None = None,
    test: Callable[..., str] | None = None,
    batch_rows: int | None = None,
    batch_bytes: int | None = None,
    calls_per_second: float | None = None,
    concurrency: int | None = None,
    modes: Sequence[str] | None = None,
) -> Callable[[F], F]: ...
def destination(
    function: F | None = None,
    /,
    *,
    remove: Callable[..., Any] | None = None,
    test: Callable[..., str] | None = None,
    **limits: Any,
) -> F | Callable[[F], F]:
    """Make a function of destinations.py a `type:` of cdp.yaml, by its own name. It stays a function.

    It is called with a batch's rows, a Polars frame with a column per mapped field. Every further parameter is an
    option under `destinations:`, with its type and default; `batch`, `delivery` and `root` are given when asked for. It
    gives back nothing, or a dict of refused keys → reason. `remove` is called with a series of keys, `test` with
    nothing; both may ask for the same options. What is raised becomes an error of the sync; connections that fail and
    answers such as 503 are tried again. `limits` are those of `cdp_core.destinations.base`.

    >>> @destination(batch_rows=500)
    ... def crm(rows, *, url: str, dry: bool = False):
    ...     pass
    >>> list(crm.destination_type.Options.model_fields), crm.destination_type.batch_rows
    (['url', 'dry'], 500)
    """

    def made(send: F) -> F:
        parts = {name: value for name, value in limits.items() if value is not None}
        send.destination_type = _type(send, remove, test, parts)  # type: ignore[attr-defined]
        return send

    if unknown := set(limits) - {"batch_rows", "batch_bytes", "calls_per_second", "concurrency", "modes"}:
        raise TypeError(f"@cdp.destination does not know {sorted(unknown)[0]!r}")
    return made if function is None else made(function)


def _type(
    send: Callable[..., Any],
    remove: Callable[..., Any] | None,
    test: Callable[..., str] | None,
    parts: dict[str, Any],
) -> type:
    from pydantic import ConfigDict, create_model

    fields = _options(send, leading=1)
    for helper, leading in ((remove, 1), (test, 0)):
        for name in _options(helper, leading) if helper else ():
            if name not in fields:
                raise TypeError(f"{getattr(helper, '__name__', 'it')} asks for {name!r}, no option of {send.__name__}")
    options = create_model(
        f"{send.__name__}_options", __config__=ConfigDict(extra="forbid"), __module__=send.__module__, **fields
    )

    def prepare(self: Any, delivery: Any) -> None:
        self.delivery = delivery

    def sent(self: Any, batch: Any) -> Any:
        return send(batch.rows, **_asked(send, self, batch)) if batch.rows.height else None

    def removed(self: Any, keys: Any) -> Any:
        assert remove is not None
        return remove(keys, **_asked(remove, self, None)) if len(keys) else None

    def tested(self: Any) -> str:
        assert test is not None
        return test(**_asked(test, self, None))

    abilities = {
        "Options": options,
        "prepare": prepare,
        "send": sent,
        **({"remove": removed} if remove else {}),
        **({"test": tested} if test else {}),
    }
    about = {"__doc__": send.__doc__, "__module__": send.__module__, "delivery": None}
    return type(send.__name__, (), {**about, **parts, **abilities})


def _options(function: Callable[..., Any], leading: int) -> dict[str, Any]:
    """Parameters behind the first that are options: name → (type, default)."""
    parameters = list(inspect.signature(function).parameters.values())[leading:]
    empty = inspect.Parameter.empty
    return {
        p.name: (Any if p.annotation is empty else p.annotation, ... if p.default is empty else p.default)
        for p in parameters
        if p.name not in GIVEN and p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)
    }


def _asked(function: Callable[..., Any], made: Any, batch: Any) -> dict[str, Any]:
    given = {"batch": batch, "delivery": made.delivery, "root": made.root}
    wanted = inspect.signature(function).parameters
    options = {name: getattr(made.options, name) for name in type(made.options).model_fields}
    return {name: value for name, value in {**options, **given}.items() if name in wanted}
