"""Precision and recall from intersections equal those counted over all pairs."""

from __future__ import annotations

import itertools

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from identity_worlds import event, frame

from cdp_core.engine import Engine
from cdp_core.errors import UsageError
from cdp_core.identity.evaluate import evaluate, score


def by_pairs(people: list[int], clusters: list[int]) -> tuple[float, float, float, int]:
    pairs = list(itertools.combinations(range(len(people)), 2))
    together = [(a, b) for a, b in pairs if clusters[a] == clusters[b]]
    same = [(a, b) for a, b in pairs if people[a] == people[b]]
    right = [p for p in together if p in same]
    p = r = 0.0
    for i, person in enumerate(people):
        mine = {j for j, c in enumerate(clusters) if c == clusters[i]}
        his = {j for j, q in enumerate(people) if q == person}
        p += len(mine & his) / len(mine) / len(people)
        r += len(mine & his) / len(his) / len(people)
    wrong = sum(len({people[j] for j, c in enumerate(clusters) if c == k}) > 1 for k in set(clusters))
    precision = len(right) / len(together) if together else 1.0
    recall = len(right) / len(same) if same else 1.0
    return precision, recall, 2 * p * r / (p + r), wrong


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=25))
def test_equals_all_pairs(records: list[tuple[int, int]]) -> None:
    people, clusters = [p for p, _ in records], [c for _, c in records]
    found = score(pl.DataFrame({"person": people, "cluster": clusters}))
    precision, recall, b3, wrong = by_pairs(people, clusters)
    assert (found.precision, found.recall, found.b3_f1) == pytest.approx((precision, recall, b3))
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    assert found.f1 == pytest.approx(f1)
    assert (found.wrong_merges, found.records) == (wrong, len(records))


def test_records_are_those_of_the_events(lake: Engine) -> None:
    events = [
        event(1, [("user_id", "u1")], record_id="r1"),
        event(2, [("anonymous_id", "a1"), ("user_id", "u2")]),
        event(3, [("user_id", "u3")]),
        event(4, [("user_id", "u3")]),
        event(5, [("user_id", "u3")]),
        event(6, [("user_id", "u9")]),
    ]
    profiles = {1: "p1", 2: "p1", 3: "p2", 4: "p3", 5: "p3"}
    rows = [("web", f"m{n:06d}", p) for n, p in profiles.items()]
    owners = pl.DataFrame(rows, ["source", "message_id", "profile_id"], orient="row")
    truth = pl.DataFrame(
        [("web", "r1", "Ann"), ("web", "a1", "Ann"), ("web", "u3", "Ann"), ("web", "lost", "Bob")],
        ["source", "record", "person"],
        orient="row",
    )
    found = evaluate(lake, lake.frame(frame(events)), lake.frame(owners), truth)
    assert (found.precision, found.recall) == (1.0, pytest.approx(1 / 3))
    assert (found.records, found.missing, found.wrong_merges) == (4, 1, 0)


def test_truth_must_be_fit(lake: Engine) -> None:
    nobody = pl.DataFrame(schema={"source": pl.String, "record": pl.String, "person": pl.String})
    twice = pl.DataFrame({"source": ["s", "s"], "record": ["r", "r"], "person": ["a", "b"]})
    for truth in (nobody, twice):
        with pytest.raises(UsageError, match="every source and record once"):
            evaluate(lake, lake.table("events"), lake.table("event_profiles"), truth)
