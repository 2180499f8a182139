"""Opening and making workspaces, and what needs none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core.config import load_config
from cdp_core.privacy.roles import Actor
from cdp_core.workspace.facade import Workspace

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.runs.doctor import Finding


def open_workspace(folder: Path | str = ".", *, actor: Actor | None = None, masked: bool = False) -> Workspace:
    """Open a workspace. Raises SpecError when cdp.yaml is missing or wrong.

    `actor` is whoever works with it, for whom the caller vouches; without one it is whoever has the folder, with the
    role `access.local` of cdp.yaml. `masked` masks personal data for those too who may see them.

    Example: `with cdp.open("shop") as ws: ws.run()`
    """
    root = Path(folder).resolve()
    return Workspace(root, load_config(root), actor=actor, masked=masked)


def init(folder: Path | str) -> Path:
    """Scaffold a small workspace that runs at once. Raises UsageError when the folder is not empty."""
    from cdp_core.runs.scaffold import scaffold

    return scaffold(Path(folder))


def demo(out: Path | str, *, people: int | None = None, seed: int = 7, progress: Any = None) -> Any:
    """Write the demo world as a ready workspace, not yet run. Raises UsageError when the folder is in use."""
    from cdp_core.demo_world import write_world
    from cdp_core.runs.scaffold import add_face

    summary = write_world(Path(out), people=people, seed=seed, progress=progress)
    add_face(Path(out))
    return summary


def doctor(folder: Path | str = ".") -> list[Finding]:
    """What is wrong with a workspace, also with one that cannot be opened; never raises."""
    from cdp_core.runs.doctor import diagnose

    return diagnose(Path(folder))


def schema(folder: Path | str | None = None) -> dict[str, Any]:
    """JSON Schema of cdp.yaml, for editors; with the destination types of the workspace's own, when it is named."""
    from cdp_core.config import schema as config_schema

    return config_schema(Path(folder) if folder is not None else None)


def waterfall(evidence: str) -> pl.DataFrame:
    """The evidence of a match, from `ws.identity.review()`, as bars: step, weight, start and end (bits)."""
    from cdp_core.identity.matching.waterfall import waterfall as bars

    return bars(evidence)
