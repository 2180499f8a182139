"""Ids stay: over re-runs, rebuilds, new data, splits and merges; old ids lead to living ones."""

from __future__ import annotations

import hashlib
import random

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from identity_worlds import START, Resolve, event, random_world

from cdp_core.engine import Engine
from cdp_core.identity.ids import share_out
from cdp_core.identity.resolve import Resolution
from cdp_core.identity.spec import IdentifierSpec, IdentitySpec

SPEC = IdentitySpec(identifiers={name: IdentifierSpec(limit=99) for name in ("user_id", "card", "anonymous_id")})


def ids(lake: Engine, found: Resolution) -> dict[str, str]:
    rows = lake.polars(found.user_identifiers)
    return dict(rows.select("value", "profile_id").iter_rows())


def merges(lake: Engine, found: Resolution) -> dict[str, str]:
    rows = lake.polars(found.profile_merges)
    assert not rows["from_profile_id"].is_duplicated().any()
    return dict(rows.select("from_profile_id", "profile_id").iter_rows())


def name(text: str) -> str:
    return "p_" + hashlib.sha256(text.encode()).hexdigest()[:20]


def test_a_new_profile_is_called_after_its_first_identifier(lake: Engine, resolved: Resolve) -> None:
    first = [event(1, [("anonymous_id", "d")]), event(2, [("user_id", "u"), ("anonymous_id", "d")])]
    at_once = [event(3, [("user_id", "v"), ("card", "c")])]
    found = ids(lake, resolved(first + at_once, SPEC))
    assert found["u"] == found["d"] == name("anonymous_id:d")
    assert found["v"] == found["c"] == name("user_id:v")


def test_re_runs_and_rebuilds_change_nothing(lake: Engine, resolved: Resolve) -> None:
    rules = IdentitySpec(identifiers={"user_id": IdentifierSpec(limit=1), "card": IdentifierSpec(limit=2)})
    events = [told.as_event() for seed in range(40) for told in random_world(seed, rules)]
    once = resolved(events, rules)
    random.Random(3).shuffle(events)
    again = resolved(events, rules, after=once)
    rebuilt = resolved(events, rules)
    assert ids(lake, once) == ids(lake, again) == ids(lake, rebuilt)
    assert merges(lake, again) == {}


def test_an_earlier_identifier_does_not_rename_a_profile(lake: Engine, resolved: Resolve) -> None:
    once = resolved([event(5, [("user_id", "u")])], SPEC)
    again = resolved([event(5, [("user_id", "u")]), event(1, [("user_id", "u"), ("card", "c")])], SPEC, after=once)
    assert ids(lake, again) == {"u": name("user_id:u"), "c": name("user_id:u")}


def test_a_merge_keeps_the_id_of_most_identifiers_and_the_other_leads_to_it(lake: Engine, resolved: Resolve) -> None:
    small, large = [event(1, [("user_id", "a")])], [event(2, [("user_id", "b"), ("card", "c")])]
    once = resolved(small + large, SPEC)
    joined = resolved([*small, *large, event(3, [("user_id", "a"), ("card", "c")])], SPEC, after=once)
    assert set(ids(lake, joined).values()) == {name("user_id:b")}
    assert merges(lake, joined) == {name("user_id:a"): name("user_id:b")}


def test_a_tie_goes_to_the_profile_seen_first(lake: Engine, resolved: Resolve) -> None:
    once = resolved([event(2, [("user_id", "a")]), event(1, [("user_id", "b")])], SPEC)
    link = event(3, [("user_id", "a"), ("card", "c")]), event(4, [("user_id", "b"), ("card", "c")])
    joined = resolved([event(2, [("user_id", "a")]), event(1, [("user_id", "b")]), *link], SPEC, after=once)
    assert set(ids(lake, joined).values()) == {name("user_id:b")}


def test_old_ids_lead_to_living_ones_in_one_step(lake: Engine, resolved: Resolve) -> None:
    events = [event(n, [("user_id", f"u{n}")] + [("card", f"{n}-{i}") for i in range(n**3)]) for n in (1, 2, 3)]
    run = resolved(events, SPEC)
    for n in (1, 2):
        events.append(event(10 + n, [("user_id", f"u{n}"), ("user_id", f"u{n + 1}")]))
        run = resolved(events, SPEC, after=run)
    assert set(ids(lake, run).values()) == {name("user_id:u3")}
    assert merges(lake, run) == {name("user_id:u1"): name("user_id:u3"), name("user_id:u2"): name("user_id:u3")}


def test_a_split_keeps_the_id_with_the_larger_part_and_a_new_one_for_the_rest(lake: Engine, resolved: Resolve) -> None:
    events = [event(1, [("user_id", "a"), ("card", "x")]), event(2, [("user_id", "b"), ("card", "y"), ("card", "z")])]
    joined = resolved([*events, event(3, [("user_id", "a"), ("user_id", "b")])], SPEC)
    old = name("user_id:a")
    assert set(ids(lake, joined).values()) == {old}
    split = resolved(events, SPEC, after=joined)
    found = ids(lake, split)
    assert found["b"] == found["y"] == found["z"] == old
    assert found["a"] == found["x"] not in (old, name("user_id:b"))
    assert ids(lake, resolved(events, SPEC, after=split)) == found
    assert merges(lake, split) == {}


def test_an_id_that_lives_again_is_no_longer_merged(lake: Engine, resolved: Resolve) -> None:
    events = [event(1, [("user_id", "a")]), event(2, [("user_id", "b"), ("card", "y")])]
    apart = resolved(events, SPEC)
    joined = resolved([*events, event(3, [("user_id", "a"), ("user_id", "b")])], SPEC, after=apart)
    assert merges(lake, joined) == {name("user_id:a"): name("user_id:b")}
    again = resolved(events, SPEC, after=joined)
    assert ids(lake, again) == ids(lake, apart)
    assert merges(lake, again) == {}


def one_by_one(pairs: list[dict[str, object]]) -> tuple[set[tuple[object, object]], set[object]]:
    """The plain reading: the best pair first, each profile and each id once."""
    order = sorted(pairs, key=lambda p: (-p["overlap"], p["was_first_seen"], p["was"], p["first_seen"], p["profile"]))
    kept: set[tuple[object, object]] = set()
    for pair in order:
        if all(pair["profile"] != p and pair["was"] != w for p, w in kept):
            kept.add((pair["profile"], pair["was"]))
    return kept, {p["was"] for p in pairs} - {w for _, w in kept}


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.tuples(st.integers(0, 6), st.sampled_from("abcdef")), st.integers(1, 3), max_size=20))
def test_sharing_out_equals_going_through_the_pairs(overlaps: dict[tuple[int, str], int]) -> None:
    pairs = [
        {
            "profile": p,
            "was": w,
            "overlap": n,
            "was_first_seen": START.replace(minute=ord(w) % 3),
            "first_seen": START.replace(hour=p % 2),
        }
        for (p, w), n in overlaps.items()
    ]
    schema = {
        "profile": pl.Int64,
        "was": pl.String,
        "overlap": pl.Int64,
        "was_first_seen": pl.Datetime("us"),
        "first_seen": pl.Datetime("us"),
    }
    kept, lost = share_out(pl.DataFrame(pairs, schema=schema))
    assert (set(kept.iter_rows()), set(lost["from_profile_id"])) == one_by_one(pairs)
