"""Explaining, deciding, undoing and previewing identity on a small demo world, through the public API and the CLI."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import networkx as nx
import polars as pl
import pytest

import cdp_core as cdp
from cdp_core.cli import execute

STATE = ("user_identifiers", "event_profiles", "profiles", "profile_traits", "audience_members", "consents")
RULES = """\
identity:
  identifiers:
    user_id: {limit: 1}
    email: {limit: 5}
    email_sha256: {limit: 5, derive: {from: email, how: sha256}}
    anonymous_id: {limit: 20}
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("identity") / "shop"
    cdp.demo(root, people=400, seed=5)
    with cdp.open(root) as ws:
        run = ws.run()
    assert run.status == "succeeded", run.error
    return root


@pytest.fixture
def shop(world: Path, tmp_path: Path) -> Iterator[cdp.Workspace]:
    """A copy of the world that a test may change."""
    shutil.copytree(world, tmp_path / "shop")
    with cdp.open(tmp_path / "shop") as ws:
        yield ws


@pytest.fixture(scope="module")
def read(world: Path) -> Iterator[cdp.Workspace]:
    with cdp.open(world) as ws:
        yield ws


def state(ws: cdp.Workspace) -> dict[str, list[tuple[Any, ...]]]:
    frames = {name: ws.polars(ws.table(name)) for name in STATE}
    return {name: sorted(map(repr, frame.select(sorted(frame.columns)).rows())) for name, frame in frames.items()}


def rerun(ws: cdp.Workspace) -> None:
    run = ws.run()
    assert run.status == "succeeded", run.error


def large_profiles(ws: cdp.Workspace) -> list[str]:
    counted = "SELECT profile_id, count(*) AS n FROM user_identifiers GROUP BY profile_id"
    return ws.sql(f"SELECT profile_id FROM ({counted}) WHERE n > 5 ORDER BY n DESC, profile_id")["profile_id"].to_list()


def a_merged_profile(ws: cdp.Workspace) -> tuple[str, nx.Graph]:
    """A profile whose user_id has a device that nothing else ties."""
    for profile_id in large_profiles(ws):
        graph = ws.identity_graph(profile_id)
        if any(kind == "user_id" for kind, _ in graph) and a_bridge(graph):
            return profile_id, graph
    raise AssertionError("the world has no such profile")


def a_bridge(graph: nx.Graph) -> tuple[str, str] | None:
    for a, b in sorted(nx.bridges(graph)):
        if {a[0], b[0]} == {"user_id", "anonymous_id"}:
            return ":".join(a), ":".join(b)
    return None


def test_a_path_is_the_shortest_one_and_each_step_is_stated_by_an_event(read: cdp.Workspace) -> None:
    profile_id, graph = a_merged_profile(read)
    ends = sorted(graph)
    left, right = ends[0], ends[-1]
    found = read.identity.explain(":".join(left), ":".join(right))
    assert found.connected
    assert found.held_back == []
    assert len(found.path) == nx.shortest_path_length(graph, left, right)
    assert [found.path[0]["left"], found.path[-1]["right"]] == [":".join(left), ":".join(right)]
    for step in found.path:
        assert step["profile_id"] == profile_id
        edge = graph.edges[tuple(step["left"].split(":", 1)), tuple(step["right"].split(":", 1))]
        assert step["events"] == edge["events"]
        if step["rule"] == "derived":
            assert step["event"] is None
            continue
        event = step["event"]
        row = read.sql(
            f"SELECT * FROM events WHERE source = '{event['source']}' AND message_id = '{event['message_id']}'"
        ).row(0, named=True)
        said = f"{row['user_id']} {row['anonymous_id']} {row['traits']} {row['context']} {row['properties']}".lower()
        for end in (step["left"], step["right"]):
            kind, value = end.split(":", 1)
            assert kind == "phone" or value.lower() in said
        assert row["timestamp"] == step["first_seen"] or row["timestamp"] > step["first_seen"]


