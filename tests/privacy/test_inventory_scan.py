"""The scan: nested JSON, lists, maps, external ids, quarantine and tables, alike on both engines; nothing of the values
leaves it."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cdp_core import tables
from cdp_core.engine import Engine
from cdp_core.runs.inventory.drawn import drawn, quota
from cdp_core.runs.inventory.kept import PATH, kept_scan
from cdp_core.runs.inventory.scan import Field, Scan, scan

TODAY = date(2026, 11, 28)
CARD, MAIL = "4111 1111 1111 1111", "ann{}@example.org"


def publish(engine: Engine, name: str, rows: list[dict[str, Any]]) -> None:
    schema = tables.CANONICAL[name].polars_schema()
    texts = [{k: json.dumps(v) if isinstance(v, dict) else v for k, v in row.items()} for row in rows]
    engine.replace(name, engine.frame(pl.DataFrame([{c: r.get(c) for c in schema} for r in texts], schema=schema)))


def events() -> list[dict[str, Any]]:
    made = []
    for n in range(40):
        at = datetime(2026, 11, 1 + n % 20)
        context = {
            "ip": f"192.0.2.{n}",
            "campaign": {"name": "Spring"},
            "device": {"id": f"d{n}", "deep": {"er": {"owner_email": MAIL.format(n)}}},
            "externalIds": [
                {"id": MAIL.format(n), "type": "email", "collection": "users"},
                {"id": f"s{n}", "type": "shop_id"},
            ],
        }
        properties: dict[str, Any] = {
            "total": n + 0.5,
            "product_name": "Vase",
            "note": f"call me, card {CARD}" if n == 7 else "thanks a lot",
            "items": [{"sku": f"k{n}", "gift": {"recipient_name": f"Ann{n} Lee"}}, {"sku": "z"}],
            "tags": ["a", MAIL.format(n)],
            "gone": None,
            "blank": " ",
            "odd": "{not json",
        }
        made.append({"source": "web", "message_id": f"w{n}", "type": "track", "event": "Paid", "received_at": at,
                     "user_id": MAIL.format(n), "anonymous_id": f"a{n}", "properties": properties, "context": context})  # fmt: skip
    for n in range(230):
        made.append({"source": "crm", "message_id": f"c{n}", "type": "identify", "received_at": datetime(2026, 1, 2),
                     "user_id": f"u{n}", "traits": {"first_name": "Ann", "by_mail": {MAIL.format(n): "yes"}}})  # fmt: skip
    return made


def fill(engine: Engine) -> None:
    publish(engine, "events", events())
    held = [
        {"email": "bob@example.org", "iban": "DE89370400440532013000", "nested": {"password": "hunter2"}},
        "not json, bob@example.org",
    ]
    publish(engine, "quarantine", [
        {"source": "crm", "message_id": f"q{i}", "payload": payload, "received_at": datetime(2026, 2, 1)}
        for i, payload in enumerate(held)
    ])  # fmt: skip
    people = [{"type": "email", "value": MAIL.format(n), "profile_id": f"p{n}"} for n in range(5)]
    publish(engine, "user_identifiers", people)
    publish(engine, "sync_ledger", [{"sync": "mails", "key": "1", "payload": {"mail": MAIL.format(1), "total": 3}}])
    golden = pl.DataFrame({"profile_id": ["p1", "p2"], "first_seen": [datetime(2026, 1, 1)] * 2, "last_seen": [None, None],
                           "events": [1, 2], "plan": ["free", "paid"], "mails": [[MAIL.format(1)], [MAIL.format(2), None]]},
                          schema_overrides={"last_seen": pl.Datetime("us")})  # fmt: skip
    engine.replace("profiles", engine.frame(golden))


def kinds(found: Scan) -> dict[str, list[str]]:
    return {field.name: [each.kind for each in field.found] for field in found.fields}


def by_name(found: Scan) -> dict[str, Field]:
    return {field.name: field for field in found.fields}


def test_every_place_is_found_and_judged(engine: Engine) -> None:
    fill(engine)
    found = scan(engine, region="US", today=TODAY)
    assert kinds(found) == {
        "crm.quarantine": ["text:email"],
        "crm.quarantine.email": ["email"],
        "crm.quarantine.iban": ["iban"],
        "crm.quarantine.nested.password": ["secret"],
        "crm.traits.by_mail.*": ["email"],
        "crm.traits.first_name": ["name"],
        "crm.user_id": [],
        "profiles.mails": ["email"],
        "profiles.plan": [],
        "sync_ledger.mails.mail": ["email"],
        "sync_ledger.mails.total": [],
        "user_identifiers.email": ["email"],
        "web.anonymous_id": [],
        "web.context.campaign.name": [],
        "web.context.device.deep.er.owner_email": ["email"],
        "web.context.device.id": [],
        "web.context.externalIds.email": ["email"],
        "web.context.externalIds.shop_id": [],
        "web.context.ip": ["ip"],
        "web.properties.items.gift.recipient_name": ["name"],
        "web.properties.items.sku": [],
        "web.properties.note": ["text:card"],
        "web.properties.odd": [],
        "web.properties.product_name": [],
        "web.properties.tags": ["email"],
        "web.properties.total": [],
        "web.user_id": ["email"],
    }
    fields = by_name(found)
    ip = fields["web.context.ip"]
    assert (ip.values, ip.different, ip.said) == (40, 40, ("track Paid",))
    assert (ip.first_seen, ip.last_seen) == (datetime(2026, 11, 1), datetime(2026, 11, 20))
    assert fields["web.properties.tags"].values == 80
    assert fields["crm.traits.by_mail.*"].values == 460
    assert (found.rows, found.looked_at) == (40 + 230 + 2 + 5 + 1 + 2,) * 2


def test_what_is_kept_has_no_value_and_ends_with_the_snapshot(lake: Engine, tmp_path: Path) -> None:
    fill(lake)
    first = kept_scan(lake, tmp_path, region="US", today=TODAY)
    text = (tmp_path / PATH).read_text()
    assert not any(said in text for said in ("example.org", "4111", "hunter2", "192.0.2", "Ann", "DE89"))
    assert kept_scan(lake, tmp_path, region="US", today=TODAY) == first
    (tmp_path / PATH).write_text(text.replace("properties.total", "properties.sum"))
    assert "web.properties.sum" in by_name(kept_scan(lake, tmp_path, region="US", today=TODAY)), "it was not read"
    publish(lake, "quarantine", [])
    again = kept_scan(lake, tmp_path, region="US", today=TODAY)
    assert not [field for field in again.fields if "quarantine" in field.place or field.place.endswith("sum")]
    (tmp_path / PATH).write_text("{damaged")
    assert kept_scan(lake, tmp_path, region="US", today=TODAY) == again


def test_a_large_lake_is_sampled_and_rare_events_are_read_whole(lake: Engine) -> None:
    """Of 30,000 events a budget of 2,000 reads a share; the field that one event in a thousand has is found."""
    many = [{"source": "web", "message_id": f"m{n}", "type": "track", "event": "Seen", "properties": {"path": f"/{n % 9}"}}
            for n in range(30_000)]  # fmt: skip
    rare = [{"source": "web", "message_id": f"r{n}", "type": "track", "event": "Asked", "properties": {"q": MAIL.format(n)}}
            for n in range(30)]  # fmt: skip
    publish(lake, "events", many + rare)
    found = scan(lake, region="US", today=TODAY, budget=2_000)
    fields = by_name(found)
    assert found.rows == 30_030
    assert 1_500 < found.looked_at < 2_500
    assert (fields["web.properties.q"].values, kinds(found)["web.properties.q"]) == (30, ["email"])
    assert abs(fields["web.properties.path"].values - 30_000) < 3_000
    assert scan(lake, region="US", today=TODAY, budget=2_000) == found
    table = lake.table("events")
    kept, _, _ = drawn(lake, table.mutate(said=table.event), ("said",), ("source", "message_id"), 2_000)
    assert lake.polars(kept.filter(kept.said == "Asked")).height == 30


@pytest.mark.parametrize(
    ("counts", "budget", "most"), [((5, 5, 1000), 40, 30), ((10,), 4, 4), ((), 9, 0), ((3, 4), 99, 4)]
)
def test_quota(counts: tuple[int, ...], budget: int, most: int) -> None:
    assert quota(counts, budget) == most


def test_an_empty_lake_has_no_fields(lake: Engine) -> None:
    assert scan(lake, region="US", today=TODAY) == Scan(fields=(), rows=0, looked_at=0)
