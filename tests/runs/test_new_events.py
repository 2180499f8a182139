"""A run that finds new events looks at what they touch, and publishes what looking at everything would."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import cdp_core as cdp
from cdp_core.identity import resolve as room

CONFIG = """\
name: shop
sources:
  people:
    type: file
    path: data/people_*.csv
    map:
      type: identify
      key: [id]
      time: seen
      identifiers: {user_id: id, email: email}
      traits: {city: city}
traits:
  city: {pick: latest}
  seen: {count: "*"}
"""
TABLES = ("identity_links", "user_identifiers", "event_profiles", "profile_merges", "identity_conflicts", "profiles")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[cdp.Workspace]:
    (tmp_path / "data").mkdir()
    config = CONFIG.replace('  seen: {count: "*"}\n', "")
    (tmp_path / "cdp.yaml").write_text(config)
    people = "".join(f"u{i},2024-01-01,p{i}@x.org,Rome\n" for i in range(40))
    (tmp_path / "data/people_1.csv").write_text("id,seen,email,city\n" + people)
    with cdp.open(tmp_path) as ws:
        assert ws.run().status == "succeeded"
        yield ws


def more(ws: cdp.Workspace, number: int) -> None:
    rows = "u3,2024-02-01,p4@x.org,Lima\nu90,2024-02-01,p90@x.org,Oslo\nu7,2024-02-02,p7@x.org,Bonn\n"
    (ws.root / f"data/people_{number}.csv").write_text("id,seen,email,city\n" + rows)


def stage(run: cdp.Run) -> tuple[str, str]:
    assert run.error is None
    identity = next(s for s in run.stages if s.name == "identity")
    return run.status, identity.note


def content(ws: cdp.Workspace) -> dict[str, list[dict[str, object]]]:
    found = {}
    for name in TABLES:
        frame = ws.sql(f"SELECT * FROM {name}")
        found[name] = sorted(frame.to_dicts(), key=str)
    return found


def test_only_what_is_new_is_looked_at(shop: cdp.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    more(shop, 2)
    with monkeypatch.context() as patch:
        patch.setattr(room, "resolve", None)
        assert stage(shop.run()) == ("succeeded", "2 profiles resolved again")
    after = content(shop)
    assert len(after["identity_conflicts"]) == 1
    assert {p["city"] for p in after["profiles"]} == {"Rome", "Lima", "Oslo", "Bonn"}
    assert stage(shop.run(full_refresh=True)) == ("succeeded", "")
    assert content(shop) == after


def test_other_rules_look_at_everything(shop: cdp.Workspace) -> None:
    more(shop, 2)
    config = (shop.root / "cdp.yaml").read_text()
    (shop.root / "cdp.yaml").write_text(config + "identity: {identifiers: {user_id: {limit: 1}, email: {limit: 2}}}\n")
    with cdp.open(shop.root) as again:
        assert stage(again.run()) == ("succeeded", "")


def test_what_a_stopped_run_loaded_is_new_to_the_next(shop: cdp.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    more(shop, 2)
    with monkeypatch.context() as patch:
        patch.setattr("cdp_core.runs.derive.publish_derived", None)
        with pytest.raises(TypeError):
            shop.run()
    assert stage(shop.run()) == ("succeeded", "2 profiles resolved again")
    after = content(shop)
    shop.run(full_refresh=True)
    assert content(shop) == after
