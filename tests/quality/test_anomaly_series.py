"""What the lake holds by day, on every engine, against counting it by hand; and which days of it are anomalies."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from anomaly_worlds import DAYS, NOW, SPIKE, START, day, publish, shop_events

from cdp_core import tables
from cdp_core.engine import Engine
from cdp_core.quality.anomalies.series import Seen, fields, violations, volumes
from cdp_core.quality.anomalies.spec import AnomalySpec
from cdp_core.quality.anomalies.values import judge_values, values
from cdp_core.runs.anomalies import judged

ODD = ['{"a":1,"b":null,"a/b~c":"x","d":{"e":null}}', "{}", "[1]", '"t"', None, '{"b":"null","n":null}', '{"a":" "}']


def seen(engine: Engine) -> Seen:
    return Seen(
        events=engine.table("events"), held=engine.table("quarantine"),
        loads=engine.table("source_loads"), first=START, last=day(DAYS - 1),
    )  # fmt: skip


def found(engine: Engine, **wanted: Any) -> list[dict[str, Any]]:
    rows = judged(engine, AnomalySpec(), now=NOW, **wanted).filter("anomaly")
    return rows.select("kind", "event", "field", "day", "values").to_dicts()


def test_keys_with_a_value(engine: Engine) -> None:
    rows = engine.frame(pl.DataFrame({"n": range(len(ODD)), "text": ODD}, schema={"n": pl.Int64, "text": pl.String}))
    keys = engine.polars(rows.select("n", key=engine.json_keys(rows.text).unnest()))
    assert sorted(keys.rows()) == [(0, "a"), (0, "a/b~c"), (0, "d"), (5, "b"), (6, "a")]
    for key, expected in (("a/b~c", ["x"]), ("a", ["1", " "]), ("b", ["null"]), ("zz", [])):
        names = engine.frame(pl.DataFrame({"k": [key]}))
        named = rows.cross_join(engine.keep(names.select(pointer=engine.json_pointer(names.k))))
        texts = engine.polars(named.select("n", text=engine.json_at(named.text, named.pointer)).order_by("n"))
        assert texts["text"].drop_nulls().to_list() == expected, key


def test_days_are_what_counting_by_hand_gives(engine: Engine) -> None:
    rows = shop_events(3, usual=6, days=range(5), lost=day(2), broken={day(3): 0.9})
    rows[0]["user_id"] = None
    rows[1]["timestamp"] = None
    rows[2]["timestamp"] = datetime(2026, 1, 1, 23, 59, 59, 999999)
    rows[3]["properties"] = ODD[0]
    publish(engine, rows)
    held = [
        {"source": "shop", "message_id": f"h{n}", "received_at": at, "payload": "x", "reasons": "[]", "status": status, "run_id": "r1"}
        for n, (at, status) in enumerate(
            [(datetime(2026, 1, 2), "held"), (None, "held"), (datetime(2026, 1, 2), "replayed"), (datetime(2026, 1, 3), "discarded")]
        )
    ]  # fmt: skip
    engine.append("quarantine", engine.frame(_frame("quarantine", held)))
    loaded = {"run_id": "r1", "source": "shop", "loaded_at": datetime(2026, 1, 4, 5)}
    engine.append("source_loads", engine.frame(_frame("source_loads", [loaded])))
    look = seen(engine)

    dated = [r for r in rows if r["timestamp"] is not None]
    counted = volumes(engine, look)
    expected = Counter((_name(r), r["timestamp"].date()) for r in dated)
    assert {(r["event"], r["day"]): r["total"] for r in counted.iter_rows(named=True)} == expected
    assert counted["user_id"].sum() == len(dated) - 1
    assert counted["anonymous_id"].sum() == 0

    present = fields(engine, look, counted)
    wanted = Counter(
        (_name(r), f"properties.{key}", r["timestamp"].date())
        for r in dated
        for key, value in json.loads(r["properties"]).items()
        if value is not None
    )
    users = Counter((_name(r), "user_id", r["timestamp"].date()) for r in dated if r["user_id"])
    rare = {"properties.a", "properties.a/b~c", "properties.d"}
    assert {(r["event"], r["field"], r["day"]): r["present"] for r in present.iter_rows(named=True)} == {
        key: n for key, n in (wanted + users).items() if key[1] not in rare
    }

    broken = Counter(r["received_at"].date() for r in rows if "violations" in r["context"])
    broken.update({date(2026, 1, 2): 1, date(2026, 1, 3): 1, date(2026, 1, 4): 1})
    total = Counter(r["received_at"].date() for r in rows)
    total.update({date(2026, 1, 2): 1, date(2026, 1, 3): 1, date(2026, 1, 4): 1})
    rates = violations(engine, look)
    assert {r["day"]: r["total"] for r in rates.iter_rows(named=True)} == total
    assert {r["day"]: r["broken"] for r in rates.iter_rows(named=True) if r["broken"]} == broken

    texts = values(engine, look, present)
    assert set(texts["field"]) == {"properties.genre", "properties.path"}, "numbers and ids are no choices"
    by_hand = Counter(
        (json.loads(r["properties"]).get("genre"), r["timestamp"].date()) for r in dated if _name(r) == "Order"
    )
    by_hand = Counter({key: n for key, n in by_hand.items() if key[0]})
    genres = texts.filter(pl.col("field") == "properties.genre")
    assert {(r["value"], r["day"]): r["n"] for r in genres.iter_rows(named=True)} == by_hand


def _name(row: dict[str, Any]) -> str:
    return str(row["event"] if row["type"] == "track" else row["type"])


def _frame(table: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    schema = tables.CANONICAL[table].polars_schema()
    return pl.DataFrame([{c: row.get(c) for c in schema} for row in rows], schema=schema)


def test_a_quiet_world_has_no_anomaly(lake: Engine) -> None:
    publish(lake, shop_events())
    rows = judged(lake, AnomalySpec(), now=NOW)
    assert not rows["anomaly"].any(), rows.filter("anomaly")
    assert set(rows["kind"]) == {"volume", "missing", "violations", "new_values"}
    assert rows["z"].is_not_null().sum() > 28 * 5


@pytest.mark.parametrize("times", [0.0, 0.5, 2.0])
def test_volume(lake: Engine, times: float) -> None:
    publish(lake, shop_events(volume={SPIKE: times}))
    rows = found(lake)
    assert {"kind": "volume", "event": "Order", "field": None, "day": SPIKE, "values": None} in rows
    assert {row["day"] for row in rows} == {SPIKE}


def test_a_field_that_is_lost(lake: Engine) -> None:
    publish(lake, shop_events(lost=SPIKE))
    assert found(lake) == [
        {"kind": "missing", "event": "Order", "field": "properties.total", "day": SPIKE, "values": None}
    ]


def test_violations_that_rise(lake: Engine) -> None:
    publish(lake, shop_events(usual=500, broken={SPIKE: 0.1}))
    assert found(lake) == [{"kind": "violations", "event": None, "field": None, "day": SPIKE, "values": None}]


def test_a_value_never_seen_before(lake: Engine) -> None:
    publish(lake, shop_events(novel=SPIKE))
    expected = {"kind": "new_values", "event": "Order", "field": "properties.genre", "day": SPIKE, "values": ["polka"]}
    assert found(lake) == [expected]


def test_a_value_seen_long_before_is_not_new(lake: Engine) -> None:
    rows = shop_events(novel=SPIKE)
    long_ago = {**rows[0], "message_id": "old", "timestamp": datetime(2024, 5, 5), "properties": '{"genre":"polka"}'}
    publish(lake, [*rows, long_ago])
    assert found(lake) == []


def test_a_day_that_is_not_over_is_not_low(lake: Engine) -> None:
    today = day(DAYS)
    publish(lake, shop_events(days=range(DAYS + 1), volume={today: 0.1}))
    assert found(lake) == []
    rows = judged(lake, AnomalySpec(), now=NOW).filter(pl.col("day") == today, pl.col("event") == "Order")
    assert rows.filter(pl.col("kind") == "volume").select("unfinished", pl.col("z") < -5).row(0) == (True, True)
    publish(lake, shop_events(2, days=[DAYS], volume={today: 3}))
    assert {row["kind"] for row in found(lake)} == {"volume"}, "more than usual is seen before the day is over"


def test_events_that_lie_after_now_do_not_count(lake: Engine) -> None:
    publish(lake, [*shop_events(), *shop_events(9, days=[DAYS + 3])])
    assert judged(lake, AnomalySpec(), now=NOW)["day"].max() == day(DAYS - 1)


def loads(lake: Engine, *at: datetime) -> None:
    rows = [{"run_id": f"r{n}", "source": "shop", "events": 5, "loaded_at": when} for n, when in enumerate(at)]
    lake.append("source_loads", lake.frame(_frame("source_loads", rows)))


def test_a_source_that_falls_silent(lake: Engine) -> None:
    """Loaded every morning until three days ago; then loads bring nothing."""
    publish(lake, shop_events(days=range(DAYS - 3)))
    loads(lake, *(NOW - timedelta(days=n) for n in range(12, 3, -1)))
    rows = [row for row in found(lake) if row["event"] == "Order"]
    assert [row["day"] for row in rows] == [day(DAYS - 3), day(DAYS - 2), day(DAYS - 1)]


def test_a_source_that_is_loaded_once_a_week_is_not_silent(lake: Engine) -> None:
    publish(lake, shop_events(days=range(DAYS - 5)))
    loads(lake, *(NOW - timedelta(days=n) for n in (19, 12, 5)))
    assert found(lake) == []
    assert judged(lake, AnomalySpec(), now=NOW)["day"].max() == day(DAYS - 6)


def test_an_archive_is_judged_by_its_own_last_days(lake: Engine) -> None:
    """Loaded years later; another source goes on meanwhile."""
    publish(lake, shop_events(volume={SPIKE: 3.0}))
    later = NOW + timedelta(days=700)
    fresh = [{**row, "source": "web", "timestamp": row["timestamp"] + timedelta(days=700)} for row in shop_events(4)]
    publish(lake, fresh)
    rows = judged(lake, AnomalySpec(), now=later).filter("anomaly")
    assert rows.select("source", "day").unique().rows() == [("shop", SPIKE)]


def test_too_little_history_is_no_alarm(lake: Engine) -> None:
    publish(lake, shop_events(days=range(10), volume={day(9): 20.0}, lost=day(9), novel=day(9)))
    rows = judged(lake, AnomalySpec(), now=NOW)
    assert rows.height > 0
    assert rows["z"].null_count() == rows.height
    assert not rows["anomaly"].any()


def test_an_empty_lake_has_no_days(lake: Engine) -> None:
    assert judged(lake, AnomalySpec(), now=NOW).is_empty()


def test_maps_do_not_fill_the_memory(lake: Engine) -> None:
    """Keys that are values themselves are in few events each, so that none of them is followed."""
    rows = shop_events(usual=20)
    for n, row in enumerate(rows):
        row["properties"] = json.dumps({f"k{n}": 1, "genre": "rock"})
    publish(lake, rows)
    look = seen(lake)
    present = fields(lake, look, volumes(lake, look))
    assert set(present["field"]) == {"properties.genre", "user_id"}


def by_good(history: list[dict[str, int]], today: dict[str, int]) -> tuple[float, float]:
    """Events with a new value, and how many of them Good's estimate expects."""
    before: Counter[str] = Counter()
    for counts in history:
        before.update(counts)
    once = sum(1 for n in before.values() if n == 1)
    new = sum(n for value, n in today.items() if value not in before)
    return new, sum(today.values()) * (once + 1) / (sum(before.values()) + 1)


