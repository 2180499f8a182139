"""A class of the workspace's own, completed: what it leaves out is added, and what it raises becomes one line."""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cdp_core.destinations.base import SendResult, Unavailable
from cdp_core.errors import CDPError, DestinationError

_METHODS = ("__init__", "prepare", "send", "remove", "finish", "present", "place", "test", "erase")
_RESULTS = ("send", "remove", "erase")
_LATER = (408, 425, 429)


def completed(cls: type, name: str, path: Path) -> type:
    """A subclass of `cls` with every part of the protocol; `path` is the file that errors are told of."""
    from pydantic import BaseModel, ConfigDict

    class Nothing(BaseModel):
        model_config = ConfigDict(extra="forbid")

    parts: dict[str, Any] = {"__module__": cls.__module__, "__doc__": cls.__doc__, "own_name": name}
    for model in ("Options", "SyncOptions"):
        if not hasattr(cls, model):
            parts[model] = Nothing
    given: dict[str, Any] = {method: getattr(cls, method) for method in _METHODS if hasattr(cls, method)}
    if given["__init__"] is object.__init__:
        given["__init__"] = _remember
    given.setdefault("prepare", _nothing)
    for method, function in given.items():
        parts[method] = _guarded(function, path, result=method in _RESULTS)
    return type(name, (cls,), parts)


def _remember(self: Any, options: Any, root: Path) -> None:
    self.options, self.root = options, root


def _nothing(self: Any, delivery: Any) -> None:
    self.delivery = delivery


def _guarded(method: Callable[..., Any], path: Path, *, result: bool) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*args: Any, **more: Any) -> Any:
        try:
            value = method(*args, **more)
        except CDPError:
            raise
        except Exception as error:
            raise _told(error, path) from error
        return _result(value, path) if result else value

    return call


def _result(value: Any, path: Path) -> SendResult:
    if value is None:
        return SendResult()
    if isinstance(value, SendResult):
        return value
    if isinstance(value, Mapping):
        return SendResult({key: str(reason) for key, reason in value.items()})
    raise DestinationError(
        f"a delivery gave back {type(value).__name__}",
        where=path.name,
        hint="give back nothing, or a dict of refused keys with a reason each",
    )


def _told(error: Exception, path: Path) -> CDPError:
    """One line that names the place. The text of the error may hold somebody's data and is not shown."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    where = f"{path.name}:{frames[-1].lineno}" if frames else path.name
    status, retry_after = _answer(error)
    if status is not None:
        if status in _LATER or status >= 500:
            return Unavailable(f"the service answered {status}", where=where, retry_after=retry_after)
        return DestinationError(f"the service answered {status}", where=where, hint="look at the address and the key")
    if _no_connection(error):
        return Unavailable(f"the service cannot be reached ({type(error).__name__})", where=where)
    return DestinationError(f"the code raised {type(error).__name__}", where=where, hint="CDP_DEBUG=1 shows more")


def _answer(error: Exception) -> tuple[int | None, float | None]:
    """Status and Retry-After of an HTTP answer, as httpx and urllib raise them."""
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None) or getattr(error, "code", None)
    headers = getattr(response, "headers", None) or getattr(error, "headers", None) or {}
    if not isinstance(status, int) or not 100 <= status < 600 or not hasattr(headers, "get"):
        return None, None
    after = str(headers.get("Retry-After") or headers.get("retry-after") or "")
    return status, float(after) if after.isdigit() else None


def _no_connection(error: Exception) -> bool:
    urllib, httpx = sys.modules.get("urllib.error"), sys.modules.get("httpx")
    kinds: list[type] = [ConnectionError, TimeoutError]
    kinds += [urllib.URLError] if urllib else []
    kinds += [httpx.TransportError] if httpx else []
    return isinstance(error, tuple(kinds))
