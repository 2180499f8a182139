"""View functions on a real workspace, compared with the published tables, counted in Polars."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import cdp_core as cdp
from cdp_core.dashboard.views import (
    audiences,
    customer,
    customers,
    destinations,
    identity,
    overview,
    quality,
    sync_plan,
    sync_rows,
)


def frame(ws: cdp.Workspace, name: str) -> pl.DataFrame:
    return ws.polars(ws.table(name))


def test_views_know_nothing_of_streamlit() -> None:
    names = "audiences, customer, customers, decisions, destinations, evidence, identity, overview, quality, tree"
    code = f"import sys; from cdp_core.dashboard.views import {names}; sys.exit('streamlit' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_figures_are_the_tables_counts(ws: cdp.Workspace) -> None:
    found = {figure.name: figure for figure in overview.figures(ws)}
    profiles = frame(ws, "profiles")
    identifiers = frame(ws, "user_identifiers")
    known = identifiers.filter(pl.col("type").is_in(overview.KNOWN))["profile_id"].n_unique()
    assert found["Events"].help.startswith(f"{frame(ws, 'events').height:,} events")
    assert found["Profiles"].trend[-1] == profiles.height
    assert found["Identified"].trend[-1] == pytest.approx(100 * known / profiles.height)
    assert found["Held rows"].value == str(frame(ws, "quarantine").filter(pl.col("status") == "held").height)
    sizes = frame(ws, "audience_members").group_by("audience").len()
    assert sum(found["In audiences"].trend) == sizes["len"].sum()
    weeks = frame(ws, "events").filter(
        pl.col("timestamp").is_between(pl.datetime(1997, 12, 29), pl.datetime(1998, 6, 29), "left")
    )
    assert sum(found["Events"].trend) == weeks.height
    assert len(found["Events"].trend) == overview.WEEKS


def test_every_row_read_is_somewhere(ws: cdp.Workspace) -> None:
    assert overview.sources(ws)["balanced"].all()
    flow = overview.flow(ws)
    assert flow.in_profiles + flow.without_identifier == frame(ws, "events").height


def test_what_needs_someone(ws: cdp.Workspace) -> None:
    needs = overview.needs(ws)
    assert [need.level for need in needs] == sorted((n.level for n in needs), key=["error", "warning", "info"].index)
    assert any("never run" in need.text and need.page == "destinations" for need in needs)


def test_search_is_masked_and_finds_the_person(ws: cdp.Workspace) -> None:
    person = (
        frame(ws, "profiles")
        .filter(pl.col("email").is_not_null() & pl.col("first_name").is_not_null())
        .row(0, named=True)
    )
    found = customers.search(ws, person["email"], False)
    assert found.exact == person["profile_id"]
    assert found.rows["profile_id"][0] == person["profile_id"]
    shown = " ".join(str(value) for row in found.rows.to_dicts() for value in row.values())
    assert person["email"] not in shown
    assert person["last_name"] is None or person["last_name"] not in shown
    assert person["email"] in str(customers.search(ws, person["email"], True).rows.to_dicts())
    assert customers.search(ws, "nobody has this name", False).rows.is_empty()


def test_without_text_those_seen_last_come_first(ws: cdp.Workspace) -> None:
    rows = customers.search(ws, "", False).rows
    latest = frame(ws, "profiles").sort(pl.col("last_seen"), descending=True)["last_seen"].head(customers.MOST)
    assert rows["last_seen"].to_list() == latest.to_list()


def test_amounts_have_the_currency_their_events_state(ws: cdp.Workspace) -> None:
    assert customers.currencies(ws)["total_spent"] == "USD"
    assert "orders" not in customers.currencies(ws)


def test_card_shows_each_value_with_its_source(ws: cdp.Workspace) -> None:
    traits = frame(ws, "profile_traits")
    busy = traits.group_by("profile_id").len().sort("len", "profile_id", descending=True)["profile_id"][0]
    card = customer.card(ws, busy, False)
    assert card.traits.height == traits.filter(pl.col("profile_id") == busy).height
    assert card.identifiers.height == frame(ws, "user_identifiers").filter(pl.col("profile_id") == busy).height
    row = frame(ws, "profiles").filter(pl.col("profile_id") == busy).row(0, named=True)
    text = " ".join(str(value) for r in card.traits.to_dicts() for value in r.values()) + card.name
    assert row["email"] not in text
    assert row["email"] in " ".join(customer.card(ws, busy, True).traits["value"].drop_nulls().to_list())


def test_timeline_pages_through_all_events(ws: cdp.Workspace) -> None:
    owners = frame(ws, "event_profiles")
    busy = owners.group_by("profile_id").len().sort("len", "profile_id", descending=True).row(0)
    total, first = customer.timeline(ws, busy[0], (), (), 1, 10, False)
    assert total == busy[1]
    seen = [
        e.message_id
        for page in range(1, -(-total // 10) + 1)
        for e in customer.timeline(ws, busy[0], (), (), page, 10, False)[1]
    ]
    assert sorted(seen) == sorted(owners.filter(pl.col("profile_id") == busy[0])["message_id"].to_list())
    times = [e.timestamp for e in first if e.timestamp]
    assert times == sorted(times, reverse=True)
    only, events = customer.timeline(ws, busy[0], (first[0].name,), (), 1, 10, False)
    assert only <= total
    assert {e.name for e in events} == {first[0].name}


def test_pickers_offer_what_arrives(ws: cdp.Workspace) -> None:
    offered = audiences.choices(ws)
    events = frame(ws, "events").drop_nulls("event")
    assert offered.events == dict(events.group_by("event").len().iter_rows())
    assert offered.traits["total_spent"] == "number"
    assert offered.traits["orders"] == "integer"
    assert offered.traits["value_tier"] == "string"
    seen = audiences.properties(ws, "Order Completed")
    assert seen["total"][0] == "number"
    assert seen["currency"] == ("string", ["USD"])
    assert audiences.values(ws, "email") == []
    assert set(audiences.values(ws, "value_tier")) == set(frame(ws, "profiles")["value_tier"].drop_nulls())


def test_preview_is_the_members_of_the_same_condition(ws: cdp.Workspace) -> None:
    for name in ws.config.audiences:
        found = audiences.preview(ws, ws.audience(name).definition["where"], False)
        assert found.count == audiences.size(ws, name) == ws.audience(name).members().height
        assert found.total == frame(ws, "profiles").height
        if "email" in found.sample.columns:
            assert all("•" in email for email in found.sample["email"].drop_nulls())


def test_members_page_by_page(ws: cdp.Workspace) -> None:
    name = max(ws.config.audiences, key=lambda n: audiences.size(ws, n))
    total = audiences.size(ws, name)
    pages = [audiences.members(ws, name, ("email",), page, 7, True) for page in range(1, -(-total // 7) + 1)]
    assert sorted(pl.concat(pages)["profile_id"]) == sorted(ws.audience(name).members()["profile_id"])


def test_plan_counts_and_masks(ws: cdp.Workspace) -> None:
    plan = sync_plan.plan(ws, "high_value_csv", False)
    assert plan.counts["add"] == plan.due == audiences.size(ws, "high_value")
    for email in plan.samples["email"].drop_nulls() if "email" in plan.samples.columns else []:
        assert "•" in email
    assert destinations.one(ws, "high_value_csv").file is None


def test_fields_are_masked_by_what_they_are_made_of(shop: Path) -> None:
    """Names of a service's fields say nothing to us: FN, and a greeting around a name."""
    fields = "{id: profile_id, FN: first_name, hello: {template: 'Dear {last_name}'}, n: orders}"
    sync = f"{{model: profiles, destination: exports, key: id, options: {{file: c.csv}}, mapping: {fields}}}"
    (shop / "more.yaml").write_text(f"syncs:\n  coded: {sync}\n")
    text = (shop / "cdp.yaml").read_text()
    (shop / "cdp.yaml").write_text("include: [more.yaml]\n" + text)
    with cdp.open(shop) as own:
        plan, open_plan = (sync_plan.plan(own, "coded", reveal) for reveal in (False, True))
        names = set(open_plan.samples["FN"].drop_nulls())
        assert names
        assert all("•" in shown for field in ("FN", "hello") for shown in plan.samples[field].drop_nulls())
        assert plan.samples["n"].to_list() == open_plan.samples["n"].to_list()
        own.sync("coded").run()
        _, rows = sync_rows.ledger(own, "coded", None, "", 1, 25, False)
        assert not names & {word for row in rows.iter_rows() for word in str(row).replace('"', " ").split()}


