"""Whoever is suppressed is sent to nobody, under any identifier, after rebuilds and restored lakes too."""

from __future__ import annotations

import hashlib
import hmac
import json
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

import cdp_core as cdp
from cdp_core.engine import Engine
from cdp_core.privacy.key import PATH as KEY
from cdp_core.privacy.suppression import SUPPRESS, UNSUPPRESS, in_force, suppressed_profiles, suppression
from cdp_core.privacy.tombstones import tombstone
from cdp_core.runs.suppressing import PATH as JOURNAL

SHOP = """
name: shop
destinations:
  box: {type: sqlite, path: box.sqlite}
sources:
  crm:
    type: file
    path: crm.csv
    map:
      {type: identify, key: [id], identifiers: {user_id: id, email: email, phone: phone}, traits: {email: email}}
traits:
  email: {type: string}
syncs:
  people: {model: profiles, destination: box, key: id, options: {table: people}, mapping: {id: profile_id, mail: email}}
"""
CRM = "id,email,phone\n1,ann@example.org,+14155550101\n2,ben@example.org,+14155550102\n3,cy@example.org,+14155550103\n"


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shop")
    (root / "cdp.yaml").write_text(SHOP)
    (root / "crm.csv").write_text(CRM)
    with cdp.open(root) as ws:
        run(ws)
    return root


@pytest.fixture
def shop(synced: Path, tmp_path: Path) -> Iterator[cdp.Workspace]:
    shutil.copytree(synced, tmp_path / "shop")
    with cdp.open(tmp_path / "shop") as ws:
        yield ws


def sent(ws: cdp.Workspace) -> set[str]:
    import sqlite3

    connection = sqlite3.connect(ws.root / "box.sqlite")
    try:
        return {mail for (mail,) in connection.execute("SELECT mail FROM people")}
    finally:
        connection.close()


def run(ws: cdp.Workspace, **options: bool) -> None:
    done = ws.run(sync=True, **options)  # type: ignore[arg-type]
    assert done.status == "succeeded", done.error


ANN, BEN, CY = "ann@example.org", "ben@example.org", "cy@example.org"


def test_a_suppressed_person_is_taken_out_and_comes_back(shop: cdp.Workspace) -> None:
    assert sent(shop) == {ANN, BEN, CY}
    made = shop.privacy.suppress("phone:+1 415 555 0101", reason="asked for it")
    assert len(made.tombstones) == 3, "every identifier of the person, not the one that was named"
    plan = shop.sync("people").plan()
    assert (plan.remove, plan.samples["remove"][0]["reason"]) == (1, "suppressed")
    shop.sync("people").run(plan.plan_id)
    assert sent(shop) == {BEN, CY}
    shop.sync("people").run()
    ledger = shop.polars(shop.table("sync_ledger").filter(lambda t: t.status == "withheld"))
    assert ledger["error"].to_list() == ["suppressed"]
    with pytest.raises(cdp.UsageError, match="suppressed already"):
        shop.privacy.suppress(f"email:{ANN}", reason="again")
    (lifted,) = shop.privacy.unsuppress("user_id:1", reason="changed her mind")
    assert lifted.action == UNSUPPRESS
    shop.sync("people").run()
    assert sent(shop) == {ANN, BEN, CY}
    assert shop.privacy.suppressions().is_empty()
    assert shop.privacy.suppressions(history=True)["action"].to_list() == [SUPPRESS, UNSUPPRESS]


def test_it_is_kept_when_the_lake_is_lost_or_restored_and_when_profiles_change(shop: cdp.Workspace) -> None:
    lake = shop.root / "data/lake"
    shop.close()
    shutil.copytree(lake, shop.root / "backup")
    shop.privacy.suppress(f"email:{BEN}", reason="asked for it")
    shop.close()
    shutil.rmtree(lake)
    shutil.copytree(shop.root / "backup", lake)
    assert shop.sync("people").plan().remove == 1, "a lake from before the decision"
    shop.close()
    shutil.rmtree(lake)
    (shop.root / "box.sqlite").unlink()
    run(shop)
    assert sent(shop) == {ANN, CY}
    assert shop.polars(shop.table("user_identifiers")).filter(pl.col("value") == BEN).is_empty(), "not taken in again"
    (shop.root / "crm.csv").write_text(CRM.replace(BEN, "ben@example.net"))
    run(shop)
    assert sent(shop) == {ANN, CY}, "the new address is the same person's"
    run(shop, full_refresh=True)
    assert sent(shop) == {ANN, CY}


