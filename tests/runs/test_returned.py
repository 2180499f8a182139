"""A row that changes and changes back, its time standing still: the profile says what the file says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import cdp_core as cdp

CONFIG = """\
name: shop
sources:
  people:
    type: file
    path: PATH
    map:
      type: identify
      key: [id]
      time: seen
      identifiers: {user_id: id}
      traits: {city: city}
      consent: {newsletter: news}
  orders:
    type: file
    path: data/orders.csv
    map:
      type: track
      event: Order Completed
      key: [order]
      time: at
      identifiers: {user_id: id}
      properties: {total: {column: total, type: number}}
traits:
  city: {pick: latest}
  spent: {sum: Order Completed.total}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[cdp.Workspace]:
    (tmp_path / "data").mkdir()
    (tmp_path / "cdp.yaml").write_text(CONFIG.replace("PATH", "data/people.csv"))
    say(tmp_path, "Lima", "no", 10)
    with cdp.open(tmp_path) as ws:
        yield ws


def say(root: Path, city: str, news: str, total: int, *, name: str = "people") -> None:
    (root / f"data/{name}.csv").write_text(f"id,seen,city,news\nu1,2024-01-01,{city},{news}\nu2,2024-01-01,Rome,yes\n")
    (root / "data/orders.csv").write_text(f"order,id,at,total\no1,u1,2024-01-02,{total}\no2,u2,2024-01-02,5\n")


def run(ws: cdp.Workspace, **how: bool) -> dict[str, int]:
    done = ws.run(**how)
    assert done.status == "succeeded", done.error
    return {s.name: s.rows_out for s in done.stages}


def known(ws: cdp.Workspace) -> tuple[str, float, str, int]:
    card = ws.profile("user_id:u1").to_dict()
    traits = {t["name"]: t["value"] for t in card["traits"]}
    consent = {c["category"]: c["state"] for c in card["consents"]}
    events = ws.sql("SELECT count(*) AS n FROM events").item()
    return traits["city"], float(traits["spent"]), consent["newsletter"], events


def test_what_the_file_says_now_holds(shop: cdp.Workspace) -> None:
    run(shop)
    assert known(shop) == ("Lima", 10, "denied", 4)
    expected = 4
    for city, news, total in [("Oslo", "yes", 20), ("Lima", "no", 10), ("Oslo", "yes", 20), ("Lima", "no", 10)]:
        say(shop.root, city, news, total)
        assert run(shop)["load"] == 2, "the two rows that changed, and not the two that did not"
        expected += 2
        assert known(shop) == (city, total, "granted" if news == "yes" else "denied", expected)
    loads = shop.sql("SELECT sum(rows_read) - sum(events) - sum(duplicates) - sum(quarantined) AS n FROM source_loads")
    assert loads.item() == 0


def test_reading_the_same_again_changes_nothing(shop: cdp.Workspace) -> None:
    run(shop)
    for city in ("Oslo", "Lima"):
        say(shop.root, city, "no", 10)
        run(shop)
    before = known(shop)
    run(shop, full_refresh=True)
    assert known(shop) == before
    people = shop.root / "data/people.csv"
    people.write_text(people.read_text() + "u3,2024-01-01,Bern,no\n")
    assert run(shop)["load"] == 1
    assert known(shop) == (*before[:3], before[3] + 1)


def test_several_versions_in_one_file_are_history(shop: cdp.Workspace) -> None:
    people = shop.root / "data/people.csv"
    people.write_text("id,seen,city,news\nu1,2024-01-01,Lima,no\nu1,2024-01-01,Oslo,no\n")
    run(shop)
    people.write_text(people.read_text() + "u9,2024-01-01,Bern,no\n")
    assert run(shop)["load"] == 1


def test_one_of_many_files_is_not_the_last_word(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "cdp.yaml").write_text(CONFIG.replace("PATH", "data/people*.csv"))
    say(tmp_path, "Lima", "no", 10, name="people1")
    with cdp.open(tmp_path) as ws:
        run(ws)
        say(tmp_path, "Oslo", "no", 10, name="people2")
        run(ws)
        first = tmp_path / "data/people1.csv"
        first.write_text(first.read_text() + "u3,2024-01-01,Bern,no\n")
        assert run(ws)["load"] == 1
        assert known(ws)[0] == "Oslo"