def test_quality_adds_up(ws: cdp.Workspace) -> None:
    found = quality.summary(ws)
    rules = quality.rules(ws)
    assert found.passed + found.failed + found.unchecked == rules.height > 0
    total, rows = quality.quarantine(ws, None, None, 1, 5, False)
    assert total == found.held == sum(quality.sources(ws).values())
    assert len(rows) == min(5, total)
    assert all(row.reasons for row in rows)
    assert b"<html" in quality.report(ws).lower()


def test_a_rule_finds_the_rows_it_holds(ws: cdp.Workspace) -> None:
    held = frame(ws, "quarantine").filter(pl.col("status") == "held")
    for rule in (
        quality.rules(ws).filter((pl.col("outcome") == "failed") & (pl.col("severity") == "quarantine")).to_dicts()
    ):
        total, _ = quality.quarantine(ws, None, rule["rule"], 1, 5, False)
        assert total == held.filter(pl.col("reasons").str.contains(f'"{rule["rule"]}"', literal=True)).height > 0


def test_identity_adds_up(ws: cdp.Workspace) -> None:
    found = identity.summary(ws)
    identifiers = frame(ws, "user_identifiers")
    assert found.identifiers == identifiers.height
    assert identity.sizes(ws)["profiles"].sum() == found.profiles == identifiers["profile_id"].n_unique()
    kinds = identity.kinds(ws)
    assert kinds["values"].sum() == identifiers.filter(pl.col("type").is_in(kinds["type"].to_list())).height
    assert (kinds["most"] <= kinds["limit"]).all()
    assert identity.conflict_counts(ws)["conflicts"].sum() == found.conflicts
    assert identity.largest(ws)["identifiers"].is_sorted(descending=True)
