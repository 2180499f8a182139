"""The workspace's secret, without which nobody can tell whose a tombstone is."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cdp_core.errors import SpecError

PATH = Path("data/privacy/key")
VARIABLE = "CDP_PRIVACY_KEY"
BYTES = 32


def workspace_key(root: Path, *, make: bool = False) -> bytes | None:
    """The key of 32 bytes: from the environment (CDP_PRIVACY_KEY, 64 hex digits), else from data/privacy/key.

    A missing one is made when `make` says so, and is None otherwise. Raises SpecError for one that is no key.
    """
    told = os.environ.get(VARIABLE)
    if told:
        return _read(told, where=VARIABLE)
    path = root / PATH
    if not path.exists():
        if not make:
            return None
        _make(path)
    return _read(path.read_text(encoding="ascii", errors="replace"), where=str(PATH))


def _read(text: str, *, where: str) -> bytes:
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != BYTES:
        raise SpecError(
            "the key of this workspace is no key",
            where=where,
            hint=f"{2 * BYTES} hex digits are wanted; without the right ones, nobody who was suppressed is recognised",
        )
    return key


def _make(path: Path) -> None:
    """Written aside and moved to its place, so that two that begin at once end with one key."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(secrets.token_hex(BYTES) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(aside, path)
    except FileExistsError:
        return
    finally:
        aside.unlink()
