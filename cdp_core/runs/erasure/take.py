"""A person's rows taken out of every table, as one; what is derived stays what it would be without them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from cdp_core import tables
from cdp_core.runs import derive, new_events
from cdp_core.runs.erasure.find import Person, Trace, traces
from cdp_core.runs.erasure.samples import clear_samples, samples_of
from cdp_core.runs.record import Run

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.config import Config
    from cdp_core.engine import Engine
    from cdp_core.identity.overrides import Override

UNTOUCHED = ("identity_conflicts", "identity_matches")
"""With rows of the person in one of these, what others are may depend on them."""


def take_out(
    engine: Engine, config: Config, person: Person, *, decisions: Sequence[Override], now: datetime,
    counted: Callable[[Mapping[str, int], Sequence[str]], None] = lambda rows, sources: None,
) -> dict[str, int]:  # fmt: skip
    """Table → rows of the person that are out of it. Nobody else may be publishing meanwhile (`run_lock`); `counted`
    hears of them, and which sources they came from, before they go.

    Where nobody else can be different without them, stages that were up to date stay so; otherwise the next run
    computes them anew.
    """
    run = Run(kind="erasure")
    try:
        found = traces(engine, config, person)
        taken = _counts(engine, found)
        if not any(taken.values()):
            return {}
        balance = _balance(engine, found, run)
        counted({name: rows for name, rows in taken.items() if rows}, sorted(balance["source"]))
        apart = not any(taken.get(name) for name in UNTOUCHED) and not config.identity.matching
        fresh = _fresh(engine, config, decisions, now) if apart else {}
        samples = samples_of(engine, found)
        run.finish("succeeded")
        with engine.transaction():
            clear_samples(engine, samples)
            for one in found:
                table = engine.table(one.table)
                engine.amend(one.table, one.rows, table.limit(0), one.key)
            engine.append("source_loads", engine.frame(balance))
            engine.upsert("runs", engine.frame(run.to_row()), ("run_id",))
            # Those about the person go next, and are about nobody else.
            stay = [each for each in decisions if not {each.left, each.right} & person.identifiers]
            _settle(engine, config, fresh, stay, now)
        return {name: rows for name, rows in taken.items() if rows}
    finally:
        engine.clear_scratch()


def _counts(engine: Engine, found: Sequence[Trace]) -> dict[str, int]:
    """Table → rows of it that one of its traces leads to, each once; in one query."""
    import ibis

    parts = []
    for name in dict.fromkeys(one.table for one in found):
        left = engine.table(name)
        for one in [each for each in found if each.table == name]:
            rows = left.semi_join(one.rows, list(one.key))
            parts.append(rows.aggregate(n=rows.count()).mutate(name=ibis.literal(name)))
            left = left.anti_join(one.rows, list(one.key))
    every = ibis.union(*parts)
    return dict(engine.polars(every.group_by("name").agg(n=every.n.sum())).select("name", "n").iter_rows())


def _balance(engine: Engine, found: Sequence[Trace], run: Run) -> pl.DataFrame:
    """Rows of SOURCE_LOADS: nothing is read, and what was an event or held is suppressed now."""
    import polars as pl

    counted = []
    for name, column in (("events", "events"), ("quarantine", "quarantined")):
        rows = next(one.rows for one in found if one.table == name)
        own = engine.table(name).semi_join(rows, ["source", "message_id"])
        if name == "quarantine":
            own = own.filter(own.status == "held")
        counted.append(engine.polars(own.group_by("source").agg(**{column: lambda t: t.count()})))
    rows = counted[0].join(counted[1], on="source", how="full", coalesce=True).fill_null(0)
    return rows.select(
        "source", events=-pl.col("events"), quarantined=-pl.col("quarantined"), run_id=pl.lit(run.run_id),
        rows_read=pl.lit(0, pl.Int64), duplicates=pl.lit(0, pl.Int64),
        suppressed=pl.col("events") + pl.col("quarantined"), seconds=pl.lit(run.seconds),
        loaded_at=pl.lit(run.started_at),
    )  # fmt: skip


def _fresh(engine: Engine, config: Config, decisions: Sequence[Override], now: datetime) -> dict[str, str]:
    """Stages whose published tables are what they would be now, with what is stored of them."""
    wanted = derive.fingerprints(engine, config, now, decisions)
    state = engine.polars(engine.table("stage_state"))
    known = dict(zip(state["stage"], state["fingerprint"], strict=True))
    fresh = {name: mark for name, mark in wanted.items() if known.get(name) == mark}
    rules = new_events.rules_state(derive.rules_fingerprint(config, decisions), _events(engine))
    if known.get(new_events.STAGE) == rules:
        fresh[new_events.STAGE] = rules
    if any(getattr(spec, "sql", None) for spec in config.traits.values()):
        # A query may compare people with each other.
        fresh.pop("profiles", None)
        fresh.pop("audiences", None)
    return fresh


def _settle(
    engine: Engine, config: Config, fresh: dict[str, str], decisions: Sequence[Override], now: datetime
) -> None:
    import polars as pl

    wanted = derive.fingerprints(engine, config, now, decisions)
    wanted[new_events.STAGE] = new_events.rules_state(derive.rules_fingerprint(config, decisions), _events(engine))
    state = engine.polars(engine.table("stage_state"))
    own = state.filter(pl.col("stage").is_in([*derive.DERIVED, new_events.STAGE]))
    marks = {name: mark if name in fresh else "" for name, mark in wanted.items()}
    stays = own.with_columns(fingerprint=pl.col("stage").replace_strict(marks, return_dtype=pl.String))
    stays = stays.select(list(tables.STAGE_STATE.columns))
    engine.amend("stage_state", engine.frame(own), engine.frame(stays), ("stage",))


def _events(engine: Engine) -> int:
    return int(engine.polars(engine.table("events").count().name("n").as_table()).item())