def test_a_links_evidence_is_every_event_that_states_it(read: cdp.Workspace) -> None:
    rules = set()
    for profile_id in large_profiles(read)[:3]:
        for left, right, edge in read.identity_graph(profile_id).edges(data=True):
            found = read.identity.evidence(":".join(left), ":".join(right), examples=100_000)
            assert found.to_dict()["events"] == edge["events"]
            assert sorted(map(repr, found.said)) == sorted(map(repr, edge["evidence"]))
            times = [example["at"] for example in found.examples]
            assert times == sorted(times, reverse=True)
            rules.add(edge["rule"])
            if edge["rule"] == "derived":
                # An event that carries an address beside somebody else's user_id is an event of that other profile.
                assert 0 < len(times) <= edge["events"]
            else:
                assert len(times) == edge["events"]
                assert (times[-1], times[0]) == (edge["first_seen"], edge["last_seen"])
    assert {"same_event", "derived"} <= rules
    backwards = read.identity.evidence(":".join(right), ":".join(left), examples=2)
    assert backwards.said == found.said
    assert backwards.examples == found.examples[:2]


def test_what_is_not_linked_directly_has_no_evidence(read: cdp.Workspace) -> None:
    graph = read.identity_graph(large_profiles(read)[0])
    one, other = next(pair for pair in nx.non_edges(graph))
    with pytest.raises(cdp.UsageError, match="not linked directly"):
        read.identity.evidence(":".join(one), ":".join(other))


def test_a_decision_is_evidence_without_events(shop: cdp.Workspace) -> None:
    shop.identity.always_link("user_id:00002", "user_id:00003", reason="one person")
    rerun(shop)
    found = shop.identity.evidence("user_id:00003", "user_id:00002")
    assert [(said["source"], said["rule"]) for said in found.said] == [("overrides", "always_link")]
    assert found.examples == []


def test_what_is_not_one_says_which_rule_held_it_back(read: cdp.Workspace) -> None:
    entry = read.identity.review().row(0, named=True)
    left, right = (f"{entry[f'{side}_type']}:{entry[f'{side}_value']}" for side in ("left", "right"))
    found = read.identity.explain(left, right)
    assert not found.connected
    assert found.left_profile_id != found.right_profile_id
    assert found.path, "evidence ties them, or nothing would have had to be held"
    assert {"hold:user_ids"} <= {held["rule"] for held in found.held_back}
    assert all(held["detail"] and held["candidates"] for held in found.held_back)


def test_strangers_have_no_path(read: cdp.Workspace) -> None:
    users = read.sql("SELECT value FROM user_identifiers WHERE type = 'user_id' ORDER BY value")["value"]
    for other in users[1:]:
        found = read.identity.explain(f"user_id:{users[0]}", f"user_id:{other}")
        if not found.path:
            assert found.to_dict()["held_back"] == []
            return
    raise AssertionError("everybody is tied to everybody")


def test_history_ends_with_the_profile_as_it_is(read: cdp.Workspace) -> None:
    profile_id, graph = a_merged_profile(read)
    steps = read.identity.history(profile_id)
    joined = {i for s in steps if s["what"] in ("created", "added") for i in s["identifiers"]}
    assert joined == {":".join(node) for node in graph}
    created = sum(s["what"] == "created" for s in steps)
    assert created - sum(s["what"] == "merged" for s in steps) == 1
    assert [s["at"] for s in steps] == sorted(s["at"] for s in steps)


def test_never_link_keeps_them_apart_and_revoking_it_restores_everything(shop: cdp.Workspace) -> None:
    before = state(shop)
    _, graph = a_merged_profile(shop)
    left, right = a_bridge(graph) or ("", "")
    shop.identity.never_link(left, right, reason="the library's computer")
    rerun(shop)
    found = shop.identity.explain(left, right)
    assert not found.connected
    assert "never_link" in {held["rule"] for held in found.held_back}
    assert shop.resolve(left) != shop.resolve(right)
    assert state(shop)["user_identifiers"] != before["user_identifiers"]
    old = shop.resolve(left), shop.resolve(right)
    shop.identity.revoke(left, right)
    rerun(shop)
    assert state(shop) == before
    assert shop.resolve(old[0]) == shop.resolve(old[1]), "the id that was given up still leads to the person"
    assert [o.action for o in shop.identity.overrides(history=True)] == ["never_link", "revoke"]
    assert shop.identity.overrides() == []


