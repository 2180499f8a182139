"""A correction stands above every source, now and later, on both engines; it is the person's, and can be taken back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from pydantic import TypeAdapter
from worlds import load

import cdp_core as cdp
from cdp_core.engine import Engine
from cdp_core.profiles.build import build_profiles
from cdp_core.profiles.spec import TraitSpec

SHOP = """
name: shop
sources:
  crm:
    type: file
    path: crm.csv
    map:
      type: identify
      key: [id]
      time: at
      identifiers: {user_id: id, email: email}
      traits: {email: email, town: town, born: born, level: level}
traits:
  city: {from: town, pick: source_order, sources: [crm]}
  email: {}
  level: {pick: most_frequent}
  born: {type: date}
  orders: {count: Order}
audiences:
  ulm: {where: {trait: city, equals: Ulm}}
"""
CRM = """id,email,town,born,level,at
1,ann@example.org,Bern,1970-01-01,gold,2026-01-05
2,ben@example.org,Bonn,1980-01-01,gold,2026-01-05
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[cdp.Workspace]:
    tmp_path = tmp_path_factory.mktemp("shop")
    (tmp_path / "cdp.yaml").write_text(SHOP)
    (tmp_path / "crm.csv").write_text(CRM)
    with cdp.open(tmp_path) as ws:
        assert ws.run().status == "succeeded"
        yield ws


def golden(ws: cdp.Workspace, who: str = "user_id:1") -> dict[str, Any]:
    return ws.profile(who).golden


def followed(ws: cdp.Workspace) -> None:
    done = ws.stored.follow()
    assert done.status == "succeeded", done.error


def test_what_cannot_be_corrected_is_said_and_nothing_is_written(shop: cdp.Workspace) -> None:
    wrong: list[tuple[dict[str, str], list[str], str]] = [
        ({"orders": "3"}, [], "'orders' cannot be corrected.*valid: city, email, level, born.*source replay"),
        ({"size": "3"}, [], "unknown trait 'size'"),
        ({"city": "Ulm", "born": "in May"}, [], "born: the value is no date"),
        ({"city": " "}, [], "city: the value is empty.*--unset city"),
        ({"email": "ben@example.org"}, [], "email: another profile has this email.*cdp identity"),
        ({"city": "Ulm"}, ["city"], "city: both set and unset"),
        ({}, [], "nothing is corrected"),
    ]
    for values, unset, said in wrong:
        with pytest.raises(cdp.UsageError, match=said) as error:
            shop.privacy.rectify("user_id:1", values, unset=unset, reason="r")
        assert "in May" not in str(error.value)
    with pytest.raises(cdp.UsageError, match="a reason is missing"):
        shop.privacy.rectify("user_id:1", {"city": "Ulm"}, reason="")
    with pytest.raises(cdp.UsageError, match="no profile has this"):
        shop.privacy.rectify("user_id:77", {"city": "Ulm"}, reason="r")
    with pytest.raises(cdp.UsageError, match="nothing of this was corrected"):
        shop.privacy.unrectify("user_id:1", ["city"], reason="r")
    assert shop.polars(shop.table("events")).height == 2
    (shop.root / "cdp.yaml").write_text(SHOP.replace("  crm:", "  rectification:").replace("[crm]", "[rectification]"))
    with pytest.raises(cdp.SpecError, match="'rectification' cannot be the name of a source"):
        shop.reload()
    (shop.root / "cdp.yaml").write_text(SHOP)


