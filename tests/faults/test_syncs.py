"""kill -9 of syncs at a hundred moments and more: what is lost, what comes twice, what the ledger says."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from postgres import postgres_server, postgres_url
from sync_kills import Collecting, Killed

__all__ = ["postgres_server", "postgres_url"]
pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]


def test_killed_while_it_calls_a_service(tmp_path: Path) -> None:
    """Eight calls at once. A receiver that knows the rows' ids has each once; one that appends is told of, too."""
    with Collecting(pause=0.02) as receiver:
        destination = {"type": "webhook", "url": f"{receiver.url}/in", "private_network": True}
        sync = Killed(tmp_path, destination, {"rows_per_call": 10}, rows=600, seed=11)
        tally = sync.kill_often(100)
        last = sync.finish()
        there = {key: (row["name"], row["visits"]) for key, row in receiver.state.items()}
    # A version of a row is sent in one delivery; its removal may be in several, when it came back in between.
    removals, bare = sync.removed_again(receiver.removed)
    upserts = {what: times for what, times in receiver.taken.items() if what[0] == "upsert"}
    twice = [what for what, times in upserts.items() if times > 1]
    again = sum(times - 1 for times in receiver.arrived.values())
    lost = set(sync.model) - set(there)
    print(f"webhook: {tally}; lost {len(lost)}, twice {len(twice)} of {len(upserts)} versions")
    print(f"appending receiver: lost 0, {again} of {sum(receiver.arrived.values())} arrivals are repetitions")
    assert there == sync.model == sync.ledger()
    print(f"removals: {sum(map(len, receiver.removed.values()))}, {removals} of rows that had come back in between")
    assert not twice
    assert not bare
    assert (last["failed"], last["pending"]) == (0, 0)
    assert {"begun", "sending", "sent"} & set(tally.moments), "no kill between begin and settle"


@pytest.mark.postgres
def test_killed_while_it_writes_to_a_database(tmp_path: Path, postgres_url: str) -> None:
    sync = Killed(tmp_path, {"type": "postgres", "url": postgres_url}, {"table": "people"}, rows=3_000, seed=12)
    tally = sync.kill_often(40)
    last = sync.finish()
    with psycopg.connect(postgres_url) as connection:
        rows = connection.execute("SELECT id, name, visits FROM people").fetchall()
    there = {key: (name, visits) for key, name, visits in rows}
    lost = set(sync.model) - set(there)
    print(f"postgres: {tally}; lost {len(lost)}, twice {len(rows) - len(there)}")
    assert len(rows) == len(there)
    assert there == sync.model == sync.ledger()
    assert (last["failed"], last["pending"]) == (0, 0)
