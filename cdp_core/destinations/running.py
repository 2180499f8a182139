"""Whether a sync is being sent now, by whichever process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cdp_core.destinations.sync import alone
from cdp_core.errors import WorkspaceBusy

if TYPE_CHECKING:
    from cdp_core.engine import Engine


def is_running(engine: Engine, name: str) -> bool:
    """Whether some process holds the lock of a sync. The system takes it from a run that was killed."""
    try:
        with alone(engine, name):
            return False
    except WorkspaceBusy:
        return True
