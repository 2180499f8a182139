"""What can go wrong on the way to a service, for every destination: no row is lost, none is there twice, all are
accounted for.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from every_destination import EVERY, World

from cdp_core.destinations.sync import SyncResult
from cdp_core.engine import EngineSpec, open_engine
from cdp_core.errors import DestinationError
from cdp_core.testing.services.base import Fault

SHORT = 0.4
FAULTS = {
    "too many calls": Fault("status", 429, {"Retry-After": "17"}),
    "server error": Fault("status", 500),
    "hangs up": Fault("reset"),
    "takes and hangs up": Fault("reset_after"),
    "takes and half answers": Fault("half"),
    "drips": Fault("loris", seconds=0.05),
    "never ends": Fault("endless"),
    "sends elsewhere": Fault("redirect", headers={"Location": "http://127.0.0.1:9/"}),
    "takes and answers with a page": Fault("garbage"),
    "says an error with 200": Fault("status", 200),
}
SAYS_ERROR = "says an error with 200"
CHAINS = {
    "refused": {"too many calls": 2, "server error": 1, "hangs up": 1, "sends elsewhere": 1, SAYS_ERROR: 2},
    "ambiguous": {
        "takes and hangs up": 1, "takes and half answers": 2, "takes and answers with a page": 1, "drips": 1,
        "never ends": 1,
    },
}  # fmt: skip
PASSING = [FAULTS[n] for n in ("too many calls", "server error", "hangs up", "takes and hangs up",
                               "takes and half answers")]  # fmt: skip


def _world(name: str, root: Path, seed: int = 1) -> Iterator[World]:
    engine = open_engine(root, EngineSpec())
    engine.ensure_tables()
    with EVERY[name].service() as service:
        yield World(EVERY[name], engine, service, root, seed=seed, timeout=SHORT)
    engine.close()


@pytest.fixture(scope="module", params=sorted(EVERY))
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    yield from _world(request.param, tmp_path_factory.mktemp("world"))


@pytest.mark.parametrize("chain", sorted(CHAINS))
def test_runs_that_are_given_up_leave_rows_pending_until_one_sends_them(world: World, chain: str) -> None:
    """Each fault ends a run of its own, at the first call with rows or the one behind it; the run behind them is let through."""
    world.settle()
    world.change(12)
    effects, (sent, gone) = world.effects(), world.due()
    for name, call in CHAINS[chain].items():
        if name == SAYS_ERROR and not world.ready.answers:
            continue
        world.on_call(world.ready.calls_before + call, FAULTS[name])
        found = world.run(attempts=1, concurrency=1)
        assert isinstance(found, SyncResult | DestinationError)
    world.settle()
    new = world.effects() - effects
    assert new == sent + (gone if world.ready.told_of_removals else 0), f"{new} effects of {sent} rows"


def test_a_run_waits_out_what_passes(world: World) -> None:
    """A third of all calls goes wrong, and the run is complete all the same. Who asks for time is given it."""
    world.settle()
    world.change(12)
    effects, (sent, gone), began = world.effects(), world.due(), world.clock.monotonic()
    world.storm(0.3, PASSING, first=Fault("status", 429, {"Retry-After": "1234"}))
    found = world.run(attempts=200, retry_for=1e9)
    assert isinstance(found, SyncResult), found
    assert (found.delivered, found.removed, found.pending) == (sent, gone, 0)
    assert world.clock.monotonic() - began >= 1234
    world.agrees()
    assert world.effects() - effects == sent + (gone if world.ready.told_of_removals else 0)


def test_rows_that_change_and_leave_while_it_is_not_known_whether_they_were_taken(world: World) -> None:
    """A run took its rows and its answers were lost; the next one finds another model."""
    world.settle()
    for call in (2, 4, 2):
        world.change(12)
        world.on_call(world.ready.calls_before + call, FAULTS["takes and hangs up"])
        world.run(attempts=1, concurrency=1)
    world.change(20)
    world.settle()


@pytest.mark.parametrize("name", sorted(EVERY))
def test_a_name_that_does_not_resolve_leaves_every_row_pending(name: str, tmp_path: Path) -> None:
    for world in _world(name, tmp_path):
        wrong = {"url": "http://cdp.invalid/in"} if "webhook" in name else {"base_url": "http://cdp.invalid"}
        effects = world.effects()
        found = world.run(world.opened(**wrong), attempts=2)
        assert isinstance(found, DestinationError)
        assert "the host's name is unknown" in str(found)
        pending = world.lake.table("sync_ledger").filter(lambda t: t.status == "pending")
        assert world.lake.polars(pending).height == len(world.model)
        world.settle()
        assert world.effects() - effects == len(world.model), "the rows went out before their first good run"


@pytest.mark.parametrize("name", ["bigquery", "salesforce"])
def test_tokens_that_expire_on_the_way_are_renewed(name: str, tmp_path: Path) -> None:
    for world in _world(name, tmp_path):
        service: Any = world.service
        calls = [0]

        def expiring(path: str, service: Any = service, calls: list[int] = calls) -> None:
            calls[0] += 1
            if calls[0] % 5 == 0 and not path.endswith("/token"):
                service.expire()

        service.next_fault = expiring
        found = world.run()
        assert isinstance(found, SyncResult)
        assert found.delivered == len(world.model)
        world.agrees()
        assert sum(call.path.endswith("/token") for call in service.calls) > 2


def test_the_scenario_of_segment_delivers_every_row(tmp_path: Path) -> None:
    """93.36 % of calls are accepted, and two outages of two and of six hours lie in a day of hourly runs; rows change
    and leave all the while. Segment's own example ends at 99.28 % delivered.
    """
    hour = 3600.0
    outages = [(3.5 * hour, 5.5 * hour), (10 * hour, 16 * hour)]
    for world in _world("webhook", tmp_path, seed=9336):
        clock = world.clock

        def down(clock: Any = clock) -> bool:
            return any(start <= clock.monotonic() < end for start, end in outages)

        world.storm(1 - 0.9336, PASSING, down=down)
        stopped = 0
        for run in range(0, 24, 2):
            clock.now = max(clock.now, run * hour)
            world.change(10)
            found = world.run(rows_per_call=1, attempts=5)
            stopped += not isinstance(found, SyncResult)
        assert stopped >= 3, "no run met an outage"
        world.run(rows_per_call=1, retry_for=12 * hour, attempts=1000)
        world.agrees()


def test_a_call_can_wait_out_an_outage_of_six_hours(tmp_path: Path) -> None:
    hour = 3600.0
    for world in _world("webhook", tmp_path):
        world.storm(0.0664, PASSING[:2], down=lambda clock=world.clock: clock.monotonic() < 6 * hour)
        found = world.run(retry_for=8 * hour, attempts=1000)
        assert isinstance(found, SyncResult)
        assert found.delivered == len(world.model)
        assert world.clock.monotonic() >= 6 * hour
        world.agrees()
