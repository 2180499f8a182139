"""A sync in a process of its own that is killed, and two of them at once. The long variant: make faults."""

from __future__ import annotations

from pathlib import Path

from sync_kills import Collecting, Killed


def test_killed_runs_lose_nothing_and_send_nothing_twice(tmp_path: Path) -> None:
    with Collecting(pause=0.02) as receiver:
        destination = {"type": "webhook", "url": f"{receiver.url}/in", "private_network": True}
        sync = Killed(tmp_path, destination, {"rows_per_call": 10}, rows=300, seed=5)
        tally = sync.kill_often(5)
        last = sync.finish()
        there = {key: (row["name"], row["visits"]) for key, row in receiver.state.items()}
    assert there == sync.model == sync.ledger(), tally
    assert not [what for what, times in receiver.taken.items() if times > 1 and what[0] == "upsert"]
    assert not sync.removed_again(receiver.removed)[1]
    assert (last["failed"], last["pending"]) == (0, 0)


def test_a_second_run_is_turned_away_and_the_lock_of_a_killed_one_holds_nobody_up(tmp_path: Path) -> None:
    with Collecting(pause=40) as receiver:
        destination = {"type": "webhook", "url": f"{receiver.url}/in", "private_network": True}
        sync = Killed(tmp_path, destination, {"rows_per_call": 10}, rows=20, seed=6)
        holder = sync.start()
        assert holder.stdout is not None
        assert any(line.strip() == "sending" for line in holder.stdout), "it does not come to send"
        second = sync.start()
        _, error = second.communicate(timeout=120)
        assert second.returncode == 1
        assert "WorkspaceBusy" in error
        assert holder.poll() is None, "over before the other was turned away"
        holder.kill()
        holder.communicate()
        assert list(tmp_path.rglob("*.lock")), "the file of the lock is left"
        receiver.pause = 0
        assert sync.finish()["delivered"] == 20
    assert len(receiver.state) == 20
    assert sync.ledger() == sync.model
