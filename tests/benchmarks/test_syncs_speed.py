"""Syncs at a million rows: the diff when one per cent has changed, and webhooks in batches.

Run with `make bench`, or `pytest tests/benchmarks/test_syncs_speed.py -m benchmark -s`.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "destinations"))

from syncing import Syncer

from cdp_core.destinations.limits import LimitsSpec
from cdp_core.destinations.services.webhook import WebhookDestination, WebhookOptions
from cdp_core.engine import Engine
from cdp_core.testing import FlakyDestination
from cdp_core.testing.services.base import Reply, Request, StandIn

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1800)]
MILLION = 1_000_000


def people(rows: int, changed: int = 0) -> pl.DataFrame:
    """Profiles with five traits; the first `changed` have another total."""
    number = pl.int_range(rows)
    return pl.select(
        profile_id=pl.format("p_{}", number + 10_000_000),
        email=pl.format("someone{}@example.org", number),
        first_name=pl.format("Name {}", number % 5000),
        city=pl.format("City {}", number % 700),
        total=(number % 997).cast(pl.Float64) + pl.when(number < changed).then(1000.0).otherwise(0.0),
    )


MAPPING = {"id": "profile_id", "email": "email", "name": "first_name", "city": "city", "total": "total"}


def timed(what: Callable[[], Any], times: int = 3) -> tuple[float, Any]:
    seconds, result = [], None
    for _ in range(times):
        started = time.perf_counter()
        result = what()
        seconds.append(time.perf_counter() - started)
    return median(seconds), result


class Taking(FlakyDestination):
    """Takes everything and keeps nothing."""

    def send(self, batch: Any) -> Any:
        from cdp_core.destinations.base import SendResult

        return SendResult()


BY_HAND = """
CREATE OR REPLACE TEMP TABLE by_hand AS
WITH model AS (
  SELECT profile_id AS key, payload, md5(payload) AS h FROM (
    SELECT profile_id, to_json({id: profile_id, email: email, name: first_name, city: city, total: total})::text AS payload
    FROM lake.profiles)),
twice AS (SELECT key FROM model GROUP BY key HAVING count(*) > 1),
own AS (SELECT key, row_hash, payload, status, operation FROM lake.sync_ledger WHERE sync = 's')
SELECT coalesce(m.key, l.key) AS key, m.payload, l.payload AS before,
  CASE WHEN m.key IS NULL THEN 'remove' WHEN l.key IS NULL THEN 'add' ELSE 'change' END AS operation
FROM model m FULL JOIN own l ON m.key = l.key
WHERE (m.key IS NULL OR l.key IS NULL OR m.h <> l.row_hash) AND m.key NOT IN (FROM twice)
ORDER BY 1"""
"""The same rows by a statement of one's own: what is new, another or gone, with what was sent before."""


def test_the_diff_of_a_million_rows(lake: Engine) -> None:
    s = Syncer(engine=lake, destination=Taking(), options={}, mapping=MAPPING)
    s.profiles(people(MILLION))
    started = time.perf_counter()
    s.run()
    first = time.perf_counter() - started
    s.profiles(people(MILLION, changed=MILLION // 100))
    seconds, plan = timed(s.plan)
    assert (plan.change, plan.unchanged) == (10_000, 990_000)
    bare, _ = timed(lambda: lake.con.raw_sql(BY_HAND))  # type: ignore[attr-defined]
    print(f"\nfirst send of 1,000,000 rows {first:.1f} s; plan with 1 % changed {seconds:.2f} s, "
          f"bare SQL {bare:.2f} s ({seconds / bare:.1f} x)")  # fmt: skip
    started = time.perf_counter()
    assert s.run().delivered == 10_000
    print(f"plan and run of the 10,000 {time.perf_counter() - started:.1f} s, peak {_peak():.1f} GB")


class Fast(StandIn):
    def handle(self, request: Request) -> Reply:
        self.effects["rows"] += request.body.count(b'"id":"p_')
        return Reply(200)


def test_webhooks_in_batches(lake: Engine) -> None:
    with Fast() as receiver:
        destination = WebhookDestination(WebhookOptions(url=f"{receiver.url}/in", private_network=True), Path())
        for rows_per_call, rows in ((500, 200_000), (1, 5_000)):
            s = Syncer(engine=lake, destination=destination, options={"rows_per_call": rows_per_call}, mapping=MAPPING,
                       mode="full", name=f"s{rows_per_call}")  # fmt: skip
            s.limits = LimitsSpec.model_validate({"concurrency": 8})
            s.profiles(people(rows))
            receiver.effects.clear()
            started = time.perf_counter()
            result = s.run()
            seconds = time.perf_counter() - started
            assert (result.delivered, receiver.effects["rows"]) == (rows, rows)
            print(f"\nwebhook, {rows_per_call} rows a call: {rows:,} rows in {seconds:.1f} s, {rows / seconds:,.0f} rows a second "
                  f"(plan, ledger and all)")  # fmt: skip


def test_memory_is_flat_in_unchanged_rows(tmp_path: Path) -> None:
    """The same 10,000 changes among one and among three million rows, each in a process of its own.

    Joins spill to the disk at the engine's memory limit, so what is needed beyond it is what must not grow.
    """
    import subprocess

    peaks = {}
    for rows in (MILLION, 3 * MILLION):
        done = subprocess.run(
            [sys.executable, "-c", MEMORY.format(here=str(Path(__file__).parent), root=str(tmp_path / str(rows)), rows=rows,
                                                limit=LIMIT)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        peaks[rows] = float(done.stdout.split()[-1])
    print(f"\npeak memory of a plan and a run with 10,000 changes, memory_limit {LIMIT}: {peaks} GB")
    assert peaks[3 * MILLION] < 1.1 * peaks[MILLION]


LIMIT = "256MB"


MEMORY = """
import sys, pathlib
sys.path.insert(0, {here!r})
from test_syncs_speed import people, MAPPING, Taking, Syncer
from cdp_core.engine import EngineSpec, open_engine
root = pathlib.Path({root!r}); root.mkdir(parents=True)
def opened(**spec):
    engine = open_engine(root, EngineSpec(**spec)); engine.ensure_tables()
    return Syncer(engine=engine, destination=Taking(), options={{}}, mapping=MAPPING)
import os
pid = os.fork()
if pid == 0:
    s = opened(); s.profiles(people({rows})); s.run(); s.profiles(people({rows}, changed=10_000)); os._exit(0)
os.waitpid(pid, 0)
s = opened(memory_limit={limit!r})
assert s.run().delivered == 10_000
print([int(line.split()[1]) / 1e6 for line in open("/proc/self/status") if line.startswith("VmHWM")][0])
"""


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
