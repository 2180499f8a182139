"""What a tracking plan would do, on the newest events of the lake; nothing is written."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.engine import Engine, Staging
    from cdp_core.quality.plan.spec import Plan
    from cdp_core.tracking import Controls

_COLUMNS = ("source", "message_id", "type", "event", "user_id", "anonymous_id", "group_id", "previous_id",
            "properties", "traits", "context")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PlanPreview:
    """`events` were looked at; `held` of them would be blocked under `controls`, `held_now` with the plan as it stands
    (None: that is the plan, or it cannot be read).

    `found` has one row per event and rule: event, type, rule, field, description, action, count, sample (message ids).
    """

    plan: str
    source: str
    controls: Controls
    events: int
    held: int
    found: pl.DataFrame
    held_now: int | None = None

    @property
    def words(self) -> str:
        held, events = f"{self.held:,}", f"{self.events:,}"
        return f"with plan {self.plan!r} {held} of the last {events} events of {self.source} would have been held"

    def to_dict(self) -> dict[str, Any]:
        """What `cdp quality plan preview --output json` prints."""
        said = {"plan": self.plan, "source": self.source, "controls": self.controls.model_dump()}
        return {
            **said,
            "events": self.events,
            "held": self.held,
            "held_now": self.held_now,
            "found": self.found.to_dicts(),
        }


def preview_plan(
    engine: Engine, source: str, plan: Plan, controls: Controls, *, last: int, standing: Plan | None = None
) -> PlanPreview:
    """Check the `last` events of a source, newest first by the time they were received; `standing` is counted too."""
    import polars as pl

    from cdp_core.engine import json_found
    from cdp_core.quality.plan.batch import find
    from cdp_core.quality.plan.judge import action_of

    with newest_events(engine, source, last) as staging:
        held_now = None if standing is None else _held(staging, source, standing, controls)
        found = find(staging, source, plan)
        actions = [action_of(finding, controls) for finding in found.findings]
        held = json_found.count_rows(staging, _blocked(actions))
        counted = json_found.counted(staging)
        events = int(staging.table("events").count().execute())
    kinds = pl.DataFrame(
        [
            {"kind": number, "rule": f.rule, "field": f.field, "description": f.description, "action": action}
            for number, (f, action) in enumerate(zip(found.findings, actions, strict=True))
        ],
        schema={"kind": pl.Int64, **dict.fromkeys(("rule", "field", "description", "action"), pl.String)},
    )
    rows = counted.with_columns(pl.col("kind").cast(pl.Int64)).join(kinds, on="kind")
    columns = ["event", "type", "rule", "field", "description", "action", "count", "sample"]
    rows = rows.select(columns).sort(["count", "event", "rule", "field"], descending=[True, False, False, False])
    return PlanPreview(
        plan=plan.name, source=source, controls=controls, events=events, held=held, held_now=held_now, found=rows
    )


def _held(staging: Staging, source: str, plan: Plan, controls: Controls) -> int:
    from cdp_core.engine import json_found
    from cdp_core.quality.plan.batch import find
    from cdp_core.quality.plan.judge import action_of

    found = find(staging, source, plan)
    return json_found.count_rows(staging, _blocked([action_of(finding, controls) for finding in found.findings]))


def _blocked(actions: Sequence[str]) -> list[int]:
    return [number for number, action in enumerate(actions) if action == "block"]


@contextmanager
def newest_events(engine: Engine, source: str, last: int) -> Iterator[Staging]:
    """A scratch file with the newest events of a source as `events`."""
    from cdp_core.engine import Staging

    events = engine.table("events")
    rows = events.filter(events.source == source).order_by([events.received_at.desc(), events.message_id])
    with tempfile.TemporaryDirectory(prefix="cdp-plan-") as folder:
        staging = Staging(Path(folder) / "events.duckdb")
        try:
            engine.copy_into(staging, {"events": rows.limit(last).select(_COLUMNS)})
            yield staging
        finally:
            staging.discard()
