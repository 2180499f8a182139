"""The gate on anomalies in runs, and what the faces say of them."""

from __future__ import annotations

import json
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from anomaly_worlds import SPIKE, START, day, shop_events
from typer.testing import CliRunner

import cdp_core as cdp
from cdp_core.cli.commands import app

BEFORE = (SPIKE - START).days


def write(root: Path, name: str, rows: list[dict[str, Any]]) -> None:
    lines = [
        {
            "type": row["type"], "messageId": row["message_id"], "userId": row["user_id"], "event": row["event"], "name": row["event"],
            "timestamp": f"{row['timestamp'].isoformat()}Z", "receivedAt": f"{row['received_at'].isoformat()}Z",
            "properties": json.loads(row["properties"]),
        }
        for row in rows
    ]  # fmt: skip
    (root / "in").mkdir(exist_ok=True)
    (root / "in" / f"{name}.ndjson").write_text("\n".join(json.dumps(line) for line in lines) + "\n")


def configure(root: Path, today: date, gate: str = "") -> None:
    said = f"quality: {{anomalies: {gate}}}\n" if gate else ""
    source = "sources:\n  shop: {type: segment, path: in/*.ndjson}\n"
    (root / "cdp.yaml").write_text(f"name: t\ntoday: {today}\n{source}{said}")


def run(root: Path, **asked: Any) -> Any:
    with cdp.open(root) as ws:
        return ws.run(select=["load", "quality"], **asked)


def counted(root: Path) -> int:
    with cdp.open(root) as ws:
        return int(ws.sql("SELECT count(*) AS n FROM events").item())


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("anomalies")
    write(root, "a", shop_events(usual=60, days=range(BEFORE)))
    configure(root, SPIKE)
    first = run(root)
    assert first.status == "succeeded", first.error
    assert first.stages[1].note == "", "a first load is compared with nothing"
    configure(root, SPIKE + timedelta(days=1))
    return root


@pytest.fixture
def shop(loaded: Path, tmp_path: Path) -> Path:
    """A source with eleven weeks, up to the day before SPIKE; it is the morning after SPIKE."""
    return Path(shutil.copytree(loaded, tmp_path / "shop"))


def bring(root: Path, name: str = "b", **different: Any) -> list[dict[str, Any]]:
    rows = shop_events(2, usual=60, days=[BEFORE], **different)
    write(root, name, rows)
    return rows


def test_a_usual_day_is_not_noted(shop: Path) -> None:
    bring(shop)
    done = run(shop)
    assert (done.status, done.stages[1].note) == ("succeeded", "")


def test_warn_notes_it_on_the_run_and_publishes(shop: Path) -> None:
    rows = bring(shop, novel=SPIKE)
    before = counted(shop)
    done = run(shop)
    assert done.status == "succeeded"
    assert counted(shop) == before + len(rows)
    note = done.stages[1].note
    assert note.startswith("1 anomaly: shop · Order: properties.genre has values never seen before in 5 of ")
    assert note.endswith(" on Sat 21 Mar 2026, usually at most 2")
    with cdp.open(shop) as ws:
        stored = json.loads(ws.runs(1)["stages"].item())
    assert stored[1]["note"] == note
    assert "polka" not in json.dumps(stored), "no value of a customer stands in a run's record"
    assert run(shop).stages[1].note == "nothing new"


def test_stop_publishes_nothing_and_can_be_let_through(shop: Path) -> None:
    configure(shop, SPIKE + timedelta(days=1), "{action: stop}")
    rows = bring(shop, lost=SPIKE)
    before = counted(shop)
    for asked in ({}, {"dry_run": True}):
        done = run(shop, **asked)
        assert (done.status, done.exit_code) == ("stopped", 3)
        assert "properties.total is missing in 100%" in done.error
        assert "--allow-anomalies" in done.error
        assert counted(shop) == before
    done = run(shop, allow_anomalies=True)
    assert done.status == "succeeded", done.error
    assert "properties.total" in done.stages[1].note
    assert counted(shop) == before + len(rows)


def test_a_file_cut_in_half_stops(shop: Path) -> None:
    configure(shop, SPIKE + timedelta(days=1), "{action: stop}")
    bring(shop, volume={SPIKE: 0.3})
    assert run(shop).status == "stopped"


def test_two_weeks_published_are_a_history_and_less_is_none(tmp_path: Path) -> None:
    """What comes at once is not judged by itself: it may be the backlog of a source that has only begun."""
    for published, status in ((13, "succeeded"), (14, "stopped")):
        root = tmp_path / str(published)
        root.mkdir()
        write(root, "a", shop_events(usual=60, days=range(BEFORE - 40, BEFORE - 40 + published)))
        configure(root, SPIKE + timedelta(days=1), "{action: stop}")
        assert run(root).status == "succeeded"
        backlog = range(BEFORE - 40 + published, BEFORE + 1)
        write(root, "b", shop_events(2, usual=60, days=backlog, lost=SPIKE, volume={SPIKE: 4.0}))
        assert run(root).status == status, published


def test_the_day_is_not_over(shop: Path) -> None:
    """Runs of the same day bring it bit by bit."""
    configure(shop, SPIKE, "{action: stop}")
    bring(shop, volume={SPIKE: 0.3})
    assert run(shop).status == "succeeded"


def test_a_day_is_judged_with_what_is_published_of_it(shop: Path) -> None:
    """Three parts of a usual size are too many together."""
    configure(shop, SPIKE + timedelta(days=1), "{action: stop}")
    for number, status in enumerate(["succeeded", "stopped"]):
        rows = shop_events(20 + number, usual=60, days=[BEFORE], volume={SPIKE: 1.3})
        write(shop, f"part{number}", rows)
        assert run(shop).status == status


