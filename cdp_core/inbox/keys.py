"""Write keys: who may send events as which source. Only their hashes are kept."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cdp_core.errors import SpecError, UsageError
from cdp_core.inbox.files import folder_of

if TYPE_CHECKING:
    from filelock import BaseFileLock

Kind = Literal["server", "browser"]
_FILE = "keys.json"


@dataclass(frozen=True, kw_only=True)
class WriteKey:
    """A key as it is kept. `id` are its first letters, enough to tell keys apart; `hash` is its SHA-256 (it is random
    and long, so that no slow hash is needed). Times are ISO 8601, UTC. A browser key may not call alias or import.
    """

    id: str
    source: str
    kind: Kind
    hash: str
    created_at: str
    revoked_at: str | None = None


def hashed(key: str) -> str:
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


def read_keys(root: Path) -> list[WriteKey]:
    """All keys, revoked ones too, oldest first. Raises SpecError when the file is damaged."""
    path = folder_of(root) / _FILE
    try:
        return [WriteKey(**entry) for entry in json.loads(path.read_text())]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, OSError) as error:
        raise SpecError(
            f"the write keys cannot be read ({type(error).__name__})",
            where=f"data/collector/{_FILE}",
            hint="restore the file, or remove it and create new keys with 'cdp source key NAME'",
        ) from None


def create_key(root: Path, source: str, kind: Kind = "server", *, revoke_others: bool = False) -> tuple[str, WriteKey]:
    """A new key of a source, in clear (for the only time) and as it is kept."""
    with _alone(root):
        clear = secrets.token_urlsafe(24)
        now = _now()
        key = WriteKey(id=clear[:6], source=source, kind=kind, hash=hashed(clear), created_at=now)
        known = read_keys(root)
        if revoke_others:
            known = [_revoked(k, now) if k.source == source else k for k in known]
        _write(root, [*known, key])
    return clear, key


def revoke_key(root: Path, source: str, key_id: str) -> WriteKey:
    """End a key at once. Raises UsageError when the source has no such key in force."""
    with _alone(root):
        known = read_keys(root)
        mine = [k for k in known if k.source == source and k.revoked_at is None]
        found = next((k for k in mine if k.id == key_id), None)
        if found is None:
            raise UsageError.unknown(f"key of source {source!r}", key_id, [k.id for k in mine])
        ended = _revoked(found, _now())
        _write(root, [ended if k is found else k for k in known])
    return ended


class KeyRing:
    """Keys in force, by what they hash to; the file is looked at again when it has changed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stamp: tuple[int, int] | None = None
        self._known: dict[str, WriteKey] = {}
        self._seen: dict[str, WriteKey | None] = {}

    def refresh(self) -> None:
        """Raises SpecError when the file is damaged; what was known stays in force."""
        try:
            status = (folder_of(self._root) / _FILE).stat()
            stamp = status.st_mtime_ns, status.st_ino
        except OSError:
            stamp = None
        if stamp != self._stamp or stamp is None:
            self._known = {k.hash: k for k in read_keys(self._root) if k.revoked_at is None}
            self._stamp, self._seen = stamp, {}

    def find(self, clear: str) -> WriteKey | None:
        if clear in self._seen:
            return self._seen[clear]
        found = self._known.get(hashed(clear))
        if found is not None:
            self._seen[clear] = found
        return found


def _revoked(key: WriteKey, now: str) -> WriteKey:
    return key if key.revoked_at else replace(key, revoked_at=now)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _alone(root: Path) -> BaseFileLock:
    from filelock import FileLock

    folder_of(root).mkdir(parents=True, exist_ok=True, mode=0o700)
    return FileLock(folder_of(root) / "keys.lock", timeout=10, mode=0o600)


def _write(root: Path, keys: Sequence[WriteKey]) -> None:
    path = folder_of(root) / _FILE
    draft = path.with_suffix(".new")
    handle = os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump([asdict(key) for key in keys], file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
