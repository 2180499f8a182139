"""The first half of a run: sources are staged, deduplicated, checked, and what passes is published with its balance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cdp_core.errors import CDPError, ContractError, QualityStop
from cdp_core.runs.anomalies import check_days
from cdp_core.runs.barring import counted, drop_barred
from cdp_core.runs.dedupe import KEY, drop_known
from cdp_core.runs.plans import Plans, apply_plans
from cdp_core.runs.record import Progress, Run
from cdp_core.runs.returned import rename_returned
from cdp_core.tables import EVENTS

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.config import Config
    from cdp_core.engine import Engine, Staging
    from cdp_core.quality.check import Verdict
    from cdp_core.quality.suites import Suite
    from cdp_core.quality.validator import Validator
    from cdp_core.sources.spec import SourceSpec
    from cdp_core.sources.stage import StagedSource


@dataclass
class Batch:
    """What has been staged. `errors` are sources that could not be read: they cost the others nothing. `whole` are
    sources whose rows all come from one place, so that what is read last is what holds.
    """

    staged: list[StagedSource] = field(default_factory=list)
    errors: list[CDPError] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)
    balance: pl.DataFrame | None = None
    verdict: Verdict | None = None
    note: str = ""

    @property
    def rows(self) -> int:
        return sum(source.rows_read for source in self.staged)

    @property
    def sources(self) -> list[str]:
        return [source.source for source in self.staged if source.rows_read]


def stage_batch(
    engine: Engine,
    config: Config,
    staging: Staging,
    validator: Validator,
    *,
    root: Path,
    now: datetime,
    only: Sequence[str] | None,
    full: bool,
    progress: Progress,
) -> Batch:
    """Read what is new in every source. A source that fails is noted and the others go on."""
    from cdp_core.config.doors import doors_of
    from cdp_core.sources.stage import stage_sources

    doors = doors_of(root, config)
    state = engine.polars(engine.table("source_state"))
    columns = engine.polars(engine.table("source_columns"))
    batch = Batch()
    wanted = {name: spec for name, spec in config.sources.items() if only is None or name in only}
    batch.whole = [] if full else [name for name, spec in wanted.items() if _is_whole(spec)]
    for place, (name, spec) in enumerate(wanted.items()):
        progress("load", place / max(len(wanted), 1), name)
        try:
            batch.staged += stage_sources(
                {name: spec}, staging, state=state, columns=columns, root=root, now=now, full=full, doors=doors
            )
        except CDPError as error:
            batch.errors.append(_placed(error, config, name))
            _forget(staging, name)
        if batch.rows:
            validator.start()
    progress("load", 1.0, f"{batch.rows:,} rows")
    return batch


def _is_whole(spec: SourceSpec) -> bool:
    """One file or one query, and rows that are told apart by a key and their content."""
    one_place = not set("*?[") & set(str(spec.options.get("path", "")))
    return one_place and spec.map is not None and bool(spec.map.key) and spec.map.message_id is None


def _placed(error: CDPError, config: Config, source: str) -> CDPError:
    """The error with the line of cdp.yaml that it is about; one that names a line of the data keeps it."""
    where = error.where or f"sources.{source}"
    path = where.split(".")
    if path[0] != "sources":
        return error
    what = f"{where}: {error.what}" if error.where else error.what
    return type(error)(what, where=config.where(*path), choices=error.choices, hint=error.hint)


def _forget(staging: Staging, source: str) -> None:
    """Take a half-read source out of the batch, so that it is read again as a whole next time."""
    for name in ("events", "rejects"):
        if staging.has(name):
            rows = staging.table(name)
            staging.replace(name, rows.filter(rows.source != source))


def check_staged(
    engine: Engine,
    staging: Staging,
    batch: Batch,
    suites: Sequence[Suite],
    validator: Validator,
    plans: Plans,
    *,
    config: Config,
    root: Path,
    run_id: str,
    now: datetime,
    dry_run: bool,
    allow_anomalies: bool = False,
) -> None:
    """Deduplicate the batch, take out people that are not taken in, apply tracking plans, run suites, settle which
    rows are held, and look for days unlike those before (`batch.note` says what was found). Raises QualityStop.

    What a gate found is kept even though the batch is not (unless `dry_run`): the dashboard shows why it stopped.
    """
    from cdp_core.quality.check import check_batch

    staging.append("events", EVENTS.empty().drop("run_id"))
    rename_returned(engine, staging, [name for name in batch.sources if name in batch.whole])
    duplicates = drop_known(engine, staging, batch.sources)
    suppressed = counted(drop_barred(engine, staging, config, batch.sources, root=root))
    tables = {source: f"rows_{source}" for source in batch.sources if staging.has(f"rows_{source}")}
    planned = apply_plans(staging, config, batch.sources, plans)
    batch.verdict = check_batch(
        staging, suites, validator, source_tables=tables, run_id=run_id, now=now, planned=planned
    )
    batch.balance = _balance(staging, batch, duplicates, suppressed)
    if batch.verdict.stopped:
        if not dry_run:
            keep_results(engine, batch.verdict)
        raise stop_error(batch.verdict)
    batch.note = check_days(engine, staging, config.quality.anomalies, run_id=run_id, now=now, allow=allow_anomalies)


def stop_error(verdict: Verdict) -> QualityStop:
    """The error of a run that an expectation of severity "stop" ended."""
    first = verdict.stopped[0]
    seen = f": {first.observed}" if first.observed and not first.failed else ""
    more = f" and {len(verdict.stopped) - 1} more" if len(verdict.stopped) > 1 else ""
    return QualityStop(
        f"expectation {first.rule!r} of suite {first.suite!r} failed"
        f" ({first.failed:,} of {first.checked:,}){seen}{more}",
        hint="nothing was published; correct the data or the suite, see 'cdp quality list'",
    )


def _balance(staging: Staging, batch: Batch, duplicates: pl.DataFrame, suppressed: pl.DataFrame) -> pl.DataFrame:
    """Rows read = events + duplicates + quarantined + suppressed, counted each on its own. Raises ContractError."""
    import polars as pl

    read = pl.DataFrame(
        {
            "source": [s.source for s in batch.staged],
            "rows_read": [s.rows_read for s in batch.staged],
            "seconds": [float(s.seconds) for s in batch.staged],
        },
        schema={"source": pl.String, "rows_read": pl.Int64, "seconds": pl.Float64},
    )
    events, held = staging.table("events"), staging.table("held")
    passed = staging.polars(events.anti_join(held, KEY).group_by("source").agg(events=lambda t: t.count()))
    kept = staging.polars(held.group_by("source").agg(quarantined=lambda t: t.count()))
    balance = read.join(passed, on="source", how="left").join(duplicates, on="source", how="left")
    balance = balance.join(kept, on="source", how="left").join(suppressed, on="source", how="left").fill_null(0)
    wrong = balance.filter(
        pl.col("rows_read") != pl.sum_horizontal("events", "duplicates", "quarantined", "suppressed")
    )
    if wrong.height:
        row = wrong.row(0, named=True)
        raise ContractError(
            f"rows do not add up: {row['rows_read']:,} read, {row['events']:,} events"
            f" + {row['duplicates']:,} duplicates + {row['quarantined']:,} quarantined"
            f" + {row['suppressed']:,} suppressed",
            where=f"source {row['source']}",
            hint="nothing was published; please report this",
        )
    return balance


def publish_batch(engine: Engine, staging: Staging, batch: Batch, run: Run, *, now: datetime) -> None:
    """Publish events, quarantine, results and load state as one."""
    import ibis
    import polars as pl

    assert batch.balance is not None
    balance = batch.balance.with_columns(run_id=pl.lit(run.run_id), loaded_at=pl.lit(now))
    with engine.attach(staging) as staged, engine.transaction():
        fresh = staged("events").anti_join(staged("held"), KEY)
        engine.append("events", fresh.mutate(run_id=ibis.literal(run.run_id)))
        engine.append("quarantine", staged("held"))
        append_results(engine, batch.verdict)
        engine.append("source_loads", engine.frame(balance.filter(pl.col("rows_read") > 0)))
        _publish_state(engine, batch, run)


def tidy_inbox(engine: Engine, root: Path, sources: Sequence[str]) -> str:
    """Received requests that are in the lake now need not wait any longer. Gives a word about those that do."""
    from cdp_core.inbox import files, reader

    if not files.inbox_files(root):
        return ""
    loaded = loaded_requests(engine)
    reader.tidy(root, loaded)
    waiting = sum(count for source, count in reader.waiting(root, loaded).items() if source in sources)
    return f"{waiting:,} received events wait for the next run" if waiting else ""


def loaded_requests(engine: Engine) -> dict[tuple[str, str], int]:
    """(source, file of the inbox) → the last request in the lake."""
    state = engine.table("source_state")
    rows = engine.polars(state.filter(state.part.startswith("inbox-")).select("source", "part", "cursor"))
    return {(source, part): int(cursor) for source, part, cursor in rows.iter_rows() if cursor}


def publish_empty(engine: Engine, batch: Batch, run: Run) -> None:
    """Remember files that were looked at and held nothing new (a touched file, a header without rows)."""
    if any(source.parts.height for source in batch.staged):
        with engine.transaction():
            _publish_state(engine, batch, run)


def _publish_state(engine: Engine, batch: Batch, run: Run) -> None:
    import polars as pl

    for name, key, frames in (
        ("source_state", ("source", "part"), [source.parts for source in batch.staged]),
        ("source_columns", ("source", "column"), [source.columns for source in batch.staged]),
    ):
        filled = [frame for frame in frames if frame.height]
        if filled:
            rows = pl.concat(filled, how="diagonal_relaxed").with_columns(run_id=pl.lit(run.run_id))
            engine.upsert(name, engine.frame(rows), key)


def keep_results(engine: Engine, verdict: Verdict) -> None:
    """Keep what the suites found of a batch that is not published."""
    with engine.transaction():
        append_results(engine, verdict)


def append_results(engine: Engine, verdict: Verdict | None) -> None:
    """Keep expectation results and violations of a verdict; call it within a transaction."""
    if verdict is None:
        return
    if verdict.results.height:
        engine.append("quality_results", engine.frame(verdict.results))
    if verdict.violations.height:
        engine.append("violations", engine.frame(verdict.violations))
