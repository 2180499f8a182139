"""Deduplication is over the whole history, by (source, message_id), and loses nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdp_core.engine import Engine, Staging
from cdp_core.runs.dedupe import drop_known
from cdp_core.tables import EVENTS, QUARANTINE

START = datetime(1998, 1, 1)
REJECT = {
    "source": pl.String,
    "message_id": pl.String,
    "received_at": pl.Datetime("us"),
    "payload": pl.String,
    "rule": pl.String,
    "field": pl.String,
    "description": pl.String,
}


def events(rows: list[tuple[str, str, int]]) -> pl.DataFrame:
    frame = pl.DataFrame(
        {
            "source": [r[0] for r in rows],
            "message_id": [r[1] for r in rows],
            "received_at": [START + timedelta(minutes=r[2]) for r in rows],
            "properties": [str(r[2]) for r in rows],
        },
        schema_overrides={"source": pl.String, "message_id": pl.String},
    )
    return pl.concat([EVENTS.empty(), frame], how="diagonal_relaxed").drop("run_id")


def staged(tmp_path: Path, rows: pl.DataFrame, rejects: pl.DataFrame | None = None) -> Staging:
    staging = Staging(tmp_path / "batch.duckdb")
    staging.discard()
    staging.append("events", rows)
    staging.append("rows_a", rows.filter(pl.col("source") == "a").select("message_id", "properties"))
    if rejects is not None:
        staging.append("rejects", rejects)
    return staging


def test_first_received_stays_and_known_ones_go(lake: Engine, tmp_path: Path) -> None:
    lake.append("events", lake.frame(events([("a", "old", 0)])))
    lake.append("quarantine", lake.frame(pl.DataFrame({"source": ["a"], "message_id": ["held"]})))
    rows = events([("a", "1", 5), ("a", "1", 3), ("a", "old", 9), ("a", "held", 9), ("b", "old", 1), ("b", "1", 1)])
    staging = staged(tmp_path, rows)
    gone = drop_known(lake, staging, ["a", "b"])
    left = staging.polars(staging.table("events")).sort("source", "message_id")
    assert left.select("source", "message_id", "properties").rows() == [
        ("a", "1", "3"),
        ("b", "1", "1"),
        ("b", "old", "1"),
    ]
    assert dict(gone.select("source", "duplicates").iter_rows()) == {"a": 3, "b": 0}
    assert staging.polars(staging.table("rows_a"))["message_id"].to_list() == ["1"]
    staging.discard()


def test_a_reject_with_the_id_of_a_good_row_is_kept_under_its_own(lake: Engine, tmp_path: Path) -> None:
    bad = [
        ("a", "1", None, "{bad", "parse.json", "", ""),
        ("a", "2", None, "x", "r", "", ""),
        ("a", "2", None, "x", "r", "", ""),
    ]
    staging = staged(tmp_path, events([("a", "1", 0)]), pl.DataFrame(bad, schema=REJECT, orient="row"))
    gone = drop_known(lake, staging, ["a"])
    ids = staging.polars(staging.table("rejects"))["message_id"].to_list()
    assert len(ids) == 2
    assert "2" in ids
    assert all(i.startswith("1-") for i in ids if i != "2")
    assert gone["duplicates"].to_list() == [1]
    staging.discard()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    history=st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("1234")), max_size=5, unique=True),
    batch=st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("123456"), st.integers(0, 9)), max_size=20),
)
def test_balance_and_uniqueness_hold(
    lake: Engine, tmp_path: Path, history: list[tuple[str, str]], batch: list[tuple[str, str, int]]
) -> None:
    lake.replace("quarantine", lake.frame(QUARANTINE.empty()))
    lake.replace("events", lake.frame(events([(s, m, 0) for s, m in history])))
    staging = staged(tmp_path, events(batch))
    gone = drop_known(lake, staging, ["a", "b"])
    left = staging.polars(staging.table("events"))
    best: dict[tuple[str, str], int] = {}
    for source, message, minute in batch:
        if (source, message) not in history:
            best[source, message] = min(minute, best.get((source, message), minute))
    assert {(r["source"], r["message_id"]): int(r["properties"]) for r in left.to_dicts()} == best
    assert left.height == len(best)
    assert gone["duplicates"].sum() == len(batch) - left.height
    staging.discard()
