"""Stored events sent through today's controls, corrections, tracking plan and suites once more.

What comes out differently takes the place of what is stored; what today's rules would not have let in goes to
quarantine. Derived tables are then computed anew by the next run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core.engine import json_protocols, json_stored
from cdp_core.engine.trouble import storage_error
from cdp_core.errors import CDPError, ContractError, SpecError
from cdp_core.runs.dedupe import KEY
from cdp_core.runs.guarding import COLUMNS, STORED, guard_held, guard_staged
from cdp_core.runs.load import append_results, stop_error
from cdp_core.runs.lock import run_lock
from cdp_core.runs.plans import apply_plans, plans_in_use
from cdp_core.runs.record import Progress, Run, silent
from cdp_core.runs.replay import rules_of
from cdp_core.runs.stored import WHERE, StoredSelection, selected
from cdp_core.tables import EVENTS, QUARANTINE

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.config import Config
    from cdp_core.engine import Engine, Staging
    from cdp_core.quality.check import Verdict

KIND = "source replay"
SAMPLES = 5
_PATIENCE_SECONDS = 10.0
"""So long a run that is about to end is waited for."""


@dataclass(frozen=True, kw_only=True)
class StoredReplay:
    """`selected` = `unchanged` + `changed` + `held`.

    `rules`: rule → events that it holds. `found`: one entry per source, type and event with changed or held ones.
    `samples`: a few changed events, each {source, message_id, before, after} with the columns that differ.
    """

    run_id: str
    selected: int
    unchanged: int
    changed: int
    held: int
    rules: dict[str, int] = field(default_factory=dict)
    found: list[dict[str, Any]] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def replay_stored(
    engine: Engine,
    config: Config,
    chosen: StoredSelection,
    *,
    root: Path,
    now: datetime,
    dry_run: bool = False,
    progress: Progress = silent,
) -> StoredReplay:
    """Check stored events again and publish what came of it as one; with `dry_run` only say it.

    Raises UsageError, SpecError, WorkspaceBusy, and QualityStop when a gate stops it.
    """
    from cdp_core.engine import Staging

    rows = selected(engine, config, chosen)
    with run_lock(root / config.engine.lake, wait=_PATIENCE_SECONDS):
        run = Run(kind=KIND)
        staging = Staging(root / config.engine.lake / "staging" / f"{run.run_id}.duckdb")
        try:
            with run.stage("load") as stage:
                progress("load", None, "")
                stage.rows_in = stage.rows_out = _copied(engine, staging, rows, chosen, where=config.engine.lake)
                progress("load", 1.0, f"{stage.rows_in:,} events")
            if not stage.rows_in:
                return StoredReplay(run_id=run.run_id, selected=0, unchanged=0, changed=0, held=0)
            with run.stage("quality") as checked:
                progress("quality", None, "")
                verdict = _checked(config, staging, run, root=root, now=now)
                result = _told(staging, run)
                checked.rows_in, checked.rows_out = result.selected, result.selected - result.held
                checked.quarantined = result.held
                progress("quality", 1.0, f"{result.changed:,} changed, {result.held:,} held")
            if not dry_run and (result.changed or result.held):
                run.finish("succeeded")
                _publish(engine, staging, verdict, run)
        finally:
            staging.discard()
            engine.clear_scratch()
    return result


def _copied(engine: Engine, staging: Staging, rows: Any, chosen: StoredSelection, *, where: str) -> int:
    """Fill the staged tables `stored` and `events`. A condition may fail on a value, which its error would quote."""
    try:
        engine.copy_into(staging, {"stored": rows})
    except CDPError:
        raise
    except Exception as error:
        known = storage_error(error, where=where)
        if known is None and chosen.where is not None:
            hint = "a CAST may not fit every value: write TRY_CAST"
            raise SpecError("it cannot be answered for every event", where=WHERE, hint=hint) from None
        raise known or error from error
    staging.replace("events", staging.table("stored").drop("run_id"))
    return int(staging.table("stored").count().execute())


def _checked(config: Config, staging: Staging, run: Run, *, root: Path, now: datetime) -> Verdict:
    """Staged `changed` (columns of EVENTS) and `held` (columns of QUARANTINE), and what was found."""
    from cdp_core.config.doors import door_of
    from cdp_core.quality.check import check_batch
    from cdp_core.quality.suites import load_suites
    from cdp_core.quality.validator import Validator

    sources = sorted(staging.polars(staging.table("events").select("source").distinct())["source"])
    guard_staged(staging, {name: door_of(root, config, name) for name in sources})
    json_protocols.forget(staging)
    planned = apply_plans(staging, config, sources, plans_in_use(root, config))
    json_protocols.remember(staging)
    validator = Validator()
    try:
        verdict = check_batch(
            staging, load_suites(root / "expectations"), validator, source_tables={}, run_id=run.run_id, now=now,
            planned=planned,
        )  # fmt: skip
    finally:
        validator.close()
    if verdict.stopped:
        raise stop_error(verdict)
    json_protocols.write_changed(staging, "stored", "changed", {*json_protocols.CHECKED, *COLUMNS})
    staging.replace("changed", staging.table("changed").anti_join(staging.table("held"), KEY))
    guard_held(staging)
    json_stored.write_payloads(staging, "stored", "held", STORED)
    return verdict


def _told(staging: Staging, run: Run) -> StoredReplay:
    """Raises ContractError when an event was lost or stands twice."""
    import polars as pl

    stored = staging.table("stored")
    names = {"held": staging.table("held").select(*KEY), "changed": staging.table("changed").select(*KEY)}
    kinds = ["source", "type", "event"]
    tracked = (stored.type == "track").ifelse(stored.event, None)
    named = stored.select(*KEY, "type", event=tracked)
    counted = staging.polars(named.group_by(kinds).agg(selected=lambda t: t.count()))
    for name, keys in names.items():
        found = staging.polars(named.inner_join(keys, KEY).group_by(kinds).agg(n=lambda t: t.count()))
        counted = counted.join(found.rename({"n": name}), on=kinds, how="left", nulls_equal=True)
    counted = counted.with_columns(pl.col("held", "changed").fill_null(0))
    totals = {name: int(counted[name].sum()) for name in ("selected", "changed", "held")}
    for name in names:
        if totals[name] != int(staging.table(name).count().execute()):
            raise ContractError(f"{name} events do not add up", hint="nothing was published; please report this")
    if int(staging.table("events").count().execute()) != totals["selected"]:
        raise ContractError("stored events were lost on the way", hint="nothing was published; please report this")
    told = counted.filter(pl.col("held") + pl.col("changed") > 0).sort("held", "changed", *kinds, descending=True)
    return StoredReplay(
        run_id=run.run_id,
        selected=totals["selected"],
        unchanged=totals["selected"] - totals["changed"] - totals["held"],
        changed=totals["changed"],
        held=totals["held"],
        rules=rules_of(staging.polars(staging.table("held").select("reasons"))["reasons"]),
        found=told.select(*kinds, "selected", "changed", "held").to_dicts(),
        samples=_samples(staging),
    )


def _samples(staging: Staging) -> list[dict[str, Any]]:
    """Events of as many kinds as there is room for."""
    import ibis

    changed = staging.table("changed")
    place = ibis.row_number().over(group_by=[changed.source, changed.type, changed.event], order_by=changed.message_id)
    columns = json_protocols.CHECKED
    chosen = changed.mutate(place=place).order_by("place", "source", "message_id").limit(SAMPLES)
    old = staging.table("stored").select(*KEY, **{f"old_{c}": c for c in columns})
    rows = staging.polars(chosen.inner_join(old, KEY).order_by("place", "source", "message_id"))
    return [_sample(row) for row in rows.to_dicts()]


def _sample(row: Mapping[str, Any]) -> dict[str, Any]:
    differ = [c for c in json_protocols.CHECKED if row[c] != row[f"old_{c}"]]
    return {
        "source": row["source"],
        "message_id": row["message_id"],
        "before": {c: _value(c, row[f"old_{c}"]) for c in differ},
        "after": {c: _value(c, row[c]) for c in differ},
    }


def _value(column: str, text: str | None) -> Any:
    return text if column == "event" or text is None else json.loads(text)


def _publish(engine: Engine, staging: Staging, verdict: Verdict, run: Run) -> None:
    """A changed event keeps the run that loaded it: which version of a row counts must not depend on a replay."""
    import polars as pl

    balance = _balance(staging, run)
    # Events that were allowed are counted where they were loaded.
    blocked = verdict.violations.filter(pl.col("severity") == "quarantine")
    verdict = type(verdict)(results=verdict.results, violations=blocked)
    with engine.attach(staging) as staged, engine.transaction():
        changed, held = staged("changed"), staged("held")
        gone = engine.keep(changed.select(KEY).union(held.select(KEY)))
        engine.amend("events", gone, changed.select(list(EVENTS.columns)), tuple(KEY))
        engine.upsert("quarantine", held.select(list(QUARANTINE.columns)), tuple(KEY))
        engine.append("source_loads", engine.frame(balance))
        append_results(engine, verdict)
        forget_stages(engine)
        # Which snapshot this is, is known before it is one: nobody else can write now.
        run.snapshot_id = engine.snapshot() + 1
        engine.upsert("runs", engine.frame(run.to_row()), ("run_id",))


def forget_stages(engine: Engine) -> None:
    """What is derived is of events that are no longer so: the next run computes all of it."""
    state = engine.table("stage_state")
    engine.amend("stage_state", state, state.limit(0), ("stage",))


def _balance(staging: Staging, run: Run) -> pl.DataFrame:
    """Rows of SOURCE_LOADS: nothing is read, and what is held is no event any more."""
    import polars as pl

    held = staging.polars(staging.table("held").group_by("source").agg(quarantined=lambda t: t.count()))
    seen = staging.polars(staging.table("stored").select("source").distinct())
    rows = seen.join(held, on="source", how="left").with_columns(pl.col("quarantined").fill_null(0).cast(pl.Int64))
    return rows.select(
        "source", "quarantined", run_id=pl.lit(run.run_id), rows_read=pl.lit(0, pl.Int64),
        events=-pl.col("quarantined"), duplicates=pl.lit(0, pl.Int64), suppressed=pl.lit(0, pl.Int64),
        seconds=pl.lit(run.seconds), loaded_at=pl.lit(run.started_at),
    )  # fmt: skip
