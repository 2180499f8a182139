"""Mode insert where it is used for people: once by the key, wherever the rows go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from syncing import Syncer, person

from cdp_core.testing.flaky import FlakyDestination

Make = Callable[..., Syncer]


class Moving(FlakyDestination):
    """A destination that can be told to write somewhere else."""

    where = "first"

    def place(self, delivery: Any) -> str:
        return self.where


def test_a_change_of_place_sends_everything_again_and_a_change_of_content_nothing(syncer: Make) -> None:
    sink = Moving()
    s = syncer(destination=sink, options={}, mode="insert")
    s.profiles([person(1), person(2)])
    assert s.run().delivered == 2
    s.profiles([person(1, total=9.0), person(2), person(3)])
    plan = s.plan()
    assert (plan.add, plan.change, plan.unchanged) == (1, 0, 2)
    s.run(plan)
    assert sink.state["p1"]["total"] == 1.0
    sink.where = "second"
    plan = s.plan()
    assert (plan.change, plan.unchanged) == (3, 0)
    assert s.run(plan).delivered == 3
    assert sink.state["p1"]["total"] == 9.0
    assert s.plan().due == 0


def test_refused_rows_are_tried_again_and_dismissed_ones_withheld(syncer: Make) -> None:
    flaky = FlakyDestination(refuses=lambda row: row["id"] == "p2")
    s = syncer(destination=flaky, options={}, mode="insert")
    s.profiles([person(1), person(2)])
    assert (s.run().failed, s.plan().add) == (1, 1)
    s.run()
    assert [row["attempts"] for row in s.ledger()] == [1, 2]
    ledger = s.engine.table("sync_ledger")
    dead = ledger.mutate(status=(ledger.status == "failed").ifelse("dead", ledger.status))
    s.engine.replace("sync_ledger", s.engine.keep(dead))
    plan = s.plan()
    assert (plan.due, plan.withheld, plan.unchanged) == (0, 1, 1)


def test_a_plan_changes_its_id_with_what_would_be_sent(syncer: Make) -> None:
    s = syncer(destination=FlakyDestination(), options={}, mode="insert")
    s.profiles([person(1)])
    first = s.plan().plan_id
    s.profiles([person(1, total=9.0)])
    assert s.plan().plan_id != first


def test_nobody_is_removed_and_twins_are_told(syncer: Make) -> None:
    s = syncer(mode="insert")
    s.profiles([person(1), person(2), person(2), {**person(3), "profile_id": None}])
    plan = s.plan()
    assert (plan.add, plan.invalid, plan.unchanged) == (1, 3, 0)
    s.run(plan)
    s.profiles([person(4)])
    plan = s.plan()
    assert (plan.add, plan.remove, plan.brake) == (1, 0, None)
    s.run(plan)
    assert s.destination.path(s.destination.SyncOptions(file="s.csv")).read_text().splitlines() == [
        "id,email,total", "p1,a1@example.org,1.0", "p4,a4@example.org,4.0",
    ]  # fmt: skip
