"""The run itself: stages in order, one published batch of events, one published set of derived tables."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core.engine.trouble import storage_error
from cdp_core.errors import CDPError, QualityStop, UsageError
from cdp_core.identity.overrides import in_force
from cdp_core.privacy.consent import fingerprint
from cdp_core.runs import auditing, consenting, derive, load, suppressing
from cdp_core.runs.brake import check_jump
from cdp_core.runs.decisions import read_decisions
from cdp_core.runs.due import due_syncs, following
from cdp_core.runs.erasure.returned import take_out_returned
from cdp_core.runs.lock import run_lock
from cdp_core.runs.plans import Plans, plans_in_use
from cdp_core.runs.record import STAGES, Progress, Run, silent
from cdp_core.runs.retention import apply_retention

if TYPE_CHECKING:
    from cdp_core.config import Config
    from cdp_core.engine import Engine, Staging

SHOWN_TABLES = ("events", "quarantine", "user_identifiers", "profiles", "audience_members", "sync_ledger")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What `cdp run` was asked for. `select` names stages, sources or syncs; empty means everything. `allow_jump` lets
    through what the brake on identity would stop, `allow_anomalies` what the gate on anomalies would.
    """

    select: tuple[str, ...] = ()
    full_refresh: bool = False
    dry_run: bool = False
    sync: bool = False
    allow_jump: bool = False
    allow_anomalies: bool = False
    wait: float | None = 0


def run_pipeline(
    engine: Engine,
    config: Config,
    options: Options,
    *,
    root: Path,
    now: datetime,
    sync: Callable[[Run, list[str]], None],
    alert: Callable[[Run], None] = lambda run: None,
    erase: Callable[[], None] = lambda: None,
    progress: Progress = silent,
) -> Run:
    """Run the stages and record them; `alert` hears how it ended, before that is written down. `erase` goes on with
    erasures that are open.

    A gate gives a run of status "stopped" (exit 3), unreadable sources one of status "failed" (exit 2) after the others
    were loaded. Raises WorkspaceBusy, UsageError and SpecError before anything is written.
    """
    chosen = _choose(config, options)
    folder = root / config.engine.lake
    with run_lock(folder, wait=options.wait):
        run = Run(kind="dry" if options.dry_run else "run")
        engine.ensure_tables()
        _clean_up(engine, folder, root)
        if not options.dry_run:
            _record(engine, run)
        try:
            _stages(engine, config, options, chosen, run, root=root, now=now, sync=sync, erase=erase, progress=progress)
        except QualityStop as error:
            run.finish("stopped", str(error), error.exit_code)
        except CDPError as error:
            run.finish("failed", str(error), error.exit_code)
        except Exception as error:
            known = storage_error(error, where=config.engine.lake)
            what = str(known or f"stopped by {type(error).__name__}")
            run.finish("failed", what, known.exit_code if known else 1)
            if known is None:
                alert(run)
                _close_quietly(engine, run, options, root)
                raise
        except BaseException as error:
            run.finish("failed", f"stopped by {type(error).__name__}", 1)
            _close_quietly(engine, run, options, root)
            raise
        alert(run)
        if run.status == "failed":
            _close_quietly(engine, run, options, root)
        else:
            _close(engine, run, options, root)
        return run


@dataclass(frozen=True, kw_only=True)
class _Chosen:
    stages: frozenset[str]
    sources: list[str] | None
    syncs: list[str]


def _choose(config: Config, options: Options) -> _Chosen:
    """Turn --select into stages, sources and syncs. A source means loading it and all that follows."""
    names = options.select
    valid = [*STAGES, *config.sources, *config.syncs]
    for name in names:
        if name not in valid:
            raise UsageError.unknown("selection", name, valid)
    stages = {n for n in names if n in STAGES}
    sources = [n for n in names if n in config.sources]
    syncs = [n for n in names if n in config.syncs]
    if not stages:
        stages = set(STAGES[:-1]) if sources or not syncs else set()
        if options.sync or syncs:
            stages.add("sync")
    if sources or "quality" in stages:
        stages.add("load")
    return _Chosen(stages=frozenset(stages), sources=sources or None, syncs=syncs or list(config.syncs))


def _stages(
    engine: Engine,
    config: Config,
    options: Options,
    chosen: _Chosen,
    run: Run,
    *,
    root: Path,
    now: datetime,
    sync: Callable[[Run, list[str]], None],
    erase: Callable[[], None],
    progress: Progress,
) -> None:
    from cdp_core.engine import Staging
    from cdp_core.quality.suites import load_suites
    from cdp_core.quality.validator import Validator

    suites = load_suites(root / "expectations")
    plans = plans_in_use(root, config)
    staging = Staging(root / config.engine.lake / "staging" / f"{run.run_id}.duckdb")
    validator = Validator(expected=any(suite.expectations for suite in suites))
    errors: list[CDPError] = []
    try:
        if "load" in chosen.stages:
            errors = _load(engine, config, options, chosen, run, staging, suites, validator, plans, root, now, progress)
            _keep_to_retention(engine, config, options, run, now)
        staging.discard()
        if options.dry_run:
            _finish(run, errors, "dry")
            return
        if chosen.stages & set(derive.DERIVED):
            _derive(engine, config, options, run, staging, suites, validator, root, now, progress)
    finally:
        validator.close()
        staging.discard()
    erase()
    take_out_returned(engine, config, root, now)
    if syncs := _syncs(engine, config, chosen, run):
        with run.stage("sync"):
            sync(run, syncs)
    if run.finished_at is None:
        _finish(run, errors)


