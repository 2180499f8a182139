"""One event in a hundred is new: what looking at what it touches costs beside looking at everything."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import identity_world
import polars as pl
import pytest
from test_identity import SPEC

from cdp_core.engine import Engine, EngineSpec, open_engine
from cdp_core.identity.batch import Published
from cdp_core.identity.incremental import update
from cdp_core.identity.resolve import resolve

pytestmark = pytest.mark.benchmark
PEOPLE = int(os.environ.get("CDP_PEOPLE", "500000"))
TABLES = ("identity_links", "user_identifiers", "event_profiles", "profile_merges", "identity_conflicts")
NOW = datetime(2026, 1, 1)


def full(engine: Engine, previous: bool) -> None:
    known = (engine.table("user_identifiers"), engine.table("profile_merges")) if previous else (None, None)
    found = resolve(engine, engine.table("events"), SPEC, previous=known[0], merges=known[1], now=NOW)
    with engine.transaction():
        for name in TABLES:
            engine.replace(name, getattr(found, name))
    engine.clear_scratch()


def new_only(engine: Engine) -> None:
    events = engine.table("events")
    fresh = engine.keep(events.filter(events.run_id == "new"))
    published = Published(**{name: engine.table(name) for name in TABLES})
    found = update(engine, events, fresh, SPEC, published, now=NOW)
    assert found is not None
    with engine.transaction():
        engine.replace("profile_merges", found.profile_merges)
        engine.replace("identity_conflicts", found.identity_conflicts)
        for name, change in found.changes.items():
            engine.amend(name, change.gone, change.rows, tuple(change.key))
    engine.clear_scratch()


def seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@pytest.mark.parametrize("which", ["at random", "the newest"])
def test_one_percent_of_events_is_new(tmp_path: Path, which: str) -> None:
    world = identity_world.build(PEOPLE, PEOPLE * 10).events
    ordered = world.sample(fraction=1, shuffle=True, seed=5) if which == "at random" else world.sort("timestamp")
    engine = open_engine(tmp_path, EngineSpec())
    engine.ensure_tables()
    new = ordered.height // 100
    engine.append("events", engine.frame(ordered.head(ordered.height - new)))
    full(engine, previous=False)
    engine.append("events", engine.frame(ordered.tail(new).with_columns(run_id=pl.lit("new"))))
    del world, ordered
    engine.clear_scratch()
    part = seconds(lambda: new_only(engine))
    after = {name: engine.polars(engine.table(name)).hash_rows().sort() for name in TABLES[1:3]}
    whole = seconds(lambda: full(engine, previous=True))
    sys.stdout.write(f"\n1 % new, {which}: {part:.2f} s, everything {whole:.2f} s: {part / whole:.1%}\n")
    assert all(after[name].equals(engine.polars(engine.table(name)).hash_rows().sort()) for name in after)
    assert part <= 0.2 * whole