@pytest.mark.parametrize("seed", range(5))
def test_new_values_against_counting_them(seed: int) -> None:
    import numpy as np

    draw = np.random.default_rng(seed)
    days = [Counter(f"v{min(n, 60)}" for n in draw.geometric(0.12, 30)) for _ in range(30)]
    daily = pl.DataFrame(
        [
            {"source": "s", "event": "e", "field": "f", "value": value, "day": day(at), "n": n}
            for at, counts in enumerate(days)
            for value, n in counts.items()
        ],
        schema_overrides={"n": pl.Int64},
    ).sample(fraction=1, shuffle=True, seed=seed)
    rows = judge_values(daily, first=day(0), last=day(29), threshold=5).sort("day")
    assert rows["z"].null_count() == 14
    for at, row in enumerate(rows.iter_rows(named=True)):
        new, usual = by_good([dict(d) for d in days[:at]], dict(days[at]))
        assert row["count"] == new
        if at >= 14:
            assert row["usual"] == pytest.approx(usual)
            assert row["z"] == pytest.approx((new - usual) / max(usual**0.5, 0.5))
            before = {value for counts in days[:at] for value in counts}
            assert row["values"] == sorted(set(days[at]) - before)


def test_values_with_a_long_tail_are_hardly_ever_an_anomaly() -> None:
    """New names turn up all the time where they always have."""
    import numpy as np

    draw = np.random.default_rng(3)
    rows = []
    for world in range(60):
        for at in range(60):
            counts = Counter(int(n) for n in draw.zipf(2.2, 40) if n < 40)
            rows += [{"source": "s", "event": f"e{world}", "field": "f", "value": f"v{v}", "day": day(at), "n": n} for v, n in counts.items()]  # fmt: skip
    found = judge_values(pl.DataFrame(rows, schema_overrides={"n": pl.Int64}), first=day(32), last=day(59), threshold=5)
    judged = found["z"].drop_nulls()
    assert judged.len() > 1000
    assert (judged > 5).mean() < 0.001


def test_held_rows_without_a_day_of_their_own_are_spread_over_those_of_their_run(engine: Engine) -> None:
    """Four rows that could not be read, in a file of another month; a fifth says itself when it was received."""
    rows = shop_events(1, usual=0, days=range(2))[:15]
    publish(engine, [{**row, "run_id": "r1"} for row in rows])
    times = [*[datetime(2026, 5, 5)] * 3, None, datetime(2026, 1, 2, 7)]
    held = [
        {"source": "shop", "message_id": f"h{n}", "received_at": at, "status": "held", "run_id": "r1"}
        for n, at in enumerate(times)
    ]
    engine.append("quarantine", engine.frame(_frame("quarantine", held)))
    found = {r["day"]: (r["broken"], r["total"]) for r in violations(engine, seen(engine)).iter_rows(named=True)}
    assert found == {
        day(0): (pytest.approx(4 * 10 / 15), pytest.approx(10 + 4 * 10 / 15)),
        day(1): (pytest.approx(1 + 4 * 5 / 15), pytest.approx(6 + 4 * 5 / 15)),
    }
