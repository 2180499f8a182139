"""Held rows tried again, by today's mapping, tracking plan and suites: what passes becomes events, the rest stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core.errors import ContractError, UsageError
from cdp_core.runs.barring import counted, drop_barred
from cdp_core.runs.dedupe import KEY, drop_known
from cdp_core.runs.guarding import guard_rows
from cdp_core.runs.load import append_results, stop_error
from cdp_core.runs.lock import run_lock
from cdp_core.runs.plans import apply_plans, plans_in_use
from cdp_core.runs.record import Run
from cdp_core.tables import EVENTS, QUARANTINE

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.config import Config
    from cdp_core.engine import Engine, Staging
    from cdp_core.quality.check import Verdict


_FORBIDDEN = r'"rule": ?"(?:key\.|limit\.|spec\.envelope)'


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which held rows: of a `source`, held by a `rule`, with one of `ids` (message ids). Empty means all."""

    source: str | None = None
    rule: str | None = None
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Replay:
    """`selected` = `passed` + `held` + `known` (events already) + `suppressed` (of people of whom nothing is taken in;
    these rows are gone). `rules`: rule → rows that it still holds.
    """

    run_id: str
    selected: int
    passed: int
    held: int
    known: int
    rules: dict[str, int]
    suppressed: int = 0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def replay_held(
    engine: Engine, config: Config, selection: Selection, *, root: Path, now: datetime, dry_run: bool = False
) -> Replay:
    """Try held rows again and publish what came of it as one; with `dry_run` only say it.

    Raises UsageError (an unknown source), WorkspaceBusy, SpecError, and QualityStop when a gate stops it.
    """
    from cdp_core.engine import Staging

    if selection.source is not None and selection.source not in config.sources:
        raise UsageError.unknown("source", selection.source, config.sources)
    with run_lock(root / config.engine.lake):
        run = Run(kind="replay")
        staging = Staging(root / config.engine.lake / "staging" / f"{run.run_id}.duckdb")
        try:
            with run.stage("quality") as stage:
                held, left = _parted(
                    guard_rows(engine, staging, config, select_held(engine, config, selection), root=root), config
                )
                verdict, known, gone = _tried(engine, config, staging, held, run, root=root, now=now)
                found = _counted(staging, held, left, known, gone, run)
                stage.rows_in, stage.rows_out, stage.quarantined = found.selected, found.passed, found.held
            if held.height and not dry_run:
                run.finish("succeeded")
                _publish(engine, staging, held, gone, verdict, run)
        finally:
            staging.discard()
            engine.clear_scratch()
    return found


def select_held(engine: Engine, config: Config, selection: Selection) -> pl.DataFrame:
    """The rows of the table quarantine that `selection` means; of sources that cdp.yaml still has."""
    rows = engine.table("quarantine")
    rows = rows.filter(rows.status == "held", rows.source.isin(list(config.sources)))
    if selection.source is not None:
        rows = rows.filter(rows.source == selection.source)
    if selection.rule is not None:
        rows = rows.filter(
            rows.reasons.contains(f'"rule":"{selection.rule}"') | rows.reasons.contains(f'"rule": "{selection.rule}"')
        )
    if selection.ids:
        rows = rows.semi_join(engine.frame(_ids(selection.ids)), "message_id")
    return engine.polars(rows)


