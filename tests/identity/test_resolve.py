"""From events to profiles: what is read, what joins, what is held back, and what is said about it."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from identity_worlds import START, Resolve, event

from cdp_core import tables
from cdp_core.engine import Engine
from cdp_core.identity.resolve import Resolution
from cdp_core.identity.spec import IdentitySpec

SPEC = IdentitySpec.model_validate(
    {
        "identifiers": {
            "user_id": {"limit": 1},
            "email": {"limit": 2},
            "phone": {"limit": 2},
            "crm_contact_id": {"limit": 3},
            "email_sha256": {"limit": 2, "derive": {"from": "email"}},
            "anonymous_id": {"limit": 2},
        },
        "blocked": ["^[0-]*$", "null", "undefined", "test@example.com"],
    }
)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def groups(lake: Engine, found: Resolution) -> set[frozenset[str]]:
    """Profiles as sets of type:value."""
    rows = lake.polars(found.user_identifiers)
    named = rows.select("profile_id", name=pl.format("{}:{}", "type", "value"))
    return {frozenset(names) for names in named.group_by("profile_id").agg("name")["name"]}


def owners(lake: Engine, found: Resolution) -> dict[str, str]:
    return dict(lake.polars(found.event_profiles).select("message_id", "profile_id").iter_rows())


def conflicts(lake: Engine, found: Resolution) -> list[dict[str, Any]]:
    return lake.polars(found.identity_conflicts).sort("rule", "type", "value").to_dicts()


def test_tables_have_the_canonical_shape(lake: Engine, resolved: Resolve) -> None:
    found = resolved([event(1, [("user_id", "u1"), ("email", "a@x.org")]), event(2, [("email", "no")])], SPEC)
    for name in ("identity_links", "user_identifiers", "event_profiles", "profile_merges", "identity_conflicts"):
        frame = lake.polars(getattr(found, name))
        assert dict(frame.select(*tables.CANONICAL[name].columns).schema) == dict(
            tables.CANONICAL[name].polars_schema()
        ), name
        key = tables.CANONICAL[name].key
        assert not key or not frame.select(key).is_duplicated().any()


def test_identifiers_are_read_from_every_place(lake: Engine, resolved: Resolve) -> None:
    events = [
        event(1, [("user_id", "u1"), ("crm_contact_id", "c1")]),
        event(2, [], user_id="u1", traits=json.dumps({"email": "A@X.org", "crmContactId": "c2"})),
        event(
            3,
            [],
            type="track",
            anonymous_id="d1",
            properties=json.dumps({"email": "a@x.org", "to": {"email": "z@x.org"}}),
        ),
        event(4, [], type="track", anonymous_id="d2", context=json.dumps({"traits": {"phone": "415-555-0134"}})),
        event(5, [], user_id="u1", traits='{"ph\\u006fne": "+14155550134"}'),
    ]
    found = resolved(events, SPEC)
    assert groups(lake, found) == {
        frozenset(
            [
                "user_id:u1",
                "crm_contact_id:c1",
                "crm_contact_id:c2",
                "email:a@x.org",
                f"email_sha256:{sha('a@x.org')}",
                "anonymous_id:d1",
                "anonymous_id:d2",
                "phone:+14155550134",
            ]
        )
    }


def test_what_is_no_identifier_of_a_person(lake: Engine, resolved: Resolve) -> None:
    account = {"externalIds": [{"id": "acme", "type": "crm_contact_id", "collection": "accounts"}]}
    events = [
        event(1, [], user_id="u1", type="group", group_id="g", traits=json.dumps({"email": "office@x.org"})),
        event(2, [], user_id="u2", type="group", group_id="g", context=json.dumps(account)),
        event(3, [], user_id="u3", properties=json.dumps({"user_id": "u1", "anonymous_id": "d"})),
        event(4, [("shoe_size", "43")]),
        event(5, [], user_id="", anonymous_id="  "),
        event(6, [], user_id="u4", context=json.dumps({"externalIds": {"id": "x", "type": "email"}})),
        event(7, [], user_id="u5", context=json.dumps({"externalIds": ["x", 1, None, {"id": "y"}, {"type": "email"}]})),
        event(8, [], user_id="u6\x1eemail\x1fu1@x.org"),
    ]
    found = resolved(events, SPEC)
    assert groups(lake, found) == {
        frozenset([f"user_id:{u}"]) for u in ("u1", "u2", "u3", "u4", "u5", "u6 email u1@x.org")
    }
    assert set(owners(lake, found)) == {f"m{n:06d}" for n in (1, 2, 3, 6, 7, 8)}


def test_group_id_counts_when_it_is_listed(lake: Engine, resolved: Resolve) -> None:
    rules = IdentitySpec.model_validate({"identifiers": {"user_id": {}, "group_id": {}}})
    found = resolved([event(n, [], user_id=f"u{n}", group_id="g") for n in (1, 2)], rules)
    assert groups(lake, found) == {frozenset(["user_id:u1", "user_id:u2", "group_id:g"])}


def test_only_the_newest_version_of_a_track_row_counts(lake: Engine, resolved: Resolve) -> None:
    def version(n: int, email: str, **more: Any) -> dict[str, Any]:
        return event(n, [("email", email)], type="track", row_key="order 1", **more)

    late = START + timedelta(days=1)
    events = [
        version(1, "new@x.org", received_at=late),
        version(2, "old@x.org"),
        version(3, "older@x.org", received_at=late, message_id="a"),
        version(4, "other@x.org", source="shop"),
        event(5, [("email", "first@x.org"), ("user_id", "u")], row_key="contact 1"),
        event(6, [("email", "second@x.org"), ("user_id", "u")], row_key="contact 1"),
        event(7, [("email", "a@x.org")], type="track"),
        event(8, [("email", "b@x.org")], type="track"),
    ]
    found = resolved(events, SPEC)
    emails = {name for group in groups(lake, found) for name in group if name.startswith("email:")}
    names = ("new", "other", "first", "second", "a", "b")
    assert emails == {f"email:{name}@x.org" for name in names}
    assert set(owners(lake, found)) == {f"m{n:06d}" for n in (1, 4, 5, 6, 7, 8)}


def test_alias_joins_what_a_person_was_called(lake: Engine, resolved: Resolve) -> None:
    events = [
        event(1, [], anonymous_id="d1"),
        event(2, [], type="alias", user_id="u1", previous_id="d1"),
        event(3, [], type="alias", user_id="u2", previous_id="u2"),
        event(4, [], user_id="u3", previous_id="d1"),
    ]
    found = resolved(events, SPEC)
    assert groups(lake, found) == {
        frozenset(["anonymous_id:d1", "user_id:u1"]),
        frozenset(["user_id:u2"]),
        frozenset(["user_id:u3"]),
    }
    links = lake.polars(found.identity_links)
    assert links.select("left_value", "right_value", "rule").rows() == [("u1", "d1", "alias")]


def test_evidence_is_a_star_with_counts_and_times(lake: Engine, resolved: Resolve) -> None:
    pair = [("user_id", "u1"), ("email", "a@x.org"), ("anonymous_id", "d1")]
    events = [event(1, pair), event(5, pair), event(3, pair[1:], source="crm")]
    found = resolved(events, SPEC)
    columns = ("left_type", "right_type", "source", "rule", "first_seen", "last_seen", "events")
    rows = lake.polars(found.identity_links).select(columns).sort(columns).rows()

    def at(minute: int) -> datetime:
        return START + timedelta(minutes=minute)

    assert rows == [
        ("email", "anonymous_id", "crm", "same_event", at(3), at(3), 1),
        ("email", "email_sha256", "crm", "derived", at(3), at(3), 1),
        ("email", "email_sha256", "web", "derived", at(1), at(5), 2),
        ("user_id", "anonymous_id", "web", "same_event", at(1), at(5), 2),
        ("user_id", "email", "web", "same_event", at(1), at(5), 2),
    ]
    known = lake.polars(found.user_identifiers).filter(type="email").to_dicts()[0]
    assert (known["first_seen"], known["last_seen"], known["events"]) == (at(1), at(5), 3)


def test_a_household_shares_an_email_but_not_a_profile(lake: Engine, resolved: Resolve) -> None:
    shared = ("email", "family@x.org")
    events = [
        event(1, [("user_id", "ann"), shared, ("anonymous_id", "d1")]),
        event(2, [("user_id", "bob"), shared, ("anonymous_id", "d2")]),
        event(3, [("user_id", "bob"), shared, ("anonymous_id", "d2")]),
        event(4, [shared]),
    ]
    found = resolved(events, SPEC)
    digest = f"email_sha256:{sha('family@x.org')}"
    assert groups(lake, found) == {
        frozenset(["user_id:ann", "email:family@x.org", digest, "anonymous_id:d1"]),
        frozenset(["user_id:bob"]),
    }
    who = owners(lake, found)
    assert who["m000001"] == who["m000004"] != who["m000002"] == who["m000003"]
    lost = conflicts(lake, found)
    assert [(c["type"], c["value"]) for c in lost] == [
        ("anonymous_id", "d2"),
        ("email", "family@x.org"),
        ("email_sha256", sha("family@x.org")),
    ]
    for row in lost:
        assert (row["rule"], row["action"]) == ("limit:user_id", "demoted")
        assert row["detail"] == "would give 2 user_id, limit 1; in 2 events"
        assert (row["source"], row["message_id"], row["profile_id"]) == ("web", "m000002", who["m000002"])
        assert json.loads(row["candidates"]) == sorted({who["m000001"]})
    assert found.stats.violating == 1
    assert (found.stats.profiles, found.stats.identifiers, found.stats.demoted) == (2, 5, 3)


def test_blocked_and_invalid_values_are_counted_per_value(lake: Engine, resolved: Resolve) -> None:
    events = [
        event(1, [("user_id", "undefined"), ("email", "test@example.com"), ("anonymous_id", "d1")]),
        event(2, [("user_id", "undefined"), ("email", "TEST@example.com"), ("anonymous_id", "d2")]),
        event(3, [("user_id", "undefined"), ("phone", "555")], source="crm"),
    ]
    found = resolved(events, SPEC)
    assert groups(lake, found) == {frozenset(["anonymous_id:d1"]), frozenset(["anonymous_id:d2"])}
    rows = [(c["type"], c["value"], c["rule"], c["action"], c["source"], c["detail"]) for c in conflicts(lake, found)]
    assert rows == [
        ("email", "TEST@example.com", "blocked", "ignored", "web", "in 1 event"),
        ("email", "test@example.com", "blocked", "ignored", "web", "in 1 event"),
        ("user_id", "undefined", "blocked", "ignored", None, "in 3 events"),
        ("phone", "555", "invalid", "ignored", "crm", "in 1 event"),
    ]
    assert set(owners(lake, found)) == {"m000001", "m000002"}


def test_no_events_at_all(lake: Engine, resolved: Resolve) -> None:
    for events in ([], [event(1, [])]):
        found = resolved(events, SPEC)
        assert groups(lake, found) == set()
        assert (found.stats.profiles, found.stats.identifiers) == (0, 0)


def test_events_without_any_time_come_last(lake: Engine, resolved: Resolve) -> None:
    timeless = event(1, [("user_id", "a"), ("email", "x@x.org")], timestamp=None, received_at=None)
    found = resolved([timeless, event(9, [("user_id", "b"), ("email", "x@x.org")])], SPEC)
    assert frozenset(["user_id:a"]) in groups(lake, found)


@pytest.mark.parametrize("text", ["{", "[1,", "nonsense"])
def test_a_region_or_pattern_fault_is_said_in_a_line(lake: Engine, resolved: Resolve, text: str) -> None:
    from cdp_core.errors import SpecError

    rules = SPEC.model_copy(update={"region": "ZZ"})
    with pytest.raises(SpecError, match="unknown region 'ZZ'"):
        resolved([event(1, [("phone", text)])], rules)
