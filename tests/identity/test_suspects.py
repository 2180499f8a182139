"""Two people glued together by one event are found, and the link that glues them is named."""

from __future__ import annotations

from typing import Any

import networkx as nx
from identity_worlds import NOW, Resolve, event

from cdp_core.engine import Engine
from cdp_core.identity.bridges import splitting_links
from cdp_core.identity.overrides import ALWAYS, override
from cdp_core.identity.resolve import Resolution
from cdp_core.identity.spec import HoldSpec, IdentifierSpec, IdentitySpec
from cdp_core.identity.suspects import suspects

LOOSE = IdentitySpec(identifiers={name: IdentifierSpec(limit=99) for name in ("user_id", "card", "anonymous_id")})


def person(number: int) -> list[dict[str, Any]]:
    """A customer number seen twice with each of three devices, which share a card in pairs: no bridge within."""
    devices = [("anonymous_id", f"d{number}{i}") for i in range(3)]
    card, user = ("card", f"c{number}"), ("user_id", f"u{number}")
    start = number * 100
    return [event(start + i, [user, card, device]) for i, device in enumerate(devices * 2)] + [
        event(start + 10 + i, [card, device]) for i, device in enumerate(devices)
    ]


GLUE = event(900, [("user_id", "u1"), ("anonymous_id", "d20")])
WORLD = [*person(1), *person(2), *person(3), GLUE]


def published(lake: Engine, found: Resolution) -> None:
    with lake.transaction():
        for name in ("user_identifiers", "identity_links"):
            lake.replace(name, getattr(found, name))


def test_the_link_to_cut_is_named(lake: Engine, resolved: Resolve) -> None:
    published(lake, resolved(WORLD, LOOSE))
    (row,) = suspects(lake).to_dicts()
    assert (row["identifiers"], row["smaller_part"], row["cut_events"]) == (10, 5, 1)
    assert {row["cut_left"], row["cut_right"]} == {"user_id:u1", "anonymous_id:d20"}
    assert row["bridges"] == 1
    assert row["articulation_points"] == 2


def test_a_bridge_is_held_when_the_rules_say_so(lake: Engine, resolved: Resolve) -> None:
    careful = LOOSE.model_copy(update={"hold": HoldSpec(bridge=3)})
    found = resolved(WORLD, careful)
    assert found.stats.profiles == 3
    rows = lake.polars(found.identity_conflicts).to_dicts()
    assert [(r["action"], r["rule"]) for r in rows] == [("held", "hold:bridge")]
    assert {rows[0]["left_value"], rows[0]["right_value"]} == {"u1", "d20"}
    twice = resolved([*WORLD, {**GLUE, "message_id": "again"}], careful)
    assert twice.stats.profiles == 2, "what two events state is evidence"


def test_an_accepted_bridge_is_crossed(lake: Engine, resolved: Resolve) -> None:
    careful = LOOSE.model_copy(update={"hold": HoldSpec(bridge=3)})
    accepted = override(ALWAYS, ("user_id", "u1"), ("anonymous_id", "d20"), reason="his tablet", at=NOW)
    found = resolved(WORLD, careful, overrides=[accepted])
    assert found.stats.profiles == 2
    assert lake.polars(found.identity_conflicts).is_empty()


def test_small_parts_behind_a_bridge_are_no_suspicion() -> None:
    graph = nx.barbell_graph(4, 0)
    assert splitting_links(graph, 4) == [(3, 4)]
    assert splitting_links(graph, 5) == []
    graph.add_edge(0, 99)
    assert splitting_links(graph, 2) == [(3, 4)]
