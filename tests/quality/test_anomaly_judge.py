"""How unusual a day is: against a second opinion, on worlds of pure chance, and on days that something happened to."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from anomaly_worlds import START, day, slow_judge
from hypothesis import given, settings
from hypothesis import strategies as st

from cdp_core.quality.anomalies.judge import judge

WORLDS = 200
FIRST, LAST = 56, 83
"""Days that are judged, of 84."""


def frame(counts: np.ndarray, totals: np.ndarray | None = None) -> pl.DataFrame:
    """Counts by series and day as `judge` takes them."""
    series, days = counts.shape
    return pl.DataFrame(
        {
            "series": np.repeat(np.arange(series), days),
            "day": [day(int(n)) for n in np.tile(np.arange(days), series)],
            "count": counts.ravel().astype(float),
            "total": None if totals is None else totals.ravel().astype(float),
        },
        schema_overrides={"total": pl.Float64},
    )


def judged(
    counts: np.ndarray, totals: np.ndarray | None = None, *, first: int = FIRST, last: int = LAST
) -> pl.DataFrame:
    return judge(frame(counts, totals), first=day(first), last=day(last), threshold=5)


def alarms(found: pl.DataFrame, *, above: bool = False) -> float:
    """Share of days that are anomalies, of all that were judged."""
    z = found["z"].drop_nulls()
    return float(((z > 5) if above else (z.abs() > 5)).mean())


@settings(deadline=None, max_examples=60)
@given(
    counts=st.dictionaries(st.integers(0, 69), st.integers(0, 400), min_size=1, max_size=70),
    share=st.booleans(),
    extra=st.integers(0, 50),
)
def test_every_day_is_what_a_slow_second_opinion_says(counts: dict[int, int], share: bool, extra: int) -> None:
    known = {day(n): float(count) for n, count in counts.items()}
    totals = {d: count + extra + 1 for d, count in known.items()} if share else None
    rows = pl.DataFrame(
        {
            "series": [7] * len(known),
            "day": list(known),
            "count": list(known.values()),
            "total": list(totals.values()) if totals else [None] * len(known),
        },
        schema_overrides={"total": pl.Float64},
    )
    found = judge(rows, first=START, last=day(69), threshold=5)
    assert found.height == len(known)
    for row in found.iter_rows(named=True):
        expected = slow_judge(known, totals, row["day"])
        if expected is None:
            assert (row["z"], row["usual"], row["low"], row["high"], row["days"]) == (None,) * 5
            continue
        assert row["z"] == pytest.approx(expected[0], abs=1e-4)
        assert row["days"] == expected[1]
        value = row["count"] / row["total"] if totals else row["count"]
        slack = 1e-6 * (1 + value)
        if abs(row["z"]) <= 4.99:
            assert row["low"] - slack <= value <= row["high"] + slack
        elif abs(row["z"]) > 5.01:
            assert not row["low"] + slack < value < row["high"] - slack
        assert row["low"] <= row["usual"] <= row["high"]


@pytest.mark.parametrize("usual", [0.2, 2, 20, 1000])
def test_pure_chance_is_hardly_ever_an_anomaly(usual: float) -> None:
    week = np.tile([1, 1.1, 1, 0.9, 1.2, 0.5, 0.3], 12)
    found = judged(np.random.default_rng(5).poisson(usual * week, (2 * WORLDS, 84)))
    assert found["z"].null_count() == 0
    assert found.height > 10_000
    assert alarms(found) <= 1 / 10_000


@pytest.mark.parametrize(("events", "share"), [(8, 0.0), (8, 0.3), (300, 0.0), (300, 0.01), (300, 0.5)])
def test_shares_by_pure_chance_are_no_anomaly(events: int, share: float) -> None:
    draw = np.random.default_rng(6)
    totals = draw.poisson(events, (WORLDS, 84)).clip(1)
    found = judged(draw.binomial(totals, share), totals)
    assert alarms(found, above=True) <= 1 / found.height


def test_days_that_vary_more_than_by_chance() -> None:
    """Day-to-day noise of a fifth, beside chance: still less than one alarm in a thousand days."""
    draw = np.random.default_rng(7)
    assert alarms(judged(draw.poisson(300 * np.exp(draw.normal(0, 0.2, (WORLDS, 84)))))) < 1 / 1000


@pytest.mark.parametrize(
    ("times", "usual", "least"), [(0.0, 20, 0.99), (0.5, 200, 0.95), (2.0, 100, 0.95), (0.0, 200, 1.0), (12.0, 3, 0.95)]
)
def test_halved_doubled_and_silent_days_are_found(times: float, usual: int, least: float) -> None:
    draw = np.random.default_rng(8)
    counts = draw.poisson(usual, (WORLDS, 84))
    counts[:, 80] = draw.poisson(usual * times, WORLDS)
    found = judged(counts, first=80, last=80)
    assert alarms(found) >= least
    assert set(found["day"]) == {day(80)}


def test_a_property_that_disappears_and_violations_that_rise_are_found() -> None:
    draw = np.random.default_rng(9)
    totals = draw.poisson(150, (WORLDS, 84)).clip(1)
    gone = draw.binomial(totals, 0.02)
    gone[:, 80] = totals[:, 80]
    assert alarms(judged(gone, totals, first=80, last=80), above=True) == 1
    half = draw.binomial(totals, 0.5)
    half[:, 80] = totals[:, 80]
    assert alarms(judged(half, totals, first=80, last=80), above=True) >= 0.99, "a field that half of them have"
    totals = draw.poisson(400, (WORLDS, 84)).clip(1)
    broken = draw.binomial(totals, 0.01)
    broken[:, 80] = draw.binomial(totals[:, 80], 0.1)
    assert alarms(judged(broken, totals, first=80, last=80), above=True) >= 0.95


def test_what_was_anomalous_before_does_not_move_what_is_usual() -> None:
    draw = np.random.default_rng(10)
    counts = draw.poisson(200, (1, 84))
    clean = judged(counts, first=83, last=83).row(0, named=True)
    for number in (34, 40, 55, 61, 76):
        counts[0, number] = 20_000
    poisoned = judged(counts, first=83, last=83).row(0, named=True)
    assert [day(n).weekday() for n in (34, 55, 76)] == [day(83).weekday()] * 3, "three of the five are of its weekday"
    assert abs(poisoned["usual"] - clean["usual"]) < 20
    assert poisoned["high"] < 1.6 * 200


def test_weekends_are_compared_with_weekends() -> None:
    counts = np.array([[1000 if day(n).weekday() < 5 else 100 for n in range(84)]])
    found = judged(counts)
    assert found["z"].abs().max() < 1e-9
    counts[0, 80] = 100 if day(80).weekday() < 5 else 1000
    assert judged(counts, first=80, last=80)["z"].abs().item() > 20


@pytest.mark.parametrize(("before", "compared"), [(13, None), (14, 14), (27, 27), (28, 4), (56, 8)])
def test_how_much_history_is_enough(before: int, compared: int | None) -> None:
    found = judged(np.full((1, before + 1), 50), first=before, last=before)
    assert found["days"].item() == compared
    assert (found["z"].item() is None) == (compared is None)


def test_a_history_without_any_spread_is_no_trap() -> None:
    counts = np.full((1, 84), 100)
    counts[0, 83] = 120
    assert judged(counts, first=83, last=83)["z"].item() < 3
