"""After a run or a sync: look, compare with what was told, tell."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cdp_core.alerts import state
from cdp_core.alerts.judge import Seen, failure, jump, news, refused
from cdp_core.alerts.send import Message, send
from cdp_core.errors import CDPError, DestinationError, UsageError, WorkspaceBusy

if TYPE_CHECKING:
    from cdp_core.config import Config
    from cdp_core.destinations.plan import SyncPlan
    from cdp_core.destinations.sync import SyncResult
    from cdp_core.engine import Engine
    from cdp_core.runs.record import Run

log = logging.getLogger(__name__)


def seen_in_run(engine: Engine, config: Config, run: Run) -> list[Seen]:
    """What a run gives to tell of: how it ended, anomalies that its gate found, audiences that jumped."""
    failed = run.error if run.status in ("failed", "stopped") else None
    seen = [failure("run", failed)]
    notes = {stage.name: stage.note for stage in run.stages}
    if "quality" in notes:
        note = notes["quality"] if "anomal" in notes["quality"] else ""
        note = note or (failed if failed and failed.startswith("quality.anomalies") else "") or ""
        seen.append(Seen(condition="anomalies", about="run", text=note and f"run: {note}"))
    if "audiences" in notes and run.status != "stopped":
        seen += _audiences(engine, list(config.audiences), run)
    return seen


def _audiences(engine: Engine, names: Sequence[str], run: Run) -> list[Seen]:
    """Members before and after, from today's members and this run's changes; an empty audience has no row there."""
    import polars as pl

    members, changes = engine.table("audience_members"), engine.table("audience_changes")
    now = engine.polars(members.group_by("audience").agg(after=members.count()))
    own = changes.filter(changes.run_id == run.run_id)
    entered, exited = (own.change == "entered").sum(), (own.change == "exited").sum()
    moved = engine.polars(own.group_by("audience").agg(entered=entered, exited=exited))
    known = pl.DataFrame({"audience": names}, schema={"audience": pl.String})
    both = known.join(now, on="audience", how="left").join(moved, on="audience", how="left")
    rows = both.with_columns(pl.exclude("audience").fill_null(0)).iter_rows(named=True)
    return [
        jump(f"audience {r['audience']}", "members", int(r["after"] - r["entered"] + r["exited"]), int(r["after"]))
        for r in rows
    ]


def seen_in_sync(
    name: str, plan: SyncPlan | None, result: SyncResult | None, error: BaseException | None
) -> list[Seen]:
    """What a sync gives to tell of: how it ended, the share that was refused, how much it took away."""
    about = f"sync {name}"
    if error is not None:
        said = str(error) if isinstance(error, CDPError) else f"stopped by {type(error).__name__}"
        return [failure(about, said.removeprefix(f"{about}: "))]
    seen = [failure(about, None)]
    if result is not None:
        seen.append(refused(name, result.failed, result.delivered + result.failed))
    if plan is not None and result is not None:
        there = plan.change + plan.remove + plan.unchanged
        seen.append(jump(about, "rows kept of those there", there, there - result.removed))
    return seen


@dataclass
class Watch:
    """A sync that is looked at: its plan and its result, as far as it came, and alerts that were not sent."""

    plan: SyncPlan | None = None
    result: SyncResult | None = None
    lines: list[str] = field(default_factory=list)

    def told(self) -> SyncResult:
        """The result, with a note of what could not be told."""
        assert self.result is not None
        note = "; ".join([*([self.result.note] if self.result.note else []), *self.lines])
        return replace(self.result, note=note or None)


@contextmanager
def watched(config: Config, folder: Path, name: str, seen: list[Seen] | None) -> Iterator[Watch]:
    """Tell of a sync when it ends, however it ends; with `seen`, only add to it what there is to tell.

    A plan that has changed and a sync that is running already are answers to whoever asked, and are not told.
    """
    watch, stopped = Watch(), None
    try:
        yield watch
    except (UsageError, WorkspaceBusy):
        raise
    except Exception as error:
        stopped = error
        raise
    finally:
        if stopped is not None or watch.result is not None:
            found = seen_in_sync(name, watch.plan, watch.result, stopped)
            if seen is None:
                watch.lines = tell(config, folder, found)[1]
            else:
                seen += found


def tell(config: Config, folder: Path, seen: Sequence[Seen]) -> tuple[int, list[str]]:
    """Tell every receiver what is new to it; gives how many were told, and a line for each that could not be.

    What could not be told is tried again next time. `folder` is the lake's. Nothing is raised: whoever watches a run
    may not end it.
    """
    if not config.alerts:
        return 0, []
    sent, lines = 0, []
    try:
        with state.changed(folder) as told:
            known = {alert.id for alert in config.alerts}
            for gone in set(told) - known:
                del told[gone]
            for alert in config.alerts:
                mine = told.setdefault(alert.id, {})
                fresh, over = news(alert, seen, mine)
                for key in over:
                    del mine[key]
                if not fresh:
                    continue
                items = [{"condition": one.condition, "about": one.about, "text": one.text} for one in fresh]
                try:
                    send(alert.to, Message(workspace=config.name, items=items, link=config.dashboard_url))
                except DestinationError as error:
                    lines.append(f"an alert was not sent: {error}")
                    continue
                sent += 1
                at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
                mine |= {one.key: {"since": at, "text": one.text} for one in fresh}
    except Exception as error:  # noqa: BLE001
        lines.append(f"alerts stopped by {type(error).__name__}")
    for line in lines:
        log.warning("warning: %s", line)
    return sent, lines


def after_run(engine: Engine, config: Config, folder: Path, run: Run, seen: Sequence[Seen]) -> None:
    """Tell of a run and of the syncs in it, and write into its record what came of that."""
    if not config.alerts or run.kind == "dry":
        return
    with run.stage("alerts") as stage:
        try:
            found = [*seen_in_run(engine, config, run), *seen]
        except Exception:  # noqa: BLE001
            # A lake that cannot be read is itself what must be told.
            found = [failure("run", run.error), *seen]
        sent, lines = tell(config, folder, found)
        stage.note = "; ".join([*([f"{sent} sent"] if sent else []), *lines]) or "nothing new to tell"
