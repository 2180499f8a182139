"""What a person says at the desk: part of the policy on both engines, kept through rebuilds and merges, at once."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

import cdp_core as cdp
from cdp_core import tables
from cdp_core.engine import Engine
from cdp_core.privacy.consent import DENIED, GRANTED, decision, spoken
from cdp_core.profiles.consents import consents
from cdp_core.runs import consenting

SHOP = """
name: shop
destinations:
  box: {type: sqlite, path: box.sqlite, consent: newsletter}
  idle: {type: sqlite, path: idle.sqlite, consent: [ads]}
sources:
  crm:
    type: file
    path: crm.csv
    map:
      type: identify
      key: [id]
      time: at
      identifiers: {user_id: id, email: email}
      traits: {email: email}
      consent: {newsletter: mail}
  web: {type: segment, path: web.jsonl}
traits:
  email: {type: string}
audiences:
  mailable: {where: {consent: newsletter}}
syncs:
  people: {model: profiles, destination: box, key: id, options: {table: people}, mapping: {id: profile_id, mail: email}}
"""
CRM = """id,email,mail,at
1,ann@example.org,true,2026-01-05
2,ben@example.org,false,2026-01-05
3,cy@example.org,,2026-01-05
"""
ANN, BEN, CY = "ann@example.org", "ben@example.org", "cy@example.org"
WEB = [
    {"type": "track", "event": "Segment Consent Preference Updated", "messageId": "w1", "anonymousId": "phone-2",
     "userId": "2", "timestamp": "2026-01-20T10:00:00Z",
     "context": {"consent": {"categoryPreferences": {"newsletter": True, "ads": True}}}},
    {"type": "identify", "messageId": "w2", "anonymousId": "phone-1", "userId": "1",
     "timestamp": "2026-01-02T10:00:00Z", "context": {"consent": {"categoryPreferences": {"newsletter": False}}}},
]  # fmt: skip


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shop")
    (root / "cdp.yaml").write_text(SHOP)
    (root / "crm.csv").write_text(CRM)
    (root / "web.jsonl").write_text("".join(json.dumps(line) + "\n" for line in WEB))
    with cdp.open(root) as ws:
        run(ws)
    return root


@pytest.fixture
def shop(loaded: Path, tmp_path: Path) -> Iterator[cdp.Workspace]:
    shutil.copytree(loaded, tmp_path / "shop")
    with cdp.open(tmp_path / "shop") as ws:
        yield ws


def run(ws: cdp.Workspace, **options: bool) -> None:
    done = ws.run(sync=True, **options)  # type: ignore[arg-type]
    assert done.status == "succeeded", done.error


def sent(ws: cdp.Workspace) -> set[str]:
    import sqlite3

    connection = sqlite3.connect(ws.root / "box.sqlite")
    try:
        return {mail for (mail,) in connection.execute("SELECT mail FROM people")}
    finally:
        connection.close()


def state(ws: cdp.Workspace, mail: str, category: str = "newsletter") -> str | None:
    found = ws.consent.states(f"email:{mail}").filter(pl.col("category") == category)
    return found["state"][0] if found.height else None


def published(ws: cdp.Workspace) -> list[tuple]:
    return sorted(ws.polars(ws.table("consents")).rows())


def test_a_decision_counts_at_once_in_gate_audience_history_and_overview_and_is_undone(shop: cdp.Workspace) -> None:
    assert [state(shop, who) for who in (ANN, BEN, CY)] == ["granted", "conflict", None]
    assert sent(shop) == {ANN}
    before = published(shop)
    # What is published for one person at once is what a full computation gives.
    first = shop.consent.set(f"email:{ANN}", "newsletter", "denied", reason="she called", actor="desk-7")
    second = shop.consent.set("user_id:3", "newsletter", "granted", reason="signed the card")
    at_once = published(shop)
    assert shop.sync("people").plan().remove == 1
    run(shop)
    assert sent(shop) == {CY}
    assert published(shop) == at_once
    run(shop, full_refresh=True)
    assert published(shop) == at_once
    members = shop.polars(shop.table("audience_members"))["profile_id"].to_list()
    assert members == [shop.resolve("user_id:3")], "audiences follow with the run"

    told = shop.consent.history(f"email:{ANN}").to_dicts()
    assert [(t["said"], t["source"], t["counts"], t["reason"], t["actor"]) for t in told] == [
        ("denied", "desk", True, "she called", "desk-7"),
        ("granted", "crm", False, None, None),
        ("denied", "web", False, None, None),
    ]
    assert told[2]["who"] == "device phone-1"
    seen = shop.consent.overview(weeks=60)
    rows = {r["category"]: (r["granted"], r["denied"], r["conflict"], r["unknown"]) for r in seen.categories.to_dicts()}
    assert rows == {"newsletter": (1, 1, 1, 0), "ads": (1, 0, 0, 2)}
    assert seen.uses.rows() == [("ads", "idle", None, None, None), ("newsletter", "box", "people", 3, 2)]
    weeks = seen.weeks.filter(category="newsletter")
    by_week = {r["week"].date().isoformat(): (r["granted"], r["denied"], r["standing"]) for r in weeks.to_dicts()}
    assert by_week["2025-12-29"] == (0, 1, 0)
    assert by_week["2026-01-05"] == (1, 1, 1)
    assert by_week["2026-01-12"] == (0, 0, 1), "a week in which nothing was said is not left out"
    assert by_week["2026-01-19"] == (1, 0, 2)

    shop.consent.revoke(first.decision_id, reason="wrong person")
    shop.consent.revoke(second.decision_id, reason="wrong person")
    assert published(shop) == before
    assert [t["said"] for t in shop.consent.history(f"email:{ANN}").to_dicts()][:2] == ["revoke", "denied"]
    assert not shop.consent.decisions(f"email:{ANN}")
    with pytest.raises(cdp.UsageError, match="no decision in force"):
        shop.consent.revoke(first.decision_id, reason="again")
    run(shop)
    assert sent(shop) == {ANN}


def test_a_conflict_is_listed_and_resolved_and_a_later_device_stands_beside_it(shop: cdp.Workspace) -> None:
    (row,) = shop.consent.conflicts().to_dicts()
    assert (row["profile_id"], row["granted_by"], row["denied_by"]) == (shop.resolve("user_id:2"), "web", "crm")
    shop.consent.set("user_id:2", "newsletter", "granted", reason="asked him")
    assert state(shop, BEN) == "granted"
    assert shop.consent.conflicts().is_empty()
    later = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    said = {**WEB[0], "messageId": "w3", "timestamp": later}
    said["context"] = {"consent": {"categoryPreferences": {"newsletter": False}}}
    with (shop.root / "web.jsonl").open("a") as file:
        file.write(json.dumps(said) + "\n")
    run(shop)
    assert state(shop, BEN) == "conflict"
    assert shop.consent.conflicts()["granted_by"].to_list() == ["desk"]


def test_the_file_counts_whatever_the_lake_says_and_whoever_people_become(shop: cdp.Workspace) -> None:
    lake = shop.root / "data/lake"
    shop.close()
    shutil.copytree(lake, shop.root / "backup")
    shop.consent.set(f"email:{ANN}", "newsletter", "denied", reason="she called")
    shop.consent.set("email:Dan@Example.org", "newsletter", "granted", reason="wrote before we knew him")
    shop.close()
    shutil.rmtree(lake)
    shutil.copytree(shop.root / "backup", lake)
    assert shop.sync("people").plan().remove == 1, "the gate of a lake from before the decision"
    assert state(shop, ANN) == "denied"
    shop.consent.set(f"email:{CY}", "newsletter", "granted", reason="signed the card")
    assert {s for _, _, s, *_ in published(shop)} == {"granted", "denied", "conflict"}, (
        "a decision brings all up to date"
    )
    # Ann and Dan turn out to be one, of whom both was said; then a decision about the one person ends the matter.
    (shop.root / "crm.csv").write_text(CRM + "1,dan@example.org,true,2026-01-06\n")
    run(shop)
    assert state(shop, ANN) == state(shop, "dan@example.org") == "conflict"
    shop.consent.set(f"email:{ANN}", "newsletter", "granted", reason="changed her mind")
    assert state(shop, "dan@example.org") == "granted", "the newest of those who share an identifier"
    text = (shop.root / consenting.PATH).read_text()
    assert "example.org" not in text
    assert (shop.root / consenting.PATH).stat().st_mode & 0o77 == 0
    people = shop.privacy.subject(f"email:{ANN}").identifiers
    assert consenting.forget(shop.root, people) == 3
    assert len((shop.root / consenting.PATH).read_text().splitlines()) == 1
    run(shop)
    assert state(shop, ANN) == "granted", "what devices and records say is left"


def test_a_category_that_nobody_knows_is_said_to_be_new(shop: cdp.Workspace) -> None:
    assert shop.consent.categories() == ["ads", "newsletter"]
    notes = [
        subprocess.run(
            [sys.executable, "-m", "cdp_core.cli", "privacy", "consent", "set", f"EMAIL:{ANN}", category, "denied", "-r", "r"],
            cwd=shop.root, capture_output=True, text=True, check=True,
        ).stderr
        for category in ("newsleter", "newsleter", "newsletter")
    ]  # fmt: skip
    new = ["'newsleter' is new: no destination asks for it" in note for note in notes]
    assert (new, "known are ads, newsletter\n" in notes[0]) == ([True, False, False], True)
    assert shop.consent.categories() == ["ads", "newsleter", "newsletter"]


@pytest.mark.parametrize("others", ["null", "{limit: 3}"])
def test_people_are_found_whatever_case_a_type_is_typed_in(shop: cdp.Workspace, others: str) -> None:
    """Whether or not the rules let in types that they do not name."""
    with (shop.root / "cdp.yaml").open("a") as file:
        file.write(f"identity: {{others: {others}}}\n")
    with cdp.open(shop.root) as ws:
        assert ws.resolve("USER_ID:1") == ws.resolve(f"Email:{ANN}") == ws.resolve("user_id:1")
        assert ws.privacy.subject("USER_ID:1") == ws.privacy.subject("user_id:1")
        assert ws.privacy.subject("USER_ID:77").identifiers == (("user_id", "77"),)
        ws.consent.set("USER_ID:77", "newsletter", "denied", reason="r")
        entries = [ws.audit.entries(about=f"{type_}:77").height for type_ in ("user_id", "User_Id")]
        assert entries == [1, 1]


def test_bad_input_is_one_line(shop: cdp.Workspace) -> None:
    with pytest.raises(cdp.UsageError, match=r"maybe.*denied, granted"):
        shop.consent.set(f"email:{ANN}", "newsletter", "maybe", reason="r")
    with pytest.raises(cdp.UsageError, match="a reason is missing"):
        shop.consent.set(f"email:{ANN}", "newsletter", "denied", reason=" ")
    with pytest.raises(cdp.UsageError, match="a category is missing"):
        shop.consent.set(f"email:{ANN}", " ", "denied", reason="r")
    assert not (shop.root / consenting.PATH).exists()
    (shop.root / consenting.PATH).parent.mkdir(parents=True, exist_ok=True)
    (shop.root / consenting.PATH).write_text('{"state": "granted"}')
    with pytest.raises(cdp.SpecError, match=r"consents.jsonl:1: no decision about consent"):
        shop.sync("people").plan()


KEY = bytes(range(32))
AT = datetime(2026, 1, 10)


def test_the_desk_is_part_of_the_policy_on_both_engines(engine: Engine) -> None:
    """Per profile: what is said, in order, by device (D), record (R) or desk (a letter per person), and what is so."""
    cases = [
        ([("D", True), ("a", False)], "denied"),
        ([("D", True), ("R", True), ("a", False)], "denied"),
        ([("R", True), ("S", False), ("a", True)], "granted"),
        ([("a", False), ("D", True)], "conflict"),
        ([("a", False), ("R", True)], "conflict"),
        ([("a", False), ("D", True), ("R", False)], "denied"),
        ([("a", True), ("a", False)], "denied"),
        ([("a", True), ("b", False)], "conflict"),
        ([("a", True), ("b", False), ("ab", False)], "denied"),
        ([("D", False), ("a", True), ("a", None)], "denied"),
    ]
    events, links, identifiers, active, made = [], [], [], [], None
    for number, (said, _) in enumerate(cases):
        profile = f"p{number}"
        for place, (who, granted) in enumerate(said):
            at = AT + timedelta(hours=place)
            if who in "DRS":
                context = json.dumps({"consent": {"categoryPreferences": {"news": granted}}})
                mine = {"anonymous_id": f"d{number}"} if who == "D" else {"record_id": who, "anonymous_id": ""}
                key = {"source": "crm", "message_id": f"{number}-{place}"}
                events.append({**key, "type": "identify", "timestamp": at, "context": context, **mine})
                links.append({**key, "profile_id": profile})
                continue
            persons = [("user_id", f"{number}{letter}") for letter in who]
            identifiers += [{"type": t, "value": v, "profile_id": profile} for t, v in persons]
            if granted is None:  # taken back
                active = [each for each in active if each is not made]
            else:
                made = decision("news", GRANTED if granted else DENIED, persons, KEY, reason="r", actor="a", at=at)
                active.append(made)
    frame = lambda rows, name: engine.frame(  # noqa: E731
        pl.DataFrame([{c: r.get(c) for c in tables.CANONICAL[name].columns} for r in rows],
                     schema=tables.CANONICAL[name].polars_schema())
    )  # fmt: skip
    known = frame([dict(t) for t in {tuple(i.items()) for i in identifiers}], "user_identifiers")
    found = consents(
        engine, frame(events, "events"), frame(links, "event_profiles"), ["crm"], spoken(engine, active, KEY, known)
    )
    states = dict(engine.polars(found.select("profile_id", "state")).rows())
    assert states == {f"p{number}": wanted for number, (_, wanted) in enumerate(cases)}
