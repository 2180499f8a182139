"""All series of a million events of twelve weeks, judged at the time of reading: seconds and memory."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from cdp_core.engine import Engine
from cdp_core.quality.anomalies.spec import AnomalySpec
from cdp_core.runs.anomalies import judged
from cdp_core.tables import EVENTS

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(900)]
SIZE, DAYS = 1_000_000, 84
START = datetime(2026, 1, 1)
NAMES = ("Order Completed", "Product Viewed", "Product Added", "Signed Up")
GENRES = ("rock", "jazz", "pop", "folk", "soul")


def frame(size: int, *, nulls: bool) -> pl.DataFrame:
    """Events of ten fields; with `nulls` one of them is null in every other event."""
    i = pl.int_range(size, eager=True).alias("i").to_frame()
    column = pl.col("i")
    coupon = (
        pl.when(column % 2 == 0).then(pl.lit('null,"')).otherwise(pl.lit('"ten","')) if nulls else pl.lit('"ten","')
    )
    made = i.select(
        source=pl.lit("web"),
        message_id=pl.format("m{}", column),
        type=pl.lit("track"),
        event=pl.Series(NAMES).gather(i["i"] % 4),
        anonymous_id=pl.format("a{}", column),
        timestamp=pl.lit(START) + pl.duration(seconds=column * (DAYS * 86_400 / size)),
        received_at=pl.lit(START) + pl.duration(seconds=column * (DAYS * 86_400 / size)),
        context=pl.lit('{"ip":"1.2.3.4","library":{"name":"a"}}'),
        properties=pl.concat_str(
            pl.lit('{"order_id":"o'), column, pl.lit('","total":'), (column % 1000) / 10, pl.lit(',"currency":"USD","coupon":'), coupon,
            pl.lit('sku":"cd-'), column % 5000, pl.lit('","quantity":'), column % 9, pl.lit(',"genre":"'),
            pl.Series(GENRES).gather(i["i"] * 7919 % 5), pl.lit('","path":"/x/'), column % 333, pl.lit('","step":"s'), column % 40, pl.lit('"}'),
        ),
    )  # fmt: skip
    return made.with_columns(
        pl.lit(None, kind).alias(c) for c, kind in EVENTS.polars_schema().items() if c not in made.columns
    )


@pytest.mark.parametrize("nulls", [False, True])
def test_a_million_events_of_twelve_weeks(lake: Engine, nulls: bool) -> None:
    lake.append("events", lake.frame(frame(SIZE, nulls=nulls)))
    now = datetime(2026, 3, 26)
    seconds, work = [], []
    for _ in range(3):
        started, used = time.perf_counter(), time.process_time()
        rows = judged(lake, AnomalySpec(), now=now)
        seconds.append(time.perf_counter() - started)
        work.append(time.process_time() - used)
    words = f"{min(seconds):.2f} s, {min(work):.2f} s of processors, {rows.height:,} days of series"
    print(f"\n{'with' if nulls else 'without'} nulls: {words}")
    assert rows["z"].is_not_null().sum() > 28 * 40
    assert min(work) <= 6


def test_memory(tmp_path: Path) -> None:
    """Of a process that judges, beside one that only opens the lake."""
    program = (
        "import re, sys\nfrom pathlib import Path\nfrom datetime import datetime\n"
        "from cdp_core.engine import EngineSpec, open_engine\nfrom cdp_core.runs.anomalies import judged\n"
        "from cdp_core.quality.anomalies.spec import AnomalySpec\n"
        "engine = open_engine(Path(sys.argv[1]), EngineSpec())\n"
        "engine.polars(engine.table('events').count().as_table())\n"
        "peak = lambda: int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]) // 1024\n"
        "before = peak()\n"
        "judged(engine, AnomalySpec(), now=datetime(2026, 3, 26))\n"
        "print(before, peak())\n"
    )
    from cdp_core.engine import EngineSpec, open_engine

    engine = open_engine(tmp_path, EngineSpec())
    engine.ensure_tables()
    engine.append("events", engine.frame(frame(SIZE, nulls=False)))
    engine.close()
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout
    before, after = map(int, done.split()[-2:])
    print(f"\n{before} MB with the lake open, {after} MB after judging")
    assert after - before <= 1500
