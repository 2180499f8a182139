"""What is left of a person outside the tables: older snapshots, the catalog, working files, decisions, the inbox."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cdp_core.errors import EngineError
from cdp_core.runs import consenting, decisions
from cdp_core.runs.erasure.order import Order
from cdp_core.runs.load import loaded_requests

if TYPE_CHECKING:
    from cdp_core.engine import Engine

NOTICED = 2.5
"""Seconds within which a collector that is running has read new tombstones."""
WORKING = ("staging", "spill")
"""Folders of the lake in which runs keep what they work on; nobody works while the run lock is held."""


def clear_lake(engine: Engine) -> None:
    """Leave no byte of what has been taken out. Hold the run lock meanwhile."""
    for name in WORKING:
        for path in (engine.folder / name).glob("*"):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    engine.purge()


def clear_decisions(root: Path, order: Order) -> dict[str, int]:
    """Decisions that name the person, by kind: about who they are, and about consent."""
    gone = {
        "identity decisions": decisions.forget(root, set(order.identifiers)),
        "consent decisions": consenting.forget(root, order.identifiers),
    }
    return {name: number for name, number in gone.items() if number}


def clear_inbox(engine: Engine, root: Path, barred_at: datetime) -> None:
    """Take received requests out that are in the lake. Raises EngineError when some wait to be loaded that came before
    the collector knew of the person's tombstones.
    """
    from cdp_core.inbox.files import inbox_files
    from cdp_core.inbox.scrub import scrub

    before = int((barred_at.replace(tzinfo=UTC).timestamp() + NOTICED) * 1e6)
    if inbox_files(root) and scrub(root, loaded_requests(engine), before):
        hint = "it is done when a run has loaded them: 'cdp run', then 'cdp privacy request resume'"
        raise EngineError("received requests wait in the inbox, and may hold the person", hint=hint)
