"""The door of every source: what cdp.yaml decides of personal data, with the workspace's key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cdp_core.privacy.door import Door
from cdp_core.privacy.store import known_key

if TYPE_CHECKING:
    from cdp_core.config.model import Config


def doors_of(root: Path, config: Config) -> dict[str, Door]:
    """Source → its controls. The key is read when something has to be hashed, and made if there never was one."""
    return {name: door_of(root, config, name) for name in config.sources}


def door_of(root: Path, config: Config, source: str) -> Door:
    """The controls of one source."""
    return Door(config.privacy, source, lambda: known_key(root))