def test_what_is_kept_apart_is_sent_apart_and_sent_together_again(shop: cdp.Workspace) -> None:
    sync = shop.sync("all_profiles_parquet")
    assert sync.run().failed == 0
    _, graph = a_merged_profile(shop)
    left, right = a_bridge(graph) or ("", "")
    shop.identity.never_link(left, right, reason="two people")
    rerun(shop)
    plan = sync.plan()
    apart = {shop.resolve(left), shop.resolve(right)}
    assert len(apart) == 2
    assert plan.add == 1
    assert plan.remove == 0
    assert sync.run().failed == 0
    sent = pl.read_parquet(shop.root / "data/exports/profiles.parquet")
    assert apart <= set(sent["profile_id"])
    shop.identity.revoke(left, right)
    rerun(shop)
    assert sync.plan().remove == 1


def test_a_split_cuts_one_link_and_nothing_else(shop: cdp.Workspace) -> None:
    profile_id, graph = a_merged_profile(shop)
    left, right = a_bridge(graph) or ("", "")
    shop.identity.split(profile_id, at=(left, right), reason="two people")
    rerun(shop)
    graph.remove_edge(tuple(left.split(":", 1)), tuple(right.split(":", 1)))
    parts = {frozenset(part) for part in nx.connected_components(graph)}
    rows = shop.sql("SELECT type, value, profile_id FROM user_identifiers")
    held = rows.group_by("profile_id").agg(pl.struct("type", "value").alias("ids"))["ids"]
    now = {frozenset((i["type"], i["value"]) for i in ids) for ids in held}
    assert parts <= now


def test_a_split_where_more_than_one_link_holds_says_so(shop: cdp.Workspace) -> None:
    for profile_id in large_profiles(shop):
        graph = shop.identity_graph(profile_id)
        loops = nx.cycle_basis(graph)
        if loops:
            break
    a, b = loops[0][:2]
    with pytest.raises(cdp.UsageError, match=r"tied over \d other links.*never-link"):
        shop.identity.split(profile_id, at=(":".join(a), ":".join(b)), reason="x")
    assert shop.identity.overrides() == []


def test_an_accepted_merge_is_made_and_a_rejected_one_leaves_the_queue(shop: cdp.Workspace) -> None:
    waiting = shop.identity.review()
    first, second = waiting.row(0, named=True), waiting.row(1, named=True)
    shop.identity.accept(first["review_id"], reason="the same woman")
    shop.identity.reject(second["review_id"], reason="father and son")
    rerun(shop)
    ends = [[f"{e[f'{side}_type']}:{e[f'{side}_value']}" for side in ("left", "right")] for e in (first, second)]
    assert shop.resolve(ends[0][0]) == shop.resolve(ends[0][1])
    assert shop.resolve(ends[1][0]) != shop.resolve(ends[1][1])
    left = set(shop.identity.review()["review_id"])
    assert not {first["review_id"], second["review_id"]} & left
    assert shop.identity.explain(*ends[0]).path[0]["rule"] == "always_link"


def test_decisions_that_contradict_each_other_are_refused(shop: cdp.Workspace) -> None:
    a, b, c = (f"user_id:{n}" for n in ("00001", "00002", "00003"))
    shop.identity.always_link(a, b, reason="x")
    shop.identity.always_link(b, c, reason="x")
    with pytest.raises(cdp.UsageError, match="contradicts"):
        shop.identity.never_link(a, c, reason="x")
    with pytest.raises(cdp.UsageError, match="in force"):
        shop.identity.always_link(b, a, reason="again")
    assert [o.action for o in shop.identity.overrides()] == ["always_link"] * 2


def test_a_preview_says_what_the_run_then_does_and_writes_nothing(shop: cdp.Workspace, tmp_path: Path) -> None:
    before, snapshot = state(shop), shop.snapshot()
    (tmp_path / "new.yaml").write_text(RULES)
    seen = shop.identity.preview(tmp_path / "new.yaml").to_dict()
    assert (state(shop), shop.snapshot()) == (before, snapshot)
    assert seen["profiles"]["split"] > 0
    first = shop.runs(1)["run_id"][0]
    text = (shop.root / "cdp.yaml").read_text()
    start, end = text.index("\nidentity:\n") + 1, text.index("\ntraits:\n")
    (shop.root / "cdp.yaml").write_text(text[:start] + RULES + text[end:])
    shop.reload()
    rerun(shop)
    done = shop.identity.diff(first, shop.runs(1)["run_id"][0]).to_dict()
    assert done["profiles"] == seen["profiles"]
    counts = ("audience", "before", "after")
    assert [{c: a[c] for c in counts} for a in done["audiences"]] == [
        {c: a[c] for c in counts} for a in seen["audiences"]
    ]
    members = shop.audiences().select("audience", "members").sort("audience")
    assert members.rows() == [(a["audience"], a["after"]) for a in done["audiences"]]


