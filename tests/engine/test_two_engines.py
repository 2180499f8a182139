"""One tiny world through DuckDB and PySpark, load to audiences: equal to each other, and right by the oracle."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tiny_world import Oracle, write

import cdp_core as cdp
from cdp_core.tables import CANONICAL

ENGINES = {"duckdb": "{type: duckdb}", "spark": '{type: spark, master: "local[2]"}'}
OF_ONE_RUN = {"runs", "source_loads", "source_state", "source_columns", "stage_state", "quality_results", "violations"}


def tables_of(folder: Path, engine: str) -> dict[str, pl.DataFrame]:
    folder.mkdir()
    write(folder, ENGINES[engine])
    with cdp.open(folder) as ws:
        run = ws.run()
        assert run.status == "succeeded", run.error
        found = {}
        for name in CANONICAL:
            if name not in OF_ONE_RUN:
                frame = ws.polars(ws.table(name))
                frame = frame.select(c for c in frame.columns if c != "run_id")
                found[name] = frame.sort([c for c in frame.columns if frame[c].dtype != pl.List])
        return found


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, pl.DataFrame]]:
    base = tmp_path_factory.mktemp("engines")
    return {engine: tables_of(base / engine, engine) for engine in ENGINES}


@pytest.mark.spark
@pytest.mark.xdist_group("spark")
@pytest.mark.parametrize("name", sorted(set(CANONICAL) - OF_ONE_RUN))
def test_both_engines_give_the_same_table(name: str, worlds: dict[str, dict[str, pl.DataFrame]]) -> None:
    assert_frame_equal(worlds["duckdb"][name], worlds["spark"][name], check_dtypes=True, abs_tol=1e-9)


@pytest.mark.spark
@pytest.mark.xdist_group("spark")
@pytest.mark.parametrize("engine", ENGINES)
def test_each_engine_is_right(engine: str, worlds: dict[str, dict[str, pl.DataFrame]]) -> None:
    tables = worlds[engine]
    oracle = Oracle(tables["events"].to_dicts())
    assert len(oracle.profiles) == tables["profiles"].height
    place = {(r["source"], r["message_id"]): r["profile_id"] for r in tables["event_profiles"].to_dicts()}
    golden = {r["profile_id"]: r for r in tables["profiles"].to_dicts()}
    members: dict[str, set[str]] = {}
    for row in tables["audience_members"].to_dicts():
        members.setdefault(row["profile_id"], set()).add(row["audience"])
    assert any(len({k for k, _ in c}) > 1 for c in [set(oracle.graph.nodes)])
    for events in oracle.profiles:
        ids = {place[e["source"], e["message_id"]] for e in events}
        assert len(ids) == 1, "a profile of the oracle is torn apart"
        profile = golden[ids.pop()]
        wanted = oracle.traits(events)
        votes = wanted.pop("city_votes")
        if votes:
            assert votes[profile["city"]] == max(votes.values())
        else:
            assert profile["city"] is None
        for trait, value in wanted.items():
            found = profile[trait]
            if trait == "pages" and isinstance(found, str):
                import json

                found = json.loads(found)
            if isinstance(value, float):
                assert found == pytest.approx(value), trait
            else:
                assert found == value, trait
        found_audiences = members.get(profile["profile_id"], set()) - {"may_mail"}
        assert found_audiences == oracle.audiences(events, wanted, profile["city"])
