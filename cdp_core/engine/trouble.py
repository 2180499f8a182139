"""Errors of the machine under the lake, in one line for a person."""

from __future__ import annotations

import errno

from cdp_core.errors import CDPError, EngineError, Retryable

_SIGNS = (
    (("no space left", "disk full", "database or disk is full", "disk quota"), "the disk is full"),
    (("out of memory", "failed to allocate", "failed to pin block"), "the memory limit was reached"),
    (("permission denied", "read-only", "readonly database"), "the lake cannot be written"),
    (("disk i/o error", "input/output error"), "the disk reported an error"),
)
_HINTS = {
    "the disk is full": "nothing half-done was published; free space and run again",
    "the memory limit was reached": "nothing was published; raise engine.memory_limit in cdp.yaml",
    "the lake cannot be written": "check the folder's rights",
    "the disk reported an error": "nothing half-done was published; check the disk and run again",
}
_NUMBERS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk is full",
    errno.EACCES: "the lake cannot be written",
    errno.EROFS: "the lake cannot be written",
    errno.EIO: "the disk reported an error",
}


class StorageError(EngineError, Retryable):
    """The disk or the memory gave out; the same run succeeds once there is room."""


def storage_error(error: BaseException, *, where: str) -> CDPError | None:
    """What a full disk, missing rights or too little memory mean, whichever layer reported it; None for anything else.

    >>> str(storage_error(OSError(28, "No space left on device"), where="data/lake"))
    'data/lake: the disk is full; nothing half-done was published; free space and run again'
    """
    what = _NUMBERS.get(error.errno or 0) if isinstance(error, OSError) else None
    if what is None and type(error).__module__.partition(".")[0] not in ("builtins", "cdp_core"):
        text = str(error).lower()
        what = next((meaning for signs, meaning in _SIGNS if any(sign in text for sign in signs)), None)
    if isinstance(error, MemoryError):
        what = "the memory limit was reached"
    return StorageError(what, where=where, hint=_HINTS[what]) if what else None
