"""Who is who: the truth covers every record once, and deterministic rules alone can find it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from demo_files import contacts, subscribers, tickets, truth, web_lines
from demo_resolver import Graph, evaluate, identifiers

from cdp_core.demo_world import WorldSummary


def people_of(data: Path, source: str) -> dict[str, str]:
    return dict(truth(data).filter(source=source).select("record", "person").iter_rows())


def test_every_record_has_one_person(data: Path) -> None:
    orders = pl.read_parquet(data / "sources" / "shop_orders.parquet")
    records = {
        "shop_orders": set(orders["customer_id"]),
        "crm_contacts": set(contacts(data)["contact_id"].drop_nulls()),
        "web_events": {event["anonymousId"] for event in web_lines(data) if "anonymousId" in event},
        "support_tickets": set(tickets(data)["ticket_id"]),
        "newsletter": set(subscribers(data)["subscriber_id"]),
    }
    known = truth(data)
    assert not known.select("source", "record").is_duplicated().any()
    assert known.null_count().row(0) == (0, 0, 0)
    assert {name: set(people_of(data, name)) for name in records} == records


def test_records_that_name_a_customer_belong_to_that_customer(data: Path) -> None:
    person = people_of(data, "shop_orders")
    contact = people_of(data, "crm_contacts")
    named = contacts(data).drop_nulls(["customer_id", "contact_id"])
    assert named.height > 1_800
    assert all(contact[row["contact_id"]] == person[row["customer_id"]] for row in named.iter_rows(named=True))
    device = people_of(data, "web_events")
    logins = [e for e in web_lines(data) if e.get("userId", "undefined") != "undefined"]
    assert len(logins) > 5_000
    assert all(device[event["anonymousId"]] == person[event["userId"]] for event in logins)


def test_strangers_are_a_person_each(world: WorldSummary, data: Path) -> None:
    device = people_of(data, "web_events")
    strangers = [person for person in device.values() if person.startswith(("visitor", "bot"))]
    assert len(strangers) == len(set(strangers)) == world.visitors + world.bots


def test_the_head_of_a_household_had_the_shared_address_first(world: WorldSummary, data: Path) -> None:
    mine = pl.DataFrame(
        {"contact_id": list(people_of(data, "crm_contacts")), "person": people_of(data, "crm_contacts").values()}
    )
    written = (
        contacts(data)
        .with_columns(email=pl.col("email").str.strip_chars().str.to_lowercase())
        .filter(pl.col("email").str.contains("@"), pl.col("email") != "test@example.com")
        .join(mine, on="contact_id")
        .group_by("email", "person")
        .agg(first=pl.col("updated_at").min(), named=pl.col("customer_id").is_not_null().any())
    )
    shared = written.filter(pl.len().over("email") > 1).sort("email", "first")
    heads = shared.group_by("email", maintain_order=True).first()
    assert heads.height == world.households == shared.height // 2 == 41
    assert heads["named"].all()
    from_address = set(subscribers(data)["email"].drop_nulls().str.strip_chars().str.to_lowercase())
    subscriber = people_of(data, "newsletter")
    members = set(shared["person"]) - set(heads["person"])
    assert members
    assert not members & set(subscriber.values())
    assert from_address & set(heads["email"])


def test_segments_policy_finds_the_people(data: Path) -> None:
    score = evaluate(data)
    assert score.precision >= 0.999, score
    assert score.recall >= 0.95, score
    assert min(score.wrong_pairs, score.missed_pairs) > 0, "a world without hard cases proves nothing"


def test_the_resolver_demotes_the_least_important_identifier() -> None:
    graph = Graph()
    first = graph.add(identifiers(user_id="1", email="A@example.org "))
    second = graph.add(identifiers(user_id="2", email="a@example.org"))
    third = graph.add(identifiers(email="a@example.org", phone="(415) 555-0134"))
    fourth = graph.add(identifiers(phone="+1 415 555 0134", user_id="null"))
    assert first is not None
    assert second is not None
    assert third is not None
    assert fourth is not None
    assert graph.find(first) != graph.find(second)
    assert graph.find(first) == graph.find(third) == graph.find(fourth)
    assert graph.add(identifiers(email="n/a", phone="000-000-0000", user_id="undefined")) is None