def test_a_correction_wins_now_and_later_and_is_taken_back(shop: cdp.Workspace) -> None:
    before = golden(shop)
    right = {"city": "Ulm", "level": "silver", "email": "Ann@Example.net"}
    made = shop.privacy.rectify("email:ann@example.org", right, unset=["born"], reason="she wrote", actor="desk-7")
    assert (made.set, made.unset, made.events) == (("city", "level", "email"), ("born",), 4)
    followed(shop)
    now = golden(shop)
    assert (now["city"], now["level"], now["email"], now["born"]) == ("Ulm", "silver", "Ann@Example.net", None)
    assert [now[c] for c in ("events", "first_seen", "last_seen")] == [
        before[c] for c in ("events", "first_seen", "last_seen")
    ]
    assert shop.resolve("email:ann@example.net") == now["profile_id"] == before["profile_id"]
    assert shop.polars(shop.table("audience_members")).height == 1
    told = {t.name: (t.source, [o.value for o in t.others]) for t in shop.profile("user_id:1").traits}
    assert told["city"] == ("rectification", ["Bern"])
    assert "born" not in told
    # The source repeats what is wrong, later and more often; then everything is computed anew.
    (shop.root / "crm.csv").write_text(
        CRM + "1,ann@example.org,Bern,1970-01-02,gold,2026-03-05\n1,ann@example.org,Basel,1970-01-02,gold,2026-03-06\n"
    )
    assert shop.run(full_refresh=True).status == "succeeded"
    now = golden(shop)
    assert (now["city"], now["level"], now["email"], now["born"]) == ("Ulm", "silver", "Ann@Example.net", None)
    assert golden(shop, "user_id:2")["city"] == "Bonn", "nobody else"
    assert shop.run().stages[2].note == "unchanged", "a run afterwards has nothing to do"
    listed = shop.privacy.rectifications("user_id:1")
    assert set(listed.select("trait", "value", "reason", "actor").rows()) == {
        ("city", "Ulm", "she wrote", "desk-7"), ("level", "silver", "she wrote", "desk-7"),
        ("email", "Ann@Example.net", "she wrote", "desk-7"), ("born", None, "she wrote", "desk-7"),
    }  # fmt: skip
    # The newest correction counts; taking back takes all of a trait's.
    shop.privacy.rectify("user_id:1", {"city": "Linz"}, reason="she moved")
    followed(shop)
    assert golden(shop)["city"] == "Linz"
    undone = shop.privacy.unrectify("user_id:1", ["city", "born"], reason="it was Bob")
    assert undone.events == 3
    followed(shop)
    now = golden(shop)
    assert (now["city"], str(now["born"]), now["level"]) == ("Basel", "1970-01-02", "silver")
    loads = shop.polars(shop.table("source_loads"))
    balance = loads.select(pl.col("rows_read") - pl.col("events") - pl.col("duplicates") - pl.col("quarantined"))
    assert balance.to_series().sum() == 0
    events = shop.table("events")
    assert loads["events"].sum() == shop.polars(events.count().name("n").as_table()).item()


PICKS = {
    "latest": {"pick": "latest", "from": "town"},
    "first_source": {"pick": "source_order", "from": "town", "sources": ["crm", "web"]},
    "frequent": {"pick": "most_frequent", "from": "town"},
    "longest": {"pick": "longest", "from": "town"},
}
AT = datetime(2026, 1, 1)


def stated(number: int, source: str, town: str | None, person: str = "p1") -> dict[str, Any]:
    blank = dict.fromkeys(("event", "user_id", "anonymous_id", "record_id", "properties", "context"))
    at = AT + timedelta(hours=number)
    return {**blank, "source": source, "message_id": f"m{number}", "type": "identify", "timestamp": at,
            "received_at": at, "traits": {"town": town}, "person": person}  # fmt: skip


def test_it_stands_above_every_rule_on_both_engines(engine: Engine) -> None:
    events = [
        stated(1, "rectification", "Ulm"),
        *(stated(n, "crm", "Berchtesgaden") for n in range(2, 6)),
        stated(6, "crm", "Ulm", "p2"),
        stated(7, "rectification", "Linz", "p2"),
        stated(8, "rectification", "", "p2"),
        stated(9, "web", "Linz", "p2"),
        stated(10, "rectification", "", "p3"),
        stated(11, "rectification", "Wien", "p3"),
        stated(12, "crm", "", "p3"),
        stated(13, "crm", "", "p4"),
    ]
    owners = {(e["source"], e["message_id"]): e.pop("person") for e in events}
    load(engine, events, owners)
    specs = TypeAdapter(dict[str, TraitSpec]).validate_python(PICKS)
    built = build_profiles(engine, engine.table("events"), engine.table("event_profiles"), specs, now=AT)
    rows = {r["profile_id"]: [r[n] for n in PICKS] for r in engine.polars(built.profiles).to_dicts()}
    wanted = {"p1": "Ulm", "p2": None, "p3": "Wien", "p4": None}
    assert rows == {person: [value] * 4 for person, value in wanted.items()}
    origin = (
        engine.polars(built.profile_traits).select("profile_id", "message_id", "candidates").unique().sort("profile_id")
    )
    assert origin.rows() == [("p1", "m1", 1), ("p3", "m11", 0)]
