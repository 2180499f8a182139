"""Worlds that are out to make one profile of many people, or to make it take for ever."""

from __future__ import annotations

import time

import polars as pl
import pytest
from identity_worlds import START, Resolve

from cdp_core import tables
from cdp_core.engine import Engine
from cdp_core.identity.resolve import Resolution
from cdp_core.identity.spec import IdentitySpec

SPEC = IdentitySpec.model_validate(
    {"identifiers": {"user_id": {"limit": 1}, "email": {"limit": 5}, "anonymous_id": {"limit": 20}}}
)


def world(size: int, **columns: pl.Expr | str) -> pl.DataFrame:
    """Events 0 to size − 1 a second apart; expressions may use the column n."""
    schema = tables.EVENTS.polars_schema()
    made = pl.select(n=pl.int_range(size)).with_columns(
        source=pl.lit("web"),
        message_id=pl.format("m{}", "n"),
        type=pl.lit("track"),
        timestamp=pl.lit(START) + pl.duration(seconds=pl.col("n")),
        **{name: pl.lit(value) if isinstance(value, str) else value for name, value in columns.items()},
    )
    return made.select(pl.col(c).cast(k) if c in made.columns else pl.lit(None, k).alias(c) for c, k in schema.items())


def sizes(engine: Engine, found: Resolution) -> pl.DataFrame:
    rows = engine.polars(found.user_identifiers)
    users = (pl.col("type") == "user_id").sum()
    return rows.group_by("profile_id").agg(users=users, size=pl.len())


def test_ten_thousand_people_with_one_email(lake: Engine, resolved: Resolve) -> None:
    once = world(10_000, user_id=pl.format("u{}", "n"), properties='{"email":"info@shop.example.com"}')
    twice = pl.concat([once, once.with_columns(message_id="again " + pl.col("message_id"))])
    started = time.perf_counter()
    found = resolved(twice, SPEC)
    assert time.perf_counter() - started < 30, "bounded; it takes about a second on an idle machine"
    assert sizes(lake, found)["users"].to_list() == [1] * 10_000
    (row,) = lake.polars(found.identity_conflicts).to_dicts()
    assert (row["action"], row["rule"], row["value"]) == ("set_aside", "shared", "info@shop.example.com")
    assert row["detail"] == "seen with 10000 user_ids, limit 10; in 20000 events"


def test_ten_thousand_people_with_one_email_and_no_word_of_sharing(lake: Engine, resolved: Resolve) -> None:
    once = world(10_000, user_id=pl.format("u{}", "n"), properties='{"email":"info@shop.example.com"}')
    twice = pl.concat([once, once.with_columns(message_id="again " + pl.col("message_id"))])
    started = time.perf_counter()
    found = resolved(twice, SPEC.model_copy(update={"shared": None}))
    assert time.perf_counter() - started < 30, "bounded; it takes about a second on an idle machine"
    assert sizes(lake, found)["users"].to_list() == [1] * 10_000
    rows = lake.polars(found.identity_conflicts)
    assert rows.height == 9_999
    assert set(rows["detail"]) == {"would give 2 user_id, limit 1; in 2 events"}


def test_one_device_with_five_thousand_logins(lake: Engine, resolved: Resolve) -> None:
    found = resolved(world(5_000, user_id=pl.format("u{}", "n"), anonymous_id="kiosk"), SPEC)
    assert sizes(lake, found)["users"].max() == 1
    assert lake.polars(found.identity_conflicts).select("value", "action").rows() == [("kiosk", "set_aside")]


def test_five_thousand_devices_with_one_email(lake: Engine, resolved: Resolve) -> None:
    found = resolved(world(5_000, anonymous_id=pl.format("d{}", "n"), properties='{"email":"a@x.org"}'), SPEC)
    assert sizes(lake, found)["size"].max() == 21
    assert set(lake.polars(found.identity_conflicts)["rule"]) == {"limit:anonymous_id"}


def test_a_chain_of_a_hundred_thousand_links(lake: Engine, resolved: Resolve) -> None:
    loose = IdentitySpec.model_validate(
        {"identifiers": {"anonymous_id": {"limit": 10**9}, "user_id": {"limit": 10**9}}}
    )
    step = (pl.col("n") + 1) // 2
    events = world(100_000, anonymous_id=pl.format("d{}", step), user_id=pl.format("u{}", pl.col("n") // 2))
    found = resolved(events, loose)
    assert sizes(lake, found)["size"].max() <= loose.max_mappings
    assert set(lake.polars(found.identity_conflicts)["rule"]) <= {"max_merges", "max_mappings"}
    assert lake.polars(found.event_profiles).height == 100_000


@pytest.mark.parametrize("value", ["null", "NULL", "undefined", "anonymous", "-1", "0", "0000-0000", "", "  "])
def test_values_that_identify_nobody(lake: Engine, resolved: Resolve, value: str) -> None:
    found = resolved(world(50, user_id=value, anonymous_id=pl.format("d{}", "n")), SPEC)
    assert sizes(lake, found)["size"].to_list() == [1] * 50


def test_lookalikes_are_different_people(lake: Engine, resolved: Resolve) -> None:
    emails = pl.Series(["ann@example.org", "аnn@example.org", "ann@exаmple.org"])
    found = resolved(world(3, properties='{"email":"' + emails + '"}'), SPEC)
    assert found.stats.profiles == 3
