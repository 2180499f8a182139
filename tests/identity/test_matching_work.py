"""Matching as part of runs: a queue to decide about, evidence where it is allowed to be, and only new records compared."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from matching_worlds import world

import cdp_core as cdp

TRAITS = ("first_name", "last_name", "birth_date", "city", "postcode", "address", "phone", "email")
CONFIG = """\
name: people
sources:
  people:
    type: file
    path: data/people.csv
    map:
      type: identify
      key: [record]
      time: seen
      identifiers: {{record: record}}
      traits: [{traits}]
identity:
  identifiers:
    record: {{limit: 10}}
  matching: {matching}
traits:
{picks}
"""


def workspace(folder: Path, matching: str, records: pl.DataFrame) -> cdp.Workspace:
    (folder / "data").mkdir(parents=True)
    picks = "".join(f"  {trait}: {{pick: latest}}\n" for trait in TRAITS)
    traits = "".join(f"\n        {trait}: {trait}" for trait in TRAITS)
    text = CONFIG.format(traits="", matching=matching, picks=picks).replace("traits: []", f"traits:{traits}")
    (folder / "cdp.yaml").write_text(text)
    write(folder, records)
    return cdp.open(folder)


def write(folder: Path, records: pl.DataFrame) -> None:
    rows = records.rename({"profile_id": "record"}).drop("person").with_columns(seen=pl.lit("2024-01-01"))
    rows.write_csv(folder / "data/people.csv")


def run(ws: cdp.Workspace) -> None:
    done = ws.run()
    assert done.status == "succeeded", done.error


@pytest.fixture(scope="module")
def people() -> pl.DataFrame:
    return world(300, seed=11)


def test_what_is_alike_waits_and_a_decision_settles_it(tmp_path: Path, people: pl.DataFrame) -> None:
    person = dict(people.select("profile_id", "person").iter_rows())
    with workspace(tmp_path / "ws", "{review: 0.5}", people) as ws:
        run(ws)
        assert ws.table("profiles").count().to_polars() == people.height, "nobody is merged without a person"
        waiting = ws.identity.review()
        assert set(waiting["rule"]) == {"match"}
        right = sum(person[a] == person[b] for a, b in waiting.select("left_value", "right_value").iter_rows())
        assert right / waiting.height > 0.9
        first, second = waiting.row(0, named=True), waiting.row(1, named=True)
        bars = cdp.waterfall(first["evidence"])
        assert bars["end"][-1] == pytest.approx(bars["weight"][:-1].sum(), abs=0.01)
        assert not any(value in first["evidence"] for value in people["email"].drop_nulls())
        ws.identity.accept(first["review_id"], reason="the same")
        ws.identity.reject(second["review_id"], reason="cousins")
        run(ws)
        assert ws.resolve(f"record:{first['left_value']}") == ws.resolve(f"record:{first['right_value']}")
        assert ws.resolve(f"record:{second['left_value']}") != ws.resolve(f"record:{second['right_value']}")
        assert not {first["review_id"], second["review_id"]} & set(ws.identity.review()["review_id"])


def test_evidence_by_itself_new_records_only_and_the_same_again(tmp_path: Path, people: pl.DataFrame) -> None:
    person = people.select("profile_id", "person")
    with workspace(tmp_path / "ws", "{auto: 0.5}", people.head(400)) as ws:
        run(ws)
        before = ws.polars(ws.table("identity_matches"))
        model = ws.polars(ws.table("matching_models"))
        run(ws)
        assert ws.polars(ws.table("identity_matches")).equals(before)
        write(ws.root, people)
        run(ws)
        after = ws.polars(ws.table("identity_matches"))
        key = ["left_value", "right_value", "match_weight"]
        assert before.join(after, on=key).height == before.height, "old pairs keep what was said of them"
        assert after.height > before.height
        assert ws.polars(ws.table("matching_models")).equals(model)
        held = ws.sql("SELECT value AS profile_id, profile_id AS profile FROM user_identifiers").join(
            person, on="profile_id"
        )
        pairs = held.join(held, on="profile").filter(pl.col("profile_id") < pl.col("profile_id_right"))
        truth = person.join(person, on="person").filter(pl.col("profile_id") < pl.col("profile_id_right"))
        right = pairs.filter(pl.col("person") == pl.col("person_right")).height
        assert 2 * right / (pairs.height + truth.height) > 0.9
        assert "match" in ws.sql("SELECT DISTINCT rule FROM identity_links")["rule"].to_list()
        row = after.filter(pl.col("probability") > 0.9).row(0, named=True)
        left, right_end = (f"record:{row[f'{side}_value']}" for side in ("left", "right"))
        assert {s["rule"] for s in ws.identity.explain(left, right_end).path} == {"match"}
        ws.identity.never_link(left, right_end, reason="two people")
        run(ws)
        assert ws.resolve(left) != ws.resolve(right_end)
