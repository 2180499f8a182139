"""A table of links gives the profiles that its links, read one after the other, make."""

from __future__ import annotations

import itertools
from collections import defaultdict
from datetime import timedelta

import polars as pl
import pytest
from identity_worlds import START, Identifier, Told, one_by_one, random_world
from test_policy import MINUTES, SPECS

from cdp_core.engine import Engine
from cdp_core.errors import SpecError
from cdp_core.identity.from_links import resolve_links
from cdp_core.identity.spec import IdentitySpec
from cdp_core.tables import IDENTITY_LINKS

WORLDS = 150


def pairs(seed: int, spec: IdentitySpec, minutes: range) -> list[Told]:
    """The random world's events as links: every two neighbours of an event, at its time, once per source."""
    first: dict[tuple[str, Identifier, Identifier], int] = {}
    for told in random_world(seed, spec, events=20, minutes=minutes):
        known = sorted(set(told.identifiers))
        for left, right in itertools.pairwise(known):
            key = (told.source, left, right)
            first[key] = min(told.minute, first.get(key, told.minute))
    return [
        Told(minute, source, f"{':'.join(left)} {':'.join(right)}", (left, right))
        for (source, left, right), minute in first.items()
    ]


def as_links(told: list[Told]) -> pl.DataFrame:
    rows = []
    for each in told:
        at = START + timedelta(minutes=each.minute)
        left, right = each.identifiers
        rows.append((*left, *right, each.source, "same_event", at, at, 1))
    return pl.DataFrame(rows, schema=IDENTITY_LINKS.polars_schema(), orient="row")


def profiles(identifiers: pl.DataFrame) -> frozenset[frozenset[Identifier]]:
    held: dict[str, set[Identifier]] = defaultdict(set)
    for type_, value, profile in identifiers.select("type", "value", "profile_id").iter_rows():
        held[profile].add((type_, value))
    return frozenset(map(frozenset, held.values()))


@pytest.mark.parametrize("name", SPECS)
def test_equals_the_sequential_reading(lake: Engine, name: str) -> None:
    spec = SPECS[name]
    minutes = MINUTES["every few days" if "windows" in name else "every few minutes"]
    worlds = [pairs(seed, spec, minutes) for seed in range(WORLDS)]
    links = as_links([told for world in worlds for told in world]).sample(fraction=1, shuffle=True, seed=1)
    found = resolve_links(lake, lake.frame(links), spec)
    expected = [one_by_one(world, spec) for world in worlds]
    assert profiles(lake.polars(found.user_identifiers)) == {has for e in expected for has, _ in e.profiles}
    listed = lake.polars(found.identity_conflicts).filter(pl.col("profile_id").is_not_null())
    lost = {i for e in expected for _, _, i in e.demoted}
    assert set(listed.select("type", "value").iter_rows()) == lost
    assert lost or name == "wide"


def test_ids_stay(lake: Engine) -> None:
    spec = SPECS["tight"]
    told = [t for seed in range(60) for t in pairs(seed, spec, MINUTES["every few minutes"])]
    first = lake.polars(resolve_links(lake, lake.frame(as_links(told[:-40])), spec).user_identifiers)
    renamed = first.with_columns(profile_id=pl.lit("p_old") + pl.col("profile_id").str.slice(2))
    again = resolve_links(lake, lake.frame(as_links(told)), spec, previous=lake.frame(renamed))
    both = lake.polars(again.user_identifiers).join(renamed, on=["type", "value"], suffix="_was")
    assert (both["profile_id"] == both["profile_id_was"]).mean() > 0.8
    ids = lake.polars(again.user_identifiers).select("profile_id").unique()
    assert ids.height == len(profiles(lake.polars(again.user_identifiers)))


def test_a_type_without_rules_is_named(lake: Engine) -> None:
    links = as_links([Told(0, "crm", "m", (("email", "a@x.org"), ("e-mail", "b@x.org")))])
    rules = IdentitySpec.model_validate({"identifiers": {"email": {}}})
    with pytest.raises(SpecError, match=r"unknown identifier 'e-mail' .valid: email.; did you mean 'email'"):
        resolve_links(lake, lake.frame(links), rules)


def test_digests_that_meet_do_not_join_strangers(lake: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = SPECS["tight"]
    links = as_links([t for seed in range(40) for t in pairs(seed, spec, MINUTES["every few minutes"])])
    expected = profiles(lake.polars(resolve_links(lake, lake.frame(links), spec).user_identifiers))
    monkeypatch.setattr(type(lake), "digest", lambda self, left, right: left.length() + right.length())
    assert profiles(lake.polars(resolve_links(lake, lake.frame(links), spec).user_identifiers)) == expected
