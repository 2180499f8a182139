"""CDP Workbench: a customer data platform that runs where the data is.

    import cdp_core as cdp

    with cdp.open(".") as ws:
        ws.run()
        ws.profile("email:ann@example.org")

Names are loaded at first use, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_WHERE = {
    "open": ("cdp_core.workspace", "open_workspace"),
    "init": ("cdp_core.workspace", "init"),
    "demo": ("cdp_core.workspace", "demo"),
    "schema": ("cdp_core.workspace", "schema"),
    "doctor": ("cdp_core.workspace", "doctor"),
    "destination": ("cdp_core.destinations.function", "destination"),
    "private_process": ("cdp_core.modes", "private_process"),
    "waterfall": ("cdp_core.workspace", "waterfall"),
    "Workspace": ("cdp_core.workspace", "Workspace"),
    "Actor": ("cdp_core.privacy.roles", "Actor"),
    "CDPError": ("cdp_core.errors", "CDPError"),
    "SpecError": ("cdp_core.errors", "SpecError"),
    "UsageError": ("cdp_core.errors", "UsageError"),
    "SourceError": ("cdp_core.errors", "SourceError"),
    "EngineError": ("cdp_core.errors", "EngineError"),
    "WorkspaceBusy": ("cdp_core.errors", "WorkspaceBusy"),
    "Forbidden": ("cdp_core.errors", "Forbidden"),
    "QualityStop": ("cdp_core.errors", "QualityStop"),
    "DestinationError": ("cdp_core.errors", "DestinationError"),
}

__all__ = sorted(_WHERE)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'cdp_core' has no attribute {name!r}")
    module, attribute = _WHERE[name]
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
