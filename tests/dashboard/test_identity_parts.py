"""Profiles that may be several people, and what is different between two runs."""

from __future__ import annotations

from pathlib import Path

import pytest

import cdp_core as cdp
from cdp_core.dashboard.views import changes, evidence, suspects
from tests.dashboard.test_pages import drawn, words


def test_suspects_are_listed_masked_the_most_doubtful_first(ws: cdp.Workspace, built: Path) -> None:
    known = ws.identity.suspects()
    at = drawn("identity", built, part="Suspects")
    shown = at.dataframe[0].value
    assert shown["profile_id"].to_list() == known["profile_id"].to_list()
    assert "•" in " ".join(shown["between"].to_list() + shown["and"].to_list())
    values = {end.partition(":")[2] for name in ("cut_left", "cut_right") for end in known[name]}
    addresses = {value for value in values if "@" in value or value.startswith("+")}
    assert addresses
    assert not addresses & set(" ".join(shown["between"].to_list() + shown["and"].to_list()).replace(":", " ").split())


def test_the_link_to_cut_is_among_what_is_drawn(ws: cdp.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ws.identity.suspects().row(0, named=True)
    asked = (first["profile_id"], first["cut_left"], first["cut_right"])
    whole = suspects.graph(ws, *asked, True)
    link = suspects.place(whole, *asked[1:])
    assert link is not None
    parts = sorted((first["smaller_part"], first["identifiers"] - first["smaller_part"]))
    said = evidence.cut_in_words(whole, link)
    assert sorted(int(word) for word in said.split() if word.isdigit()) == parts
    monkeypatch.setattr(evidence, "DRAWN", 1)
    alone = suspects.graph(ws, *asked, True)
    assert [set(alone.ends(n)) for n in range(len(alone.edges))] == [set(asked[1:])]


def test_one_run_cannot_be_compared(built: Path) -> None:
    assert "Nothing to compare yet" in words(drawn("identity", built, part="Changes"))


def test_what_a_decision_did_shows_between_the_runs(shop: Path) -> None:
    with cdp.open(shop) as ws:
        first = ws.identity.suspects().row(0, named=True)
        ws.identity.split(first["profile_id"], at=(first["cut_left"], first["cut_right"]), reason="two people")
        assert ws.run().status == "succeeded"
    at = drawn("identity", shop, part="Changes")
    assert {metric.label: metric.value for metric in at.metric if metric.label in ("Split", "Merged")} == {
        "Split": "1",
        "Merged": "0",
    }
    examples = at.dataframe[-1].value
    assert examples["what"].to_list() == ["Split into"] * 2
    assert set(examples["profile_id"]) == {first["profile_id"]}
    assert "@" in " ".join(examples["identifiers"].to_list())
    assert "•" in " ".join(examples["identifiers"].to_list())
    later = at.selectbox(key="run_2").value
    at.selectbox(key="run_1").set_value(later).run()
    assert not at.exception
    assert "Nothing is different" in words(at)


def test_a_run_whose_snapshot_is_gone_says_for_how_long_they_are_kept(shop: Path) -> None:
    with cdp.open(shop) as ws:
        assert ws.run().status == "succeeded"
        ws.engine.purge()
    at = drawn("identity", shop, part="Changes")
    assert "no longer there" in words(at)
    assert "keep\\_snapshots" in words(at)


def test_nothing_is_different_only_when_nobody_has_come_or_gone() -> None:
    profiles = {"before": 3, "after": 3, "unchanged": 3}
    same = {"profiles": profiles, "audiences": [{"entered": 0, "exited": 0}]}
    assert not changes.differs(same)
    assert changes.differs({**same, "audiences": [{"entered": 1, "exited": 0}]})
    assert changes.differs({**same, "profiles": {**profiles, "unchanged": 2}})