def _parted(held: pl.DataFrame, config: Config) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows to try again, and rows that stay as they are until somebody corrects them: what a key or a limit forbade
    (another look at the content cannot tell), and lines that could not be read as rows.
    """
    import polars as pl

    tables = [name for name, spec in config.sources.items() if spec.map is not None]
    forbidden = pl.col("reasons").str.contains(_FORBIDDEN)
    unread = pl.col("source").is_in(tables) & ~pl.col("payload").str.starts_with("{")
    stays = pl.col("fixed").is_null() & (forbidden | unread).fill_null(True)
    return held.filter(~stays), held.filter(stays)


def _ids(ids: Sequence[str]) -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame({"message_id": list(ids)}, schema={"message_id": pl.String})


def _tried(
    engine: Engine, config: Config, staging: Staging, held: pl.DataFrame, run: Run, *, root: Path, now: datetime
) -> tuple[Verdict, int, pl.DataFrame]:
    """What the checks say of the rows, how many are events already, and those (source, message_id) that must go."""
    import polars as pl

    from cdp_core.config.doors import door_of
    from cdp_core.quality.check import check_batch
    from cdp_core.quality.suites import load_suites
    from cdp_core.quality.validator import Validator
    from cdp_core.sources.again import stage_held

    sources = sorted(held["source"].unique())
    columns = engine.polars(engine.table("source_columns"))
    content = held.with_columns(payload=pl.coalesce("fixed", "payload")).select(
        "source", "message_id", "received_at", "payload", "shape"
    )
    for name in sources:
        rows = content.filter(pl.col("source") == name).drop("source")
        door = door_of(root, config, name)
        stage_held(name, config.sources[name], staging, rows, columns=columns, now=now, door=door)
    staging.append("events", EVENTS.empty().drop("run_id"))
    known = drop_known(engine, staging, sources, held=False)
    gone = drop_barred(engine, staging, config, sources, root=root)
    planned = apply_plans(staging, config, sources, plans_in_use(root, config))
    tables = {name: f"rows_{name}" for name in sources if staging.has(f"rows_{name}")}
    validator = Validator()
    try:
        verdict = check_batch(
            staging, load_suites(root / "expectations"), validator, source_tables=tables, run_id=run.run_id, now=now,
            planned=planned,
        )  # fmt: skip
    finally:
        validator.close()
    if verdict.stopped:
        raise stop_error(verdict)
    return verdict, int(known["duplicates"].sum()), gone


def _counted(
    staging: Staging, held: pl.DataFrame, left: pl.DataFrame, known: int, gone: pl.DataFrame, run: Run
) -> Replay:
    """Raises ContractError when a row was lost."""
    import polars as pl

    still = staging.polars(staging.table("held").select(*KEY, "reasons"))
    fresh = staging.table("events").anti_join(staging.table("held"), KEY)
    passed = staging.polars(fresh.count().name("n").as_table()).item()
    if held.height != passed + still.height + known + gone.height:
        told = f"{passed} events, {still.height} held, {known} known and {gone.height} gone"
        what = f"{held.height} rows tried again, but {told}"
        raise ContractError(what, hint="nothing was published; please report this")
    return Replay(
        run_id=run.run_id,
        selected=held.height + left.height,
        passed=passed,
        held=still.height + left.height,
        known=known,
        rules=rules_of(pl.concat([still["reasons"], left["reasons"]])),
        suppressed=gone.height,
    )


def rules_of(reasons: pl.Series) -> dict[str, int]:
    """Rule → rows that name it, most rows first."""
    import polars as pl

    named = pl.List(pl.Struct({"rule": pl.String}))
    rules = reasons.str.json_decode(named).list.eval(pl.element().struct.field("rule").unique())
    counted = rules.explode().drop_nulls().value_counts(name="rows")
    counted = counted.sort("rows", reasons.name, descending=[True, False])
    return dict(counted.iter_rows())


def _publish(
    engine: Engine, staging: Staging, held: pl.DataFrame, gone: pl.DataFrame, verdict: Verdict, run: Run
) -> None:
    """A row that is still held keeps its content, with today's reasons; one of those `gone` is kept nowhere."""
    import ibis
    import polars as pl

    reasons = staging.polars(staging.table("held").select(*KEY, now="reasons"))
    balance = _balance(staging, held, gone, reasons, run)
    rows = (
        held.join(gone, on=KEY, how="anti")
        .join(reasons, on=KEY, how="left")
        .with_columns(
            status=pl.when(pl.col("now").is_null()).then(pl.lit("replayed")).otherwise(pl.lit("held")),
            reasons=pl.coalesce("now", "reasons"),
            run_id=pl.lit(run.run_id),
        )
    )
    with engine.attach(staging) as staged, engine.transaction():
        fresh = staged("events").anti_join(staged("held"), KEY)
        engine.append("events", fresh.mutate(run_id=ibis.literal(run.run_id)))
        kept = engine.frame(rows.select(list(QUARANTINE.columns)))
        engine.amend("quarantine", engine.frame(held.select(KEY)), kept, tuple(KEY))
        engine.append("source_loads", engine.frame(balance))
        append_results(engine, verdict)
        engine.upsert("runs", engine.frame(run.to_row()), ("run_id",))


def _balance(staging: Staging, held: pl.DataFrame, gone: pl.DataFrame, still: pl.DataFrame, run: Run) -> pl.DataFrame:
    """Rows of SOURCE_LOADS: nothing is read, and what is held no longer has become events or was that already."""
    import polars as pl

    events = staging.polars(staging.table("events").anti_join(staging.table("held"), KEY).select("source"))
    left = held.join(still, on=KEY, how="anti").group_by("source").agg(left=pl.len().cast(pl.Int64))
    passed = events.group_by("source").agg(events=pl.len().cast(pl.Int64))
    rows = left.join(passed, on="source", how="left").join(counted(gone), on="source", how="left")
    rows = rows.with_columns(pl.col("events", "suppressed").fill_null(0))
    return rows.select(
        "source", "events", "suppressed", run_id=pl.lit(run.run_id), rows_read=pl.lit(0, pl.Int64),
        quarantined=-pl.col("left"), duplicates=pl.col("left") - pl.col("events") - pl.col("suppressed"),
        seconds=pl.lit(run.seconds), loaded_at=pl.lit(run.started_at),
    )  # fmt: skip