def test_the_same_rules_change_nothing(read: cdp.Workspace) -> None:
    seen = read.identity.preview().to_dict()
    profiles = seen["profiles"]
    assert profiles["unchanged"] == profiles["before"] == profiles["after"] > 400
    assert all(a["entered"] == a["exited"] == 0 for a in seen["audiences"])


def test_rules_are_saved_applied_by_the_next_run_and_taken_back(shop: cdp.Workspace, tmp_path: Path) -> None:
    before, was = (shop.root / "cdp.yaml").read_text(), state(shop)
    spec = shop.config.identity
    devices = spec.identifiers["anonymous_id"].model_copy(update={"limit": 1})
    stricter = spec.model_copy(update={"identifiers": {**spec.identifiers, "anonymous_id": devices}})
    expected = shop.identity.preview(stricter)
    edit = shop.identity.rules.save(stricter)
    assert (shop.root / "cdp.yaml").read_text() == before.replace(
        "anonymous_id: {limit: 20}", "anonymous_id: {limit: 1}"
    )
    rerun(shop)
    assert shop.sql("SELECT count(*) FROM profiles").item() == expected.profiles.after > expected.profiles.before
    shop.identity.rules.undo(edit)
    assert (shop.root / "cdp.yaml").read_text() == before
    rerun(shop)
    assert state(shop)["user_identifiers"] == was["user_identifiers"]
    with pytest.raises(cdp.UsageError, match="has changed since"):
        shop.identity.rules.undo(edit)


def test_a_jump_is_braked_and_can_be_let_through(shop: cdp.Workspace) -> None:
    before = state(shop)
    people = shop.sql("SELECT value FROM user_identifiers WHERE type = 'user_id' ORDER BY value LIMIT 60")["value"]
    for other in people[1:]:
        shop.identity.always_link(f"user_id:{people[0]}", f"user_id:{other}", reason="a broken script")
    run = shop.run()
    assert (run.status, run.exit_code) == ("stopped", 3)
    assert "the largest profile would jump from" in str(run.error)
    assert state(shop) == before
    allowed = shop.run(allow_jump=True)
    assert allowed.status == "succeeded", allowed.error
    assert shop.sql("SELECT max(n) FROM (SELECT count(*) AS n FROM user_identifiers GROUP BY profile_id)").item() >= 60


@pytest.fixture
def cli(world: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    def call(*words: str) -> Any:
        code = execute(["identity", *words, "--workspace", str(world), "--output", "json"])
        printed = capsys.readouterr()
        assert code == 0, printed.err
        return json.loads(printed.out)

    return call


def test_every_command_prints_json(cli: Callable[..., Any], read: cdp.Workspace, tmp_path: Path) -> None:
    _, graph = a_merged_profile(read)
    left, right = a_bridge(graph) or ("", "")
    explained = cli("explain", left, right)
    assert set(explained) >= {"connected", "path", "held_back"}
    assert set(explained["path"][0]) >= {
        "left",
        "right",
        "rule",
        "source",
        "event",
        "first_seen",
        "last_seen",
        "events",
    }
    assert cli("never-link", left, right, "--reason", "test")["action"] == "never_link"
    assert [row["left"] for row in cli("overrides", "list")] == [min(left, right, key=lambda t: t.split(":", 1))]
    assert cli("overrides", "revoke", right, left)["action"] == "revoke"
    assert cli("always-link", left, right, "--reason", "test")["action"] == "always_link"
    assert cli("overrides", "revoke", left, right)["action"] == "revoke"
    assert cli("split", left, "--at", left, right, "--reason", "test")["action"] == "never_link"
    assert cli("overrides", "revoke", left, right)["action"] == "revoke"
    assert len(cli("overrides", "list", "--history")) == 6
    assert cli("review")[0]["rule"] == "hold:user_ids"
    (tmp_path / "new.yaml").write_text(RULES)
    assert cli("preview", "--rules", str(tmp_path / "new.yaml"))["profiles"]["before"] > 400
    run = read.runs(1)["run_id"][0]
    assert cli("diff", run, run)["profiles"]["merged"] == 0
