"""The demo world: five sources around the real orders of an online music shop, at any size, and the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cdp_core.demo_world.world import WorldSummary, write_world

__all__ = ["WorldSummary", "write_world"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from cdp_core.demo_world import world

    return getattr(world, name)
