"""What the modes do, who is withheld, what becomes of refused rows, and what is written down about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from syncing import NOW, Syncer, person

from cdp_core.destinations import deadletters, history
from cdp_core.destinations.base import Batch, SendResult, Unavailable
from cdp_core.destinations.gate import Gate
from cdp_core.destinations.limits import LimitsSpec
from cdp_core.engine import Engine
from cdp_core.errors import UsageError
from cdp_core.tables import CONSENTS
from cdp_core.testing import FlakyDestination
from cdp_core.testing.clock import FakeClock
from cdp_core.testing.flaky import Outage

MakeSync = Callable[..., Syncer]


class Rows(FlakyDestination):
    """Is told whole rows when they are removed, and remembers what it was told."""

    def __init__(self, **knobs: Any) -> None:
        super().__init__(**knobs)
        self.batches: list[Batch] = []
        self.removals: list[dict[str, Any]] = []

    def send(self, batch: Batch) -> SendResult:
        self.batches.append(batch)
        return super().send(batch)

    def remove_rows(self, batch: Batch) -> SendResult:
        self.removals += batch.rows.to_dicts()
        self.batches.append(batch)
        return super().remove(batch.rows[batch.key])


def consented(engine: Engine, **states: str) -> Gate:
    """`p1_ads="granted"`."""
    rows = [
        {"profile_id": name.split("_")[0], "category": name.split("_")[1], "state": state}
        for name, state in states.items()
    ]
    return Gate(categories=("ads", "mail"), consents=engine.frame(pl.DataFrame(rows, schema=CONSENTS.polars_schema())))


def test_who_has_not_granted_everything_is_withheld(syncer: MakeSync, lake: Engine) -> None:
    flaky = FlakyDestination()
    s = syncer(destination=flaky, options={}, mode="upsert")
    s.profiles([person(n) for n in range(1, 6)])
    s.gate = consented(
        lake, p1_ads="granted", p1_mail="granted", p2_ads="granted", p2_mail="denied", p3_ads="conflict", p4_mail="granted",
        p5_ads="granted", p5_mail="granted",
    )  # fmt: skip
    plan = s.plan()
    assert (plan.add, plan.withheld, plan.due) == (2, 3, 2)
    assert {row["id"]: row["reason"] for row in plan.samples["withheld"]} == {
        "p2": "consent: mail (denied)",
        "p3": "consent: ads (conflict), mail (unknown)",
        "p4": "consent: ads (unknown)",
    }
    result = s.run(plan)
    assert (result.delivered, result.withheld, set(flaky.state)) == (2, 3, {"p1", "p5"})
    told = {row["key"]: (row["status"], row["error"], row["payload"]) for row in s.ledger()}
    assert told["p2"] == ("withheld", "consent: mail (denied)", None)
    assert told["p1"][0] == "delivered"
    assert {row["key"] for row in s.log()} == {"p1", "p2", "p3", "p4", "p5"}
    s.run()
    assert len(s.log()) == 5, "what is known is not told again"

    s.gate = consented(lake, p1_ads="granted", p1_mail="denied", p2_ads="granted", p2_mail="granted",
                       p5_ads="granted", p5_mail="granted")  # fmt: skip
    s.profiles([person(1), person(2), person(5, total=9.0)])
    plan = s.plan()
    assert (plan.add, plan.change, plan.remove, plan.unchanged, plan.withheld) == (1, 1, 0, 0, 1)
    s.run(plan)
    row = next(row for row in s.ledger() if row["key"] == "p1")
    assert (row["status"], row["operation"], flaky.state["p1"]["total"]) == ("withheld", "change", 1.0)
    assert row["before"] is not None, "what is there is known"
    s.gate = consented(lake, p1_ads="granted", p1_mail="granted", p2_ads="granted", p2_mail="granted")
    assert (s.plan().change, s.plan().add) == (1, 0), "p1 is there, so it is a change"


def test_a_mirror_takes_back_who_withdraws_consent(syncer: MakeSync, lake: Engine) -> None:
    flaky = FlakyDestination()
    s = syncer(destination=flaky, options={})
    s.profiles([person(1), person(2)])
    s.gate = consented(lake, p1_ads="granted", p1_mail="granted", p2_ads="granted", p2_mail="granted")
    s.run()
    s.gate = consented(lake, p1_ads="granted", p1_mail="granted", p2_ads="denied", p2_mail="granted")
    plan = s.plan()
    assert (plan.remove, plan.withheld, plan.unchanged) == (1, 0, 1)
    assert plan.samples["remove"][0]["reason"] == "consent: ads (denied)"
    assert (s.run(plan).removed, set(flaky.state)) == (1, {"p1"})
    plan = s.plan()
    assert (plan.due, plan.withheld, plan.unchanged) == (0, 1, 1)
    s.run(plan)
    assert [row["status"] for row in s.ledger()] == ["delivered", "withheld"]
    s.gate = None
    assert s.plan().add == 1


def test_a_file_never_holds_who_may_not_be_in_it(syncer: MakeSync, lake: Engine, tmp_path: Any) -> None:
    for mode in ("mirror", "upsert"):
        s = syncer(mode=mode, name=mode, options={"file": f"{mode}.csv"})
        s.profiles([person(1), person(2)])
        s.gate = None
        s.run()
        s.gate = Gate(suppressed=lake.frame(pl.DataFrame({"profile_id": ["p2"]})))
        s.run(confirm=True)
        text = (tmp_path / "out" / f"{mode}.csv").read_text()
        assert ("p1" in text, "p2" in text) == (True, False), mode
        assert s.plan().withheld == 1


def test_an_event_of_nobody_has_granted_nothing(lake: Engine) -> None:
    rows = lake.frame(pl.DataFrame({"key": ["a", "b"], "profile_id": ["p1", None]}))
    judged = lake.polars(consented(lake, p1_ads="granted", p1_mail="granted").judged(rows)).sort("key")
    assert judged["barred"].to_list() == [None, "consent: ads (unknown), mail (unknown)"]
    assert judged.columns == ["key", "profile_id", "barred"]


def test_mode_full_sends_every_row_every_time(syncer: MakeSync) -> None:
    flaky = Rows()
    s = syncer(destination=flaky, options={}, mode="full")
    s.profiles([person(1), person(2)])
    assert s.run().delivered == 2
    plan = s.plan()
    assert (plan.change, plan.unchanged, plan.note) == (2, 0, "mode full sends every row in every run, changed or not")
    s.profiles([person(2)])
    assert (s.run().delivered, len(flaky.state)) == (1, 2)
    ids = [batch.ids.to_list() for batch in flaky.batches if batch.ids is not None]
    assert len(ids[0]) == 2
    assert not set(ids[0]) & set(ids[1]), "another delivery has another idempotency key"


def test_mode_remove_takes_the_model_out_of_the_destination(syncer: MakeSync) -> None:
    flaky = FlakyDestination()
    flaky.state = {f"p{n}": {} for n in range(1, 5)}
    s = syncer(destination=flaky, options={}, mode="remove")
    s.profiles([person(1), person(2)])
    plan = s.plan()
    assert (plan.remove, plan.add, plan.brake) == (2, 0, None)
    assert (s.run(plan).removed, set(flaky.state)) == (2, {"p3", "p4"})
    assert (s.plan().due, s.plan().unchanged) == (0, 2)
    s.profiles([person(2)])
    s.run()
    assert set(flaky.state) == {"p3", "p4"}
    flaky.state["p1"] = {}
    s.profiles([person(1), person(2)])
    assert (s.run().removed, set(flaky.state)) == (1, {"p3", "p4"}), "who comes back is taken out again"


def test_a_destination_that_needs_rows_gets_them_as_they_were_delivered(syncer: MakeSync) -> None:
    flaky = Rows()
    s = syncer(destination=flaky, options={})
    s.profiles([person(1, email="old@x.org"), person(2)])
    s.run()
    s.profiles([person(1, email="new@x.org"), person(2)])
    flaky.breaks = flaky.calls + 1
    with pytest.raises(Outage):
        s.run()
    s.run()
    before = flaky.batches[-1].before
    assert before is not None
    assert '"email":"old@x.org"' in before[0], "what the destination has, though a run began to change it"
    s.profiles([person(2)])
    s.run()
    assert flaky.removals == [{"id": "p1", "email": "new@x.org", "total": 1.0}]


def test_consent_taken_back_after_a_lost_answer_takes_out_what_was_sent(syncer: MakeSync, lake: Engine) -> None:
    flaky = Rows(breaks=1, ambiguous=True)
    s = syncer(destination=flaky, options={})
    s.profiles([person(1, email="old@x.org")])
    with pytest.raises(Outage):
        s.run()
    s.gate = consented(lake, p1_ads="denied", p1_mail="granted")
    s.profiles([person(1, email="new@x.org")])
    s.run(confirm=True)
    assert flaky.removals == [{"id": "p1", "email": "old@x.org", "total": 1.0}]
    assert not flaky.state


def test_a_delivery_keeps_its_idempotency_key_until_it_has_ended(syncer: MakeSync) -> None:
    flaky = Rows()
    s = syncer(destination=flaky, options={})
    s.profiles([person(1), person(2)])
    flaky.breaks, flaky.ambiguous = 1, True
    with pytest.raises(Outage):
        s.run(run_id="one")
    s.run(run_id="two")
    first, second = (batch.ids.to_list() for batch in flaky.batches if batch.ids is not None)
    assert first == second
    s.profiles([person(1, total=7.0), person(2)])
    s.run(run_id="three")
    third = flaky.batches[-1].ids
    assert third is not None
    assert not set(third) & set(first)


def test_refused_rows_are_listed_dismissed_restored_and_tried_again(syncer: MakeSync, lake: Engine) -> None:
    flaky = FlakyDestination(refuses=lambda row: row["total"] < 3)
    s = syncer(destination=flaky, options={})
    s.profiles([person(n) for n in range(1, 6)])
    result = s.run()
    assert (result.delivered, result.failed, result.pending, result.reasons) == (3, 2, 0, {"refused by rule": 2})
    frame = deadletters.listed(lake, "s")
    assert (frame["key"].to_list(), frame["attempts"].to_list()) == (["p1", "p2"], [1, 1])
    assert s.runs()[0]["status"] == "partial"

    s.profiles([person(n) for n in range(1, 9)])
    chosen = deadletters.chosen(lake, "s", ["p1"], deadletters.OPEN)
    narrow = deadletters.narrowed(lake, s.plan(), chosen)
    assert (narrow.add, narrow.due) == (1, 1)
    assert s.run(narrow).failed == 1
    assert "p7" not in flaky.state, "a retry sends nothing else"

    assert deadletters.dismiss(lake, "s", ["p1"]) == 1
    assert deadletters.listed(lake, "s")["status"].to_list().count("dead") == 1
    assert (s.plan().withheld, s.plan().add) == (1, 4)
    assert deadletters.restore(lake, "s", None) == 1
    assert s.plan().add == 5
    flaky.refuses = None
    assert s.run().delivered == 5
    assert deadletters.listed(lake, "s").height == 0
    with pytest.raises(UsageError, match=r"1 of 1 keys are not failed or pending.*cdp sync failed s"):
        deadletters.chosen(lake, "s", ["p1"], deadletters.OPEN)


def test_a_first_row_to_see_what_arrives(syncer: MakeSync, lake: Engine) -> None:
    flaky = FlakyDestination()
    s = syncer(destination=flaky, options={})
    s.profiles([person(n) for n in range(1, 6)])
    one = deadletters.first(lake, s.plan(), 1)
    assert (one.add, one.due, s.run(one).delivered, set(flaky.state)) == (1, 1, 1, {"p1"})
    assert (s.run().delivered, len(flaky.state)) == (4, 5)


def test_what_could_not_be_sent_is_pending_with_the_reason(syncer: MakeSync) -> None:
    class Away(FlakyDestination):
        def send(self, batch: Batch) -> SendResult:
            if self.calls >= 2:
                raise Unavailable("answered 503")
            return super().send(batch)

    away = Away(batch_rows=2)
    s = syncer(destination=away, options={}, clock=FakeClock())
    s.profiles([person(n) for n in range(10)])
    with pytest.raises(Unavailable, match="answered 503"):
        s.run(run_id="r1")
    statuses = [(row["key"], row["status"], row["error"]) for row in s.ledger()]
    assert statuses[:4] == [(f"p{n}", "delivered", None) for n in range(4)]
    assert statuses[4:6] == [(f"p{n}", "pending", "answered 503") for n in (4, 5)]
    assert {status for _, status, _ in statuses[6:]} == {"pending"}
    run = s.runs()[0]
    assert (run["status"], run["delivered"], run["pending"], run["error"]) == ("interrupted", 4, 6, "answered 503")
    away.calls = 0
    away.batch_rows = 100
    assert s.run().delivered == 6


def test_many_calls_at_once_settle_every_row(syncer: MakeSync) -> None:
    class Wide(FlakyDestination):
        concurrency = 8

    wide = Wide(refuses=lambda row: row["total"] % 10 == 3, batch_rows=7)
    s = syncer(destination=wide, options={})
    s.profiles([person(n) for n in range(500)])
    result = s.run()
    assert (result.delivered, result.failed) == (450, 50)
    assert len(wide.state) == 450
    assert {row["status"] for row in s.ledger() if row["key"] in wide.state} == {"delivered"}
    s.limits = LimitsSpec.model_validate({"rows_per_call": 3})
    calls = wide.calls
    s.run()
    assert wide.calls - calls == 17


def test_runs_and_rows_are_written_down(syncer: MakeSync, lake: Engine) -> None:
    flaky = FlakyDestination()
    s = syncer(destination=flaky, options={})
    s.profiles([person(1), person(2)])
    s.run(run_id="r1")
    s.profiles([person(1, total=5.0)])
    s.run(run_id="r2", confirm=True)
    s.run(run_id="r3")
    runs = {row["run_id"]: row for row in s.runs()}
    assert [runs[r]["delivered"] for r in ("r1", "r2", "r3")] == [2, 1, 0]
    assert (runs["r2"]["removed"], runs["r2"]["status"], runs["r2"]["finished_at"]) == (1, "succeeded", NOW)
    assert [(r["key"], r["operation"], r["status"], r["run_id"]) for r in s.log()] == [
        ("p1", "add", "delivered", "r1"), ("p1", "change", "delivered", "r2"),
        ("p2", "add", "delivered", "r1"), ("p2", "remove", "delivered", "r2"),
    ]  # fmt: skip
    s.mapping = {"id": "profile_id", "total": "total", "mail": "email"}
    assert s.plan().note == (
        "the mapping has changed since the last run (new: mail; gone: email): rows are sent again for that"
    )
    assert history.last_mapping(lake, "nobody") is None
