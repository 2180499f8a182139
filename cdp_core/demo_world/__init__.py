"""The demo world: five sources around the real orders of an online music shop, at any size, and the truth."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cdp_core.demo_world.world import WorldSummary, write_world

__all__ = ["WorldSummary", "write_world"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from cdp_core.demo_world import world

    return getattr(world, name)


class _Callable(ModuleType):
    """Once imported, this package stands where `cdp.demo` was, so it is that function too."""

    def __call__(self, out: Path | str, *, people: int | None = None, seed: int = 7, progress: Any = None) -> Any:
        from cdp_core.demo_world.world import write_world

        return write_world(Path(out), people=people, seed=seed, progress=progress)


sys.modules[__name__].__class__ = _Callable
