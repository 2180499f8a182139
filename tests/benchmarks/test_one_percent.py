"""One event in a hundred is new: what looking at what it touches costs beside looking at everything."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import identity_world
import polars as pl
import pytest
from test_identity import SPEC

from cdp_core.engine import PLACE, Engine, EngineSpec, open_engine
from cdp_core.identity.batch import PLACED, Published
from cdp_core.identity.incremental import update
from cdp_core.identity.resolve import resolve

pytestmark = pytest.mark.benchmark
PEOPLE = int(os.environ.get("CDP_PEOPLE", "1000000"))
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
    published = Published(**{name: (engine.placed if name in PLACED else engine.table)(name) for name in TABLES})
    found = update(engine, events, fresh, SPEC, published, now=NOW)
    assert found is not None
    with engine.transaction():
        engine.replace("profile_merges", found.profile_merges)
        engine.replace("identity_conflicts", found.identity_conflicts)
        for name, change in found.changes.items():
            engine.amend(name, change.gone, change.rows, (PLACE,))
    engine.clear_scratch()


def build(root: Path, which: str) -> None:
    """A lake in which all events but the last one per cent are resolved."""
    world = identity_world.build(PEOPLE, PEOPLE * 10).events
    ordered = world.sample(fraction=1, shuffle=True, seed=5) if which == "at random" else world.sort("timestamp")
    new = ordered.height // 100
    _resolved(root, ordered.head(ordered.height - new), ordered.tail(new))


def _resolved(root: Path, first: pl.DataFrame, then: pl.DataFrame) -> Engine:
    engine = open_engine(root, EngineSpec())
    engine.ensure_tables()
    engine.append("events", engine.frame(first))
    full(engine, previous=False)
    engine.append("events", engine.frame(then.with_columns(run_id=pl.lit("new"))))
    os.sync()
    return engine


def measured(root: Path, name: str) -> tuple[float, list[pl.Series]]:
    """Seconds of `new_only` or `full`, and the tables afterwards. A small world goes first, so that what Python imports
    for either does not count.
    """
    works: dict[str, Callable[[Engine], None]] = {"new": new_only, "all": lambda engine: full(engine, previous=True)}
    small = identity_world.build(500, 5000).events
    with TemporaryDirectory() as folder:
        warm = _resolved(Path(folder), small.head(4950), small.tail(50))
        works[name](warm)
        warm.close()
    engine = open_engine(root, EngineSpec())
    started = time.perf_counter()
    works[name](engine)
    took = time.perf_counter() - started
    return took, [engine.polars(engine.table(table)).hash_rows().sort() for table in TABLES[1:3]]


@pytest.mark.parametrize("which", ["at random", "the newest"])
def test_one_percent_of_events_is_new(tmp_path: Path, which: str) -> None:
    """Each in a process of its own, as runs are."""
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as own:
        own.submit(build, tmp_path, which).result()
        part, after = own.submit(measured, tmp_path, "new").result()
        whole, expected = own.submit(measured, tmp_path, "all").result()
    sys.stdout.write(f"\n1 % new, {which}: {part:.2f} s, everything {whole:.2f} s: {part / whole:.1%}\n")
    assert all(got.equals(want) for got, want in zip(after, expected, strict=True))
    assert part <= 0.1 * whole or PEOPLE < 1_000_000, "what is fixed weighs more in small worlds"
