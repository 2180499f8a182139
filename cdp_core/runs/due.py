"""Which syncs a run starts by itself: those that are to follow every run, or one that changed their audience."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cdp_core.cron import AfterSpec
from cdp_core.destinations.spec import AudienceModel

if TYPE_CHECKING:
    from cdp_core.config import Config
    from cdp_core.engine import Engine


def following(config: Config) -> list[str]:
    """The enabled syncs that follow a run, due or not."""
    return [name for name, sync in config.syncs.items() if sync.enabled and isinstance(sync.schedule, AfterSpec)]


def due_syncs(engine: Engine, config: Config, run_id: str) -> list[str]:
    """Those of them that are due after the run `run_id`, in the order of cdp.yaml.

    One that waits for its audience is due when somebody entered or left in this run. It also is when it has never sent
    anything, and when rows of it are pending: what a sync that broke off has left would otherwise wait for a change.
    """
    wanted = following(config)
    audiences = {
        name: model.audience for name in wanted if isinstance(model := config.syncs[name].model, AudienceModel)
    }
    waiting = [name for name in wanted if _after(config, name) == "audience" and name in audiences]
    if not waiting:
        return wanted
    changes, ledger = engine.table("audience_changes"), engine.table("sync_ledger")
    changed = set(engine.polars(changes.filter(changes.run_id == run_id).select("audience").distinct())["audience"])
    ledger = ledger.filter(ledger.sync.isin(waiting))
    counted = engine.polars(ledger.group_by("sync").agg(pending=(ledger.status == "pending").sum()))
    settled = set(counted.filter(counted["pending"] == 0)["sync"])
    return [n for n in wanted if n not in waiting or audiences[n] in changed or n not in settled]


def _after(config: Config, name: str) -> str | None:
    schedule = config.syncs[name].schedule
    return schedule.after if isinstance(schedule, AfterSpec) else None
