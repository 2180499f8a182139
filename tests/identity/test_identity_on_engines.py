"""One tiny world on each engine: equal to what the rules and networkx say, not only to each other."""

from __future__ import annotations

import json

import networkx as nx
import pytest
from identity_worlds import NOW, Told, event, frame, one_by_one, outcome, random_decisions, random_world, resolver

from cdp_core.engine import Engine
from cdp_core.identity.resolve import resolve
from cdp_core.identity.spec import IdentifierSpec, IdentitySpec

SPEC = IdentitySpec(
    identifiers={
        "user_id": IdentifierSpec(limit=1),
        "badge": IdentifierSpec(limit=1, window="week"),
        "card": IdentifierSpec(limit=2),
        "email": IdentifierSpec(limit=5),
        "anonymous_id": IdentifierSpec(limit=2),
    }
)
WIDE = IdentitySpec(identifiers={name: IdentifierSpec(limit=99) for name in ("user_id", "card", "anonymous_id")})
ODD = [
    event(
        1, [], user_id="o1", context=json.dumps({"externalIds": ["x", 1, None, "{oops", {"id": "k", "type": "card"}]})
    ),
    event(2, [], user_id="o2", traits=json.dumps({"email": " Ann@Example.ORG ", "card": 7})),
    event(3, [("card", "k")]),
    event(4, [("card", "7")]),
    event(5, [], type="alias", user_id="o3", previous_id="before"),
    event(6, [("anonymous_id", "before")]),
    event(7, [("card", "wrong")], type="track", row_key="row"),
    event(8, [("card", "right"), ("email", "null")], type="track", row_key="row"),
]
ODD_GROUPS = {
    frozenset([("user_id", "o1"), ("card", "k")]),
    frozenset([("user_id", "o2"), ("card", "7"), ("email", "ann@example.org")]),
    frozenset([("user_id", "o3"), ("anonymous_id", "before")]),
    frozenset([("card", "right")]),
}


@pytest.mark.timeout(900)
def test_limits_and_odd_events(engine: Engine) -> None:
    worlds: list[list[Told]] = [random_world(seed, SPEC_WITHOUT_EMAIL) for seed in range(40)]
    events = ODD + [told.as_event() for world in worlds for told in world]
    decisions = [random_decisions(seed, world) for seed, world in enumerate(worlds)]
    overrides = [o for made in decisions for o in made]
    found = resolver(engine)(events, SPEC, overrides=overrides)
    identifiers, owners = engine.polars(found.user_identifiers), engine.polars(found.event_profiles)
    expected = frozenset().union(
        *(one_by_one(world, SPEC, made).profiles for world, made in zip(worlds, decisions, strict=True))
    )
    have = outcome(identifiers, owners)
    assert have >= expected
    assert {identifiers for identifiers, _ in have - expected} == ODD_GROUPS
    again = resolve(
        engine,
        engine.frame(frame(events)),
        SPEC,
        previous=found.user_identifiers,
        merges=found.profile_merges,
        now=NOW,
        overrides=overrides,
    )
    assert engine.polars(again.user_identifiers).sort("type", "value").equals(identifiers.sort("type", "value"))
    assert engine.polars(again.profile_merges).is_empty()


SPEC_WITHOUT_EMAIL = IdentitySpec(identifiers={n: s for n, s in SPEC.identifiers.items() if n != "email"})


@pytest.mark.timeout(900)
def test_without_broken_limits_profiles_are_networkx_components(engine: Engine) -> None:
    worlds = [random_world(seed, WIDE, values=30) for seed in range(15)]
    told = [t for world in worlds for t in world]
    graph = nx.Graph()
    for each in told:
        nx.add_star(graph, each.identifiers)
    found = resolver(engine)([each.as_event() for each in told], WIDE)
    have = outcome(engine.polars(found.user_identifiers), engine.polars(found.event_profiles))
    assert {identifiers for identifiers, _ in have} == set(map(frozenset, nx.connected_components(graph)))
