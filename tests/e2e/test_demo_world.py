"""The repository's own demo world, by the commands that the README shows."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.xdist_group("demo")


def cdp(folder: Path, *arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "cdp_core.cli", *arguments, "--output", "json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "ws"
    folder.mkdir()
    shutil.copy(ROOT / "cdp.yaml", folder)
    shutil.copytree(ROOT / "expectations", folder / "expectations")
    shutil.copytree(ROOT / "data", folder / "data", ignore=shutil.ignore_patterns("lake", "exports", "reports"))
    return folder


@pytest.fixture(scope="module")
def first_run(demo: Path) -> dict[str, Any]:
    run: dict[str, Any] = cdp(demo, "run")
    return run


def test_run_prints_one_object(first_run: dict[str, Any]) -> None:
    assert first_run["status"] == "succeeded"
    assert {"run_id", "status", "seconds", "peak_rss_mb", "stages", "tables"} <= set(first_run)
    for stage in first_run["stages"]:
        assert {"name", "seconds", "rows_in", "rows_out", "quarantined"} <= set(stage)
    assert [s["name"] for s in first_run["stages"]] == ["load", "quality", "identity", "profiles", "audiences"]
    assert first_run["tables"]["profiles"] > 20_000
    print(first_run["seconds"], first_run["peak_rss_mb"])
    assert first_run["seconds"] <= 60, "20 s on an idle machine"


def test_all_five_sources_are_in(demo: Path, first_run: dict[str, Any]) -> None:
    rows = cdp(demo, "sql", "SELECT source, count(*) AS n FROM events GROUP BY source ORDER BY source")
    assert [r["source"] for r in rows] == ["crm_contacts", "newsletter", "shop_orders", "support_tickets", "web_events"]
    assert {r["source"]: r["n"] for r in rows}["shop_orders"] == 69_659


def test_sql_prints_a_list(demo: Path, first_run: dict[str, Any]) -> None:
    assert cdp(demo, "sql", "SELECT count(*) AS n FROM profiles") == [{"n": first_run["tables"]["profiles"]}]


def test_identity_is_precise(demo: Path, first_run: dict[str, Any]) -> None:
    found = cdp(demo, "identity", "evaluate", "--truth", "data/truth.csv")
    print(found)
    assert found["precision"] >= 0.999
    assert found["recall"] >= 0.95
    assert {"f1", "b3_f1", "wrong_merges"} <= set(found)


def test_money_adds_up_to_the_real_orders(demo: Path, first_run: dict[str, Any]) -> None:
    import polars as pl

    real = pl.read_parquet(demo / "data/sources/shop_orders.parquet")["dollars"].sum()
    golden = cdp(demo, "sql", "SELECT sum(total_spent) AS spent, sum(orders)::BIGINT AS orders FROM profiles")[0]
    assert golden["spent"] == pytest.approx(real)
    assert golden["orders"] == 69_659


def test_the_second_run_loads_nothing(demo: Path, first_run: dict[str, Any]) -> None:
    ids = "SELECT md5(string_agg(type || value || profile_id, '' ORDER BY type, value)) AS ids FROM user_identifiers"
    before = cdp(demo, "sql", ids)
    again = cdp(demo, "run")
    assert {s["name"]: s["rows_in"] for s in again["stages"]}["load"] == 0
    assert cdp(demo, "sql", ids) == before
    print(again["seconds"])
    assert again["seconds"] <= 15, "4 s on an idle machine"


PERSONAL = {
    "crm_contacts": """
        context.externalIds.email context.externalIds.phone traits.first_name traits.last_name traits.email traits.phone
        traits.street traits.city traits.state traits.postcode traits.birth_date quarantine.first_name
        quarantine.last_name quarantine.email quarantine.phone quarantine.street quarantine.city quarantine.state
        quarantine.postcode quarantine.birth_date""",
    "newsletter": "context.externalIds.email context.externalIds.email_sha256 traits.email quarantine.email",
    "support_tickets": """
        context.externalIds.email context.externalIds.phone columns.requester_name quarantine.requester_name
        quarantine.requester_email quarantine.requester_phone""",
    "web_events": "context.ip traits.email traits.first_name quarantine.context.ip",
    "profiles": "first_name last_name email phone city state postcode birth_date",
    "user_identifiers": "email email_sha256 phone",
}
"""Every field of the demo world that says something about who somebody is, listed by hand."""
PSEUDONYMS = {
    "crm_contacts": """
        user_id record_id context.externalIds.crm_contact_id quarantine.customer_id quarantine.contact_id""",
    "newsletter": "record_id",
    "shop_orders": "user_id record_id",
    "support_tickets": "record_id",
    "web_events": "user_id anonymous_id quarantine.userId quarantine.anonymousId",
    "user_identifiers": "user_id anonymous_id crm_contact_id",
}
"""Fields that stand for a person and name nobody."""


def named(told: dict[str, str]) -> set[str]:
    return {f"{source}.{place}" for source, places in told.items() for place in places.split()}


def test_inventory_finds_every_personal_field(demo: Path, first_run: dict[str, Any]) -> None:
    rows = cdp(demo, "privacy", "inventory")
    found = {row["field"] for row in rows if row["suggested"] != "green"}
    pseudonyms = {row["field"] for row in rows if row["kind"] == "identifier"}
    missed, alarms = named(PERSONAL) - found, found - named(PERSONAL)
    print(f"{len(found)} of {len(rows)} fields are personal; missed {len(missed)}, false alarms {len(alarms)}")
    assert not missed
    assert not alarms
    assert pseudonyms == named(PSEUDONYMS)
    waiting = {row["field"] for row in rows if row["inbox"]}
    assert waiting < named(PERSONAL), "what follows another field does not wait"
    assert {"profiles.email", "crm_contacts.quarantine.email"} & waiting == set()