@pytest.mark.parametrize("gate", ["{action: off}", "{kinds: [new_values, violations]}", "{threshold: 90}"])
def test_what_the_gate_does_not_look_at(shop: Path, gate: str) -> None:
    configure(shop, SPIKE + timedelta(days=1), gate)
    bring(shop, volume={SPIKE: 4.0}, lost=SPIKE)
    done = run(shop)
    assert (done.status, done.stages[1].note) == ("succeeded", "")


def test_late_events_and_older_history_are_let_through(shop: Path) -> None:
    """What comes before the first published day has nothing to be compared with; stragglers change little."""
    configure(shop, SPIKE + timedelta(days=1), "{action: stop}")
    older = [{**r, "message_id": f"x{r['message_id']}"} for r in shop_events(3, usual=600, days=range(20))]
    for row in older:
        row["timestamp"] -= timedelta(days=30)
        row["received_at"] -= timedelta(days=30)
    write(shop, "older", [row for row in older if row["timestamp"].date() < START])
    assert run(shop).status == "succeeded"
    write(shop, "late", shop_events(4, usual=2, days=[BEFORE - 3]))
    done = run(shop)
    assert (done.status, done.stages[1].note) == ("succeeded", "")


def test_rows_that_cannot_be_read_are_violations(shop: Path) -> None:
    """Half of the day's rows have no name; they say when they were received."""
    rows = bring(shop)
    for row in rows[: len(rows) // 2]:
        row["event"] = ""
    write(shop, "b", rows)
    done = run(shop)
    assert done.status == "succeeded"
    assert done.stages[1].quarantined > 20
    with cdp.open(shop) as ws:
        found = ws.anomalies.find(kind="violations")
    assert found["day"].to_list() == [SPIKE]


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ("{action: block}", "'action' cannot be 'block' (valid: warn, stop, off)"),
        ("{threshold: 1}", "'threshold' must be at least 2"),
        ("{kinds: [volumes]}", "cannot be 'volumes'"),
        ("{tresholds: 4}", "tresholds"),
    ],
)
def test_mistakes_in_the_block_name_the_line(tmp_path: Path, gate: str, said: str) -> None:
    configure(tmp_path, SPIKE, gate)
    with pytest.raises(cdp.SpecError) as error:
        cdp.open(tmp_path)
    assert said in str(error.value)
    assert "cdp.yaml:5" in str(error.value)


def invoke(*words: str) -> Any:
    return CliRunner().invoke(app, ["quality", "anomalies", *words])


def test_command(shop: Path) -> None:
    bring(shop, volume={SPIKE: 4.0}, novel=SPIKE)
    run(shop)
    done = invoke("--workspace", str(shop), "--output", "json")
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert list(rows[0]) == [
        "day", "kind", "source", "event", "field", "count", "total", "value", "usual", "low", "high", "z", "days",
        "unfinished", "values", "what",
    ]  # fmt: skip
    assert [row["day"] for row in rows] == [SPIKE.isoformat()] * len(rows)
    assert [row["z"] for row in rows] == sorted((row["z"] for row in rows), reverse=True)
    by_kind = {row["kind"]: row for row in rows}
    volume, new = by_kind["volume"], by_kind["new_values"]
    with cdp.open(shop) as ws:
        counts = ws.sql("SELECT timestamp::DATE AS day, count(*) AS n FROM events WHERE event = 'Order' GROUP BY ALL")
    known = dict(counts.rows())
    assert volume["count"] == volume["value"] == known[SPIKE]
    assert volume["low"] < 60 < volume["high"] < volume["count"]
    assert (volume["total"], volume["field"], volume["days"]) == (None, None, 8)
    assert f"{known[SPIKE]} events on Sat 21 Mar 2026, usually" in volume["what"]
    assert (new["values"], new["count"], new["field"]) == (["polka"], 5, "properties.genre")
    assert "polka" not in new["what"]

    def kinds(*words: str) -> set[str]:
        found = invoke("--workspace", str(shop), "--output", "json", *words)
        assert found.exit_code == 0, found.output
        return {row["kind"] for row in json.loads(found.stdout)}

    assert kinds("--kind", "new_values") == {"new_values"}
    assert kinds("--event", "page") == set()
    assert kinds("--source", "shop", "--event", "Order") == set(by_kind)
    assert kinds("--to", day(BEFORE - 1).isoformat()) == set()
    assert kinds("--from", SPIKE.isoformat(), "--to", SPIKE.isoformat()) == set(by_kind)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--source", "shp"], "unknown source 'shp'"),
        (["--event", "Ordr"], "unknown event 'Ordr'"),
        (["--kind", "null"], "unknown kind 'null'"),
        (["--from", "2026-03-02", "--to", "2026-03-01"], "lies behind"),
    ],
)
def test_names_that_are_wrong(shop: Path, words: list[str], said: str) -> None:
    done = invoke("--workspace", str(shop), *words)
    assert said in str(done.exception)
    assert isinstance(done.exception, cdp.UsageError)


def test_series_have_the_days_that_they_are_compared_with(shop: Path) -> None:
    with cdp.open(shop) as ws:
        rows = ws.anomalies.series(kind="volume", event="Order")
    assert rows["day"].max() == day(BEFORE - 1)
    assert rows.filter(pl.col("z").is_not_null()).height == 28
    assert rows.height == min(28 + 56, BEFORE)
