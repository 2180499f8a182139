"""What is odd or wrong on purpose: as much of it as the summary says, and no more."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path

import phonenumbers
import polars as pl
from demo_files import contacts, subscribers, tickets, web_lines
from email_validator import validate_email

from cdp_core.demo_world import WorldSummary

PLACEHOLDERS = {"n/a", "unknown", "N/A", "null"}


def is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text) < date(1998, 7, 1)
    except ValueError:
        return False


def test_bad_rows_are_counted_right(world: WorldSummary, data: Path) -> None:
    crm, news = contacts(data), subscribers(data)
    mails = [text for text in crm["email"].drop_nulls() if text not in PLACEHOLDERS]
    events = {event["messageId"]: event for event in web_lines(data)}.values()
    lines = web_lines(data)
    assert len(events) < len(lines)
    found = {
        "crm_contacts: impossible birth_date": sum(not is_date(text) for text in crm["birth_date"].drop_nulls()),
        "crm_contacts: email without @": sum("@" not in text for text in mails),
        "crm_contacts: updated_at before created_at": crm.filter(pl.col("updated_at") < pl.col("created_at")).height,
        "crm_contacts: copy without contact_id": crm["contact_id"].null_count(),
        "web_events: no identifier at all": sum("userId" not in e and "anonymousId" not in e for e in lines),
        "web_events: track without a name": sum(e["type"] == "track" and "event" not in e for e in lines),
        "support_tickets: satisfaction outside 1 to 5": tickets(data).filter(pl.col("satisfaction") > 5).height,
        "newsletter: email without @": sum("@" not in text for text in news["email"].drop_nulls()),
        "newsletter: unknown frequency": news.filter(~pl.col("frequency").is_in(["daily", "weekly", "monthly"])).height,
    }
    assert world.bad_rows == found
    crm_bad = sum(count for rule, count in found.items() if rule.startswith("crm"))
    assert 0.001 <= crm_bad / crm.height <= 0.003


def test_contacts_have_duplicates_blanks_and_placeholders(world: WorldSummary, data: Path) -> None:
    crm = contacts(data)
    assert 0.07 <= world.duplicates / world.people <= 0.09
    named = crm.drop_nulls("customer_id").filter(pl.len().over("customer_id") > 1)
    assert named.filter(pl.col("first_name").n_unique().over("customer_id") > 1).height > 40
    assert named.filter(pl.col("street").n_unique().over("customer_id") > 1).height > 40
    assert crm.filter(pl.col("email").is_in(PLACEHOLDERS)).height > 3
    assert crm.filter(pl.col("phone").is_in(["000-000-0000", "unknown", "n/a"])).height > 20
    assert crm["email"].null_count() > 50
    assert crm["phone"].null_count() > 150
    assert crm.filter(email="test@example.com")["customer_id"].null_count() == 0


def test_phones_are_valid_fictional_and_one_person_s(data: Path) -> None:
    crm = contacts(data)
    written = [text for text in crm["phone"].drop_nulls() if text not in {"000-000-0000", "unknown", "n/a"}]
    numbers = [phonenumbers.parse(text, "US") for text in written]
    assert all(phonenumbers.is_valid_number_for_region(number, "US") for number in numbers)
    assert all(re.fullmatch(r"\d{3}55501\d\d", str(number.national_number)) for number in numbers)
    assert {re.sub(r"\d", "5", text) for text in written} == {
        "(555) 555-5555", "555-555-5555", "555.555.5555", "+5 555 555 5555", "5555555555", "5-555-555-5555",
    }  # fmt: skip


def test_emails_are_valid_and_reach_nobody(data: Path) -> None:
    texts = [*contacts(data)["email"].drop_nulls(), *tickets(data)["requester_email"].drop_nulls()]
    texts += [event["traits"]["email"] for event in web_lines(data) if event.get("traits")]
    emails = {text.strip() for text in texts if "@" in text}
    assert len(emails) > 2_000
    for email in emails:
        found = validate_email(email, check_deliverability=False)
        assert re.search(r"(^|\.)example\.(com|org|net)$", found.domain)
    assert any(text != text.strip() for text in texts)
    assert any(text != text.lower() for text in texts)


def test_hashes_are_those_of_the_addresses(data: Path) -> None:
    news = subscribers(data)
    both = news.drop_nulls(["email", "email_sha256"])
    assert both.height > 80
    for email, given in both.select("email", "email_sha256").iter_rows():
        assert given == hashlib.sha256(email.strip().lower().encode()).hexdigest()
    alone = news.filter(pl.col("email").is_null())
    assert alone["email_sha256"].null_count() == 0
    assert 0.1 < alone.height / news.height < 0.2
    assert 0.25 < 1 - news["email_sha256"].null_count() / news.height < 0.35


def test_web_events_follow_the_segment_spec(data: Path) -> None:
    lines = web_lines(data)
    kinds = Counter((event["type"], event.get("event")) for event in lines)
    assert {("identify", None), ("page", None), ("track", "Product Viewed"), ("track", "Product Added")} <= set(kinds)
    for event in lines:
        assert re.fullmatch(r"w\d{7}", event["messageId"])
        assert re.fullmatch(r"[0-9a-f]{12}", event.get("anonymousId", "0" * 12))
        assert re.match(r"(192\.0\.2|198\.51\.100|203\.0\.113)\.\d+$", event["context"]["ip"])
        for name in ("originalTimestamp", "sentAt", "receivedAt"):
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event.get(name, "1997-01-01T00:00:00.000Z"))
        if event.get("event"):
            assert event["properties"].keys() == {"product_id", "genre", "price"}


def test_clocks_are_skewed_but_arrival_puts_them_right(data: Path) -> None:
    lines = [event for event in web_lines(data) if "sentAt" in event]
    skewed = 0
    for event in lines:
        received, sent, original = (
            datetime.fromisoformat(event[name]) for name in ("receivedAt", "sentAt", "originalTimestamp")
        )
        true = received - (sent - original)
        assert "1997-01-01" <= true.isoformat()[:10] <= "1998-06-30"
        skewed += abs(true - original) > timedelta(minutes=5)
    assert 0.01 < skewed / len(lines) < 0.03


def test_one_event_in_a_hundred_is_sent_twice_and_says_the_same(data: Path) -> None:
    lines = web_lines(data)
    times = Counter(event["messageId"] for event in lines)
    twice = {message for message, count in times.items() if count == 2}
    assert set(times.values()) == {1, 2}
    assert 0.007 < len(twice) / len(times) < 0.013
    content = {
        (e["messageId"], str(sorted((k, str(v)) for k, v in e.items() if k not in ("sentAt", "receivedAt"))))
        for e in lines
        if e["messageId"] in twice
    }
    assert len(content) == len(twice)


def test_bots_view_hundreds_of_pages_and_never_identify(world: WorldSummary, data: Path) -> None:
    seen: dict[str, list[str]] = {}
    for event in web_lines(data):
        if "bot" in event["context"]["userAgent"].lower():
            seen.setdefault(event["anonymousId"], []).append(event["type"])
    assert len(seen) == world.bots
    assert all(len(kinds) >= 120 and set(kinds) == {"page"} for kinds in seen.values())


def test_few_devices_stay_without_a_link(data: Path) -> None:
    linked: dict[str, bool] = {}
    for event in web_lines(data):
        if device := event.get("anonymousId"):
            tied = event.get("userId", "undefined") != "undefined" or bool(event.get("traits", {}).get("email"))
            linked[device] = linked.get(device, False) or tied
    unlinked = sum(not tied for tied in linked.values())
    strangers = 40 + 2
    assert 0 < (unlinked - strangers) / len(linked) < 0.03
