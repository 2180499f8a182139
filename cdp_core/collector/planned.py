"""The tracking plan at the door: what it blocks is told to the sender at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from cdp_core.config.plans import load_plan
from cdp_core.quality.plan.correct import corrected
from cdp_core.quality.plan.judge import compile_plan

if TYPE_CHECKING:
    from cdp_core.collector.door import Verdict
    from cdp_core.config import Config
    from cdp_core.quality.plan.judge import Judge
    from cdp_core.tracking import Step

FOLDER = Path("expectations/tracking_plan")
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class PlanDoor:
    """The plan of one source with its corrections."""

    def __init__(self, judge: Judge, steps: Sequence[Step]) -> None:
        self._judge, self._steps = judge, steps

    def look(self, events: Sequence[bytes], path_type: str | None, verdict: Verdict) -> None:
        """Add to `verdict` what the plan blocks among the events that have passed so far."""
        for index, text in enumerate(events):
            if index in verdict.wrong:
                continue
            try:
                event = corrected(_whole(_decode(text), path_type), self._steps)
                blocked = next((d for d in self._judge(event) if d.action == "block"), None)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                # What the first look has passed over lies deeper: a number that no double holds, or no end of nesting.
                verdict.hold(index, "parse.json", "", None)
                continue
            if blocked is not None:
                verdict.hold(index, blocked.rule, blocked.description, event.get("messageId"))


def plan_doors(root: Path, config: Config) -> dict[str, PlanDoor]:
    """Source → its plan, where something is blocked by it; what is only reported can wait until it is loaded.

    Raises SpecError for a plan that is wrong.
    """
    used = {name: spec for name, spec in config.sources.items() if spec.plan is not None}
    return {
        name: PlanDoor(compile_plan(load_plan(root, spec.plan.name), spec.plan.controls), spec.transform)
        for name, spec in used.items()
        if spec.plan is not None and "block" in spec.plan.controls.model_dump().values()
    }


def plans_stamp(root: Path) -> tuple[tuple[str, int], ...]:
    """Changes whenever a plan has been written."""
    return tuple((path.name, path.stat().st_mtime_ns) for path in sorted((root / FOLDER).glob("*.yaml")))


def _whole(event: dict[str, Any], path_type: str | None) -> dict[str, Any]:
    """The event as it will be loaded: its type from the address, its traits from the context too."""
    kind = event.get("type") or path_type
    context = event.get("context")
    inner = context.get("traits") if isinstance(context, dict) else None
    more = {"traits": {**inner, **(event.get("traits") or {})}} if isinstance(inner, dict) else {}
    return {**event, "type": str(kind).strip().lower(), **more}
