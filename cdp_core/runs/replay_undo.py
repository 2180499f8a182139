"""A replay of stored events, taken back: from the snapshot that it replaced."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core.config.doors import door_of
from cdp_core.errors import UsageError
from cdp_core.runs.dedupe import KEY
from cdp_core.runs.guarding import guard_rows, guard_staged
from cdp_core.runs.lock import run_lock
from cdp_core.runs.record import Run
from cdp_core.runs.replay_stored import KIND, forget_stages
from cdp_core.tables import EVENTS, QUARANTINE

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.config import Config
    from cdp_core.engine import Engine, Staging


@dataclass(frozen=True, kw_only=True)
class Undone:
    """`restored` events are as they were before the replay; `left` ones have changed since and stay as they are."""

    run_id: str
    restored: int
    left: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class _Back:
    """`events` as they were; `replaced` and `held` (keys) go for them; `quarantine` as it was under the held keys."""

    events: ir.Table
    replaced: ir.Table
    held: ir.Table
    quarantine: ir.Table
    left: int


def undo_replay(engine: Engine, config: Config, run_id: str, *, root: Path) -> Undone:
    """Put back what a replay changed or held, unless something else has changed it since. Controls on personal data
    are not undone.

    Raises UsageError (no such replay), WorkspaceBusy, and EngineError when the snapshot before it is no longer kept.
    """
    from cdp_core.engine import Staging

    with run_lock(root / config.engine.lake):
        run = Run(kind="undo")
        staging = Staging(root / config.engine.lake / "staging" / f"{run.run_id}.duckdb")
        try:
            with run.stage("load") as stage:
                back = _back(engine, run_id, _snapshot(engine, run_id))
                counted = engine.polars(back.events.group_by("source").agg(events=lambda t: t.count()))
                held = back.events.semi_join(back.held, KEY).group_by("source").agg(held=lambda t: t.count())
                balance = _balance(counted, engine.polars(held), run)
                stage.rows_in = stage.rows_out = int(counted["events"].sum() or 0)
            if stage.rows_out:
                run.finish("succeeded")
                held = engine.frame(_guarded(engine, staging, config, back, root))
                with engine.attach(staging) as staged, engine.transaction():
                    engine.amend("events", back.replaced, staged("events"), tuple(KEY))
                    engine.amend("quarantine", back.held, held, tuple(KEY))
                    engine.append("source_loads", engine.frame(balance))
                    forget_stages(engine)
                    engine.upsert("runs", engine.frame(run.to_row()), ("run_id",))
        finally:
            staging.discard()
            engine.clear_scratch()
    return Undone(run_id=run_id, restored=stage.rows_out, left=back.left)


def _guarded(engine: Engine, staging: Staging, config: Config, back: _Back, root: Path) -> pl.DataFrame:
    """Staged `events` and rows of the quarantine as they were, but for what the controls of today take out of them."""
    engine.copy_into(staging, {"events": back.events})
    guard_staged(staging, {name: door_of(root, config, name) for name in config.sources})
    held = engine.polars(back.quarantine)
    return guard_rows(engine, staging, config, held.filter(held["source"].is_in(list(config.sources))), root=root)


def _snapshot(engine: Engine, run_id: str) -> int:
    runs = engine.table("runs")
    known = engine.polars(
        runs.filter(runs.kind == KIND).order_by(runs.started_at.desc()).select("run_id", "snapshot_id")
    )
    found = dict(known.iter_rows())
    if run_id not in found:
        hint = None if found else "nothing has been replayed here"
        raise UsageError(f"no replay of stored events has the run id {run_id!r}", choices=list(found)[:5], hint=hint)
    return int(found[run_id])


def _back(engine: Engine, run_id: str, snapshot: int) -> _Back:
    loads = engine.table("source_loads")
    touched = loads.filter(loads.run_id == run_id).select("source")
    columns = list(EVENTS.columns)

    def at(number: int) -> ir.Table:
        return engine.keep(engine.table_at("events", number).semi_join(touched, "source").select(columns))

    before, after = at(snapshot - 1), at(snapshot)
    old, new = engine.keep(before.difference(after)), engine.keep(after.difference(before))
    now = engine.table("events").semi_join(old, KEY).select(columns)
    replaced = engine.keep(now.intersect(new).select(KEY))
    kept = engine.table("quarantine")
    kept = kept.filter(kept.run_id == run_id, kept.status == "held", kept.fixed.isnull())
    held = engine.keep(kept.semi_join(old, KEY).anti_join(now, KEY).select(KEY))
    events = engine.keep(old.semi_join(replaced.union(held), KEY))
    quarantine = engine.table_at("quarantine", snapshot - 1).semi_join(held, KEY).select(list(QUARANTINE.columns))
    left = engine.polars(old.anti_join(events, KEY).count().name("n").as_table()).item()
    return _Back(events=events, replaced=replaced, held=held, quarantine=engine.keep(quarantine), left=int(left))


def _balance(counted: pl.DataFrame, held: pl.DataFrame, run: Run) -> pl.DataFrame:
    """Rows of SOURCE_LOADS: what was held is an event again."""
    import polars as pl

    rows = counted.join(held, on="source", how="left").with_columns(pl.col("held").fill_null(0).cast(pl.Int64))
    return rows.select(
        "source", events="held", quarantined=-pl.col("held"), run_id=pl.lit(run.run_id),
        rows_read=pl.lit(0, pl.Int64), duplicates=pl.lit(0, pl.Int64), suppressed=pl.lit(0, pl.Int64),
        seconds=pl.lit(run.seconds), loaded_at=pl.lit(run.started_at),
    )  # fmt: skip
