"""What an erasure still has to know: who it is about, and what must be asked for where. A file for as long as that is
open, and the only place in which the person is named then; it goes with the last answer.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core.errors import SpecError

if TYPE_CHECKING:
    from cdp_core.privacy.requests import Request

FOLDER = Path("data/privacy/open")
ABANDONED = 3600.0
"""Seconds after which an order without a request is nobody's: one is made within moments of the other."""
Identifier = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Order:
    """`identifiers` as tables spell them and `spellings` as their events have them, (type, value) both; `profile_ids`
    are the profile's and those that went into it. `sent` are their rows of the ledger: sync, key, payload, before.
    """

    request_id: str
    identifiers: tuple[Identifier, ...]
    spellings: tuple[Identifier, ...] = ()
    profile_ids: tuple[str, ...] = ()
    sent: tuple[dict[str, Any], ...] = ()

    def of_sync(self, name: str) -> list[dict[str, Any]]:
        return [row for row in self.sent if row["sync"] == name]


def write_order(root: Path, order: Order) -> None:
    """Have it on the disk, its owner's alone, whole or not at all."""
    path = _path(root, order.request_id)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = path.with_suffix(".new")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(asdict(order), file, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def read_order(root: Path, request_id: str) -> Order | None:
    """None when it is done with. Raises SpecError for a file that is none."""
    path = _path(root, request_id)
    if not path.is_file():
        return None
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
        return Order(
            request_id=row["request_id"],
            identifiers=_pairs(row["identifiers"]),
            spellings=_pairs(row["spellings"]),
            profile_ids=tuple(row["profile_ids"]),
            sent=tuple(row["sent"]),
        )
    except (ValueError, TypeError, KeyError):
        hint = "make the request again; what is done already is not done twice"
        raise SpecError("no order of an erasure", where=str(FOLDER / path.name), hint=hint) from None


def drop_left_over(root: Path, known: Mapping[str, Request]) -> None:
    """Orders of requests that are done go, and those that never came to be one: their process ended in between."""
    for path in (root / FOLDER).glob("*.json"):
        request = known.get(path.stem)
        if not request.open if request else time.time() - path.stat().st_mtime > ABANDONED:
            drop_order(root, path.stem)


def drop_order(root: Path, request_id: str) -> None:
    """Overwritten before it goes, for the sake of disks that keep what was removed."""
    path = _path(root, request_id)
    path.with_suffix(".new").unlink(missing_ok=True)
    if not path.is_file():
        return
    with path.open("r+b") as file:
        file.write(b"\0" * path.stat().st_size)
        file.flush()
        os.fsync(file.fileno())
    path.unlink()


def _path(root: Path, request_id: str) -> Path:
    return root / FOLDER / f"{request_id}.json"


def _pairs(rows: Any) -> tuple[Identifier, ...]:
    return tuple((str(type_), str(value)) for type_, value in rows)