def _keep_to_retention(engine: Engine, config: Config, options: Options, run: Run, now: datetime) -> None:
    gone = 0 if options.dry_run else apply_retention(engine, config, run, now)
    if gone:
        stage = run.stages[-1]
        stage.note = "; ".join(filter(None, [stage.note, f"{gone:,} rows past their retention left"]))


def _syncs(engine: Engine, config: Config, chosen: _Chosen, run: Run) -> list[str]:
    """Those that were asked for; otherwise, behind a run that came as far as audiences, those that follow it."""
    if "sync" in chosen.stages:
        return chosen.syncs
    return due_syncs(engine, config, run.run_id) if "audiences" in chosen.stages and following(config) else []


def _finish(run: Run, errors: Sequence[CDPError], status: str = "succeeded") -> None:
    if not errors:
        run.finish(status)
        return
    more = f" (and {len(errors) - 1} more sources failed)" if len(errors) > 1 else ""
    run.finish("failed", f"{errors[0]}{more}", errors[0].exit_code)


def _load(
    engine: Engine,
    config: Config,
    options: Options,
    chosen: _Chosen,
    run: Run,
    staging: Staging,
    suites: Sequence[Any],
    validator: Any,
    plans: Plans,
    root: Path,
    now: datetime,
    progress: Progress,
) -> list[CDPError]:
    with run.stage("load") as result:
        batch = load.stage_batch(
            engine,
            config,
            staging,
            validator,
            root=root,
            now=now,
            only=chosen.sources,
            full=options.full_refresh,
            progress=progress,
        )
        result.rows_in = batch.rows
    with run.stage("quality") as quality:
        if not batch.rows:
            quality.note = "nothing new"
            if batch.staged and not options.dry_run:
                load.publish_empty(engine, batch, run)
            return batch.errors
        progress("quality", None, "")
        dry, run_id = options.dry_run, run.run_id
        load.check_staged(
            engine, staging, batch, suites, validator, plans, config=config, root=root, run_id=run_id, now=now,
            dry_run=dry, allow_anomalies=options.allow_anomalies,
        )  # fmt: skip
        quality.note = batch.note
        assert batch.balance is not None
        quality.rows_in = batch.rows
        result.rows_out = quality.rows_out = int(batch.balance["events"].sum())
        result.quarantined = quality.quarantined = int(batch.balance["quarantined"].sum())
        if not options.dry_run:
            load.publish_batch(engine, staging, batch, run, now=now)
            result.note = load.tidy_inbox(engine, root, batch.sources)
        progress("quality", 1.0, f"{quality.quarantined:,} held")
    return batch.errors


def _derive(
    engine: Engine,
    config: Config,
    options: Options,
    run: Run,
    staging: Staging,
    suites: Sequence[Any],
    validator: Any,
    root: Path,
    now: datetime,
    progress: Progress,
) -> None:
    decisions, said = in_force(read_decisions(root)), consenting.decisions_in_force(root)
    consents = fingerprint(said)
    stale = derive.stale_stages(engine, config, now, decisions, consents=consents, full=options.full_refresh)
    if stale:
        validator.start()
    full = options.full_refresh
    desk = functools.partial(consenting.desk, engine, root, active=said)
    made = derive.derive(
        engine, config, stale, run, now=now, progress=progress, decisions=decisions, desk=desk, full=full
    )
    if not stale:
        return
    if "profiles" in stale:
        made.stages[derive.CONSENT] = consents
    if "identity" in stale:
        suppressing.add_to(engine, made, root)
    if "identity" in stale and not options.allow_jump:
        check_jump(engine, made.replaced["user_identifiers"], made.replaced["profile_merges"], config.identity.brake)
    verdict = derive.check_derived(engine, staging, made, suites, validator, run_id=run.run_id, now=now)
    derive.publish_derived(engine, made, verdict, run, now=now)
    engine.clear_scratch()


def _record(engine: Engine, run: Run) -> None:
    with engine.transaction():
        engine.upsert("runs", engine.frame(run.to_row()), ("run_id",))


def _close(engine: Engine, run: Run, options: Options, root: Path) -> None:
    """Write the run's record and tidy the lake; a run that did nothing leaves the lake's files alone."""
    counts = {name: engine.table(name).count().name(name) for name in SHOWN_TABLES if engine.has(name)}
    for name, count in counts.items():
        run.tables[name] = int(engine.polars(count.as_table()).item())
    if options.dry_run:
        return
    run.snapshot_id = engine.snapshot()
    with engine.transaction():
        engine.upsert("runs", engine.frame(run.to_row()), ("run_id",))
        auditing.publish(engine, root)
    if any(stage.rows_out for stage in run.stages):
        engine.maintain()


def _close_quietly(engine: Engine, run: Run, options: Options, root: Path) -> None:
    """Record a failed run where that is still possible: what stopped it (a full disk) may refuse the record too."""
    with contextlib.suppress(Exception):
        _close(engine, run, options, root)


def _clean_up(engine: Engine, folder: Path, root: Path) -> None:
    """What a killed run left behind: its staging file goes, its record says what happened."""
    for path in (folder / "staging").glob("*"):
        path.unlink(missing_ok=True)
    runs = engine.table("runs")
    dead = engine.polars(runs.filter(runs.status == "running"))
    if dead.height:
        import polars as pl

        dead = dead.with_columns(status=pl.lit("failed"), error=pl.lit("its process ended before it was done"))
        with engine.transaction():
            engine.upsert("runs", engine.frame(dead), ("run_id",))
