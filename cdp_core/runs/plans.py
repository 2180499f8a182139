"""Tracking plans in a run: what sources say about theirs, carried out on the staged batch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cdp_core.config import Config
    from cdp_core.engine import Staging
    from cdp_core.quality.plan.spec import Plan
    from cdp_core.tracking import Controls

Plans = dict[str, "tuple[Plan, Controls]"]


def plans_in_use(root: Path, config: Config) -> Plans:
    """Source → its plan and controls. Raises SpecError with file and line for a plan that is wrong."""
    used = {name: spec.plan for name, spec in config.sources.items() if spec.plan is not None}
    if not used:
        return {}
    from cdp_core.config.plans import load_plan

    plans = {name: load_plan(root, name) for name in sorted({use.name for use in used.values()})}
    return {source: (plans[use.name], use.controls) for source, use in used.items()}


def apply_plans(staging: Staging, config: Config, sources: list[str], plans: Plans) -> str | None:
    """Correct and check staged `events` of `sources`; see `enforce`. Nothing is touched where nothing is asked for."""
    corrections = {name: config.sources[name].transform for name in sources if config.sources[name].transform}
    wanted = {source: plans[source] for source in sources if source in plans}
    if corrections:
        from cdp_core.quality.plan.correct import correct

        for source, steps in corrections.items():
            correct(staging, source, steps)
    if not wanted:
        return None
    from cdp_core.quality.plan.enforce import enforce

    return enforce(staging, wanted)