def test_somebody_who_is_not_known_yet_is_recognised(shop: cdp.Workspace) -> None:
    shop.privacy.suppress("email:Dan@Example.org", reason="wrote before we knew him")
    (shop.root / "crm.csv").write_text(CRM + "4,dan@example.org,+14155550104\n")
    run(shop)
    assert sent(shop) == {ANN, BEN, CY}
    assert shop.polars(shop.table("user_identifiers")).filter(pl.col("value") == "4").is_empty()
    assert shop.privacy.suppressed("email:dan@example.org")
    assert not shop.privacy.suppressed("user_id:3")


def test_nothing_about_the_person_is_written_down(shop: cdp.Workspace) -> None:
    shop.privacy.suppress(f"email:{ANN}", reason="asked for it")
    for path in (JOURNAL, KEY):
        file = shop.root / path
        assert file.stat().st_mode & 0o77 == 0, f"{path} can be read by others"
        assert ANN.encode() not in file.read_bytes()
    row = json.loads((shop.root / JOURNAL).read_text())
    key = bytes.fromhex((shop.root / KEY).read_text())
    wanted = hmac.new(key, f"email:{ANN}".encode(), hashlib.sha256).hexdigest()
    assert wanted in row["tombstones"]
    table = shop.polars(shop.table("suppressions"))
    assert set(table["identifier_hmac"]) == set(row["tombstones"])


def test_without_its_key_nothing_is_sent(shop: cdp.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.privacy.suppress(f"email:{ANN}", reason="asked for it")
    key = (shop.root / KEY).read_text()
    (shop.root / KEY).unlink()
    (shop.root / "crm.csv").write_text(CRM + "4,dan@example.org,+14155550104\n")
    with pytest.raises(cdp.SpecError, match="the key is gone"):
        shop.run(sync=True)
    assert sent(shop) == {ANN, BEN, CY}
    with pytest.raises(cdp.SpecError, match="the key is gone"):
        shop.privacy.suppress(f"email:{BEN}", reason="another key would forget Ann")
    monkeypatch.setenv("CDP_PRIVACY_KEY", "short")
    with pytest.raises(cdp.SpecError, match="is no key"):
        shop.privacy.suppressed(f"email:{ANN}")
    monkeypatch.setenv("CDP_PRIVACY_KEY", key.strip())
    run(shop)
    assert sent(shop) == {BEN, CY, "dan@example.org"}


@pytest.mark.parametrize(
    ("line", "what"),
    [("{}", "no suppression"), ('{"action":"hide","tombstones":{"a":"b"},"reason":"","at":"2026-01-01"}', "no supp")],
)
def test_a_broken_file_is_named(shop: cdp.Workspace, line: str, what: str) -> None:
    (shop.root / JOURNAL).parent.mkdir(parents=True, exist_ok=True)
    (shop.root / JOURNAL).write_text(line)
    with pytest.raises(cdp.SpecError, match=rf"suppressions.jsonl:1: {what}"):
        shop.sync("people").plan()


def test_a_reason_is_wanted_and_somebody_to_take_it_back_from(shop: cdp.Workspace) -> None:
    with pytest.raises(cdp.UsageError, match="a reason is missing"):
        shop.privacy.suppress(f"email:{ANN}", reason=" ")
    assert not (shop.root / JOURNAL).exists() or not (shop.root / JOURNAL).read_text()
    with pytest.raises(cdp.UsageError, match="nobody with this identifier"):
        shop.privacy.unsuppress(f"email:{ANN}", reason="by mistake")


def test_a_value_that_stands_for_nobody_is_no_person(shop: cdp.Workspace) -> None:
    for ask in (shop.privacy.suppress, shop.privacy.erase):
        with pytest.raises(cdp.UsageError, match="a blocked value, which stands for nobody"):
            ask("user_id:Anonymous", reason="copied from an empty form")
    assert shop.privacy.suppressions(history=True).is_empty()
    assert shop.privacy.requests().is_empty()


def test_profiles_are_found_by_tombstones_on_both_engines(engine: Engine) -> None:
    key = bytes(range(32))
    values = [("email", "ann@example.org"), ("user_id", "é中😀"), ("email", "other@example.org"), ("phone", "")]
    rows = [(type_, value, f"p{n}") for n, (type_, value) in enumerate(values)]
    table = engine.frame(pl.DataFrame(rows, ["type", "value", "profile_id"], orient="row"))
    at = datetime(2026, 1, 1)
    active = in_force([suppression(SUPPRESS, [values[0], values[1], ("email", "nobody")], key, reason="r", at=at)])
    found = engine.polars(suppressed_profiles(engine, active, key, table))["profile_id"]
    assert set(found) == {"p0", "p1"}
    hashed = engine.polars(table.select(h=engine.keyed(table.type + ":" + table.value, key)))["h"]
    assert set(hashed) == {tombstone(one, key)[0] for one in values}
