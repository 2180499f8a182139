"""Where a field flows: which traits, audiences, syncs and destinations it reaches, as cdp.yaml says."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cdp_core.runs.inventory.onward import onward
from cdp_core.runs.inventory.start import starts

if TYPE_CHECKING:
    from cdp_core.config import Config

Carries = Literal["value", "condition"]
STAGES = ("source", "field", "identifier", "trait", "consent", "audience", "sync", "destination")
"""Kinds of nodes in the order of the way."""


@dataclass(frozen=True, kw_only=True)
class Edge:
    """Nodes are written `kind:name`. It carries the `value`, or is a `condition`: only who is meant depends on it."""

    left: str
    right: str
    carries: Carries
    by: str = ""

    def to_dict(self) -> dict[str, str]:
        """from, to, carries, by."""
        return {"from": self.left, "to": self.right, "carries": self.carries, "by": self.by}


@dataclass(frozen=True, kw_only=True)
class Flow:
    """Everything that a field reaches. `reached` maps a node to what arrives there at most."""

    field: str
    edges: tuple[Edge, ...]
    reached: Mapping[str, Carries]

    def names(self, kind: str, carries: Carries | None = None) -> list[str]:
        """What is reached of a kind, by the value or by a condition; of both when nothing is asked."""
        return [
            node.partition(":")[2]
            for node, what in self.reached.items()
            if node.partition(":")[0] == kind and carries in (None, what)
        ]

    def to_dict(self) -> dict[str, Any]:
        """field, traits, audiences, syncs and destinations (name, carries), and edges."""
        many = {f"{kind}s": kind for kind in ("identifier", "trait", "consent", "audience", "sync", "destination")}
        reached = {
            plural: [{"name": name, "carries": self.reached[f"{kind}:{name}"]} for name in self.names(kind)]
            for plural, kind in many.items()
        }
        return {"field": self.field, **reached, "edges": [edge.to_dict() for edge in self.edges]}


class Flows:
    """The flows of one configuration: what leads from traits to destinations is worked out once for all fields."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._onward: dict[str, list[Edge]] = {}
        for edge in _edges(onward(config)):
            self._onward.setdefault(edge.left, []).append(edge)

    def of(self, source: str, place: str, said: Iterable[str] = ()) -> Flow:
        """Of one field. `said` are the calls that carry it, such as `track Paid`; unknown ones may be any."""
        field = f"{source}.{place}"
        edges = [Edge(left=f"source:{source}", right=f"field:{field}", carries="value")]
        edges += _edges(starts(self._config, source, place, tuple(said)))
        reached: dict[str, Carries] = {}
        used: dict[tuple[str, str, str], Edge] = {(e.left, e.right, e.by): e for e in edges}
        waiting: deque[tuple[str, Carries]] = deque((edge.right, edge.carries) for edge in edges[1:])
        while waiting:
            node, carries = waiting.popleft()
            if reached.get(node) in ("value", carries):
                continue
            reached[node] = carries
            for edge in self._onward.get(node, ()):
                arrives: Carries = "value" if "condition" not in (carries, edge.carries) else "condition"
                key = (edge.left, edge.right, edge.by)
                if key not in used or used[key].carries == "condition":
                    used[key] = Edge(left=edge.left, right=edge.right, carries=arrives, by=edge.by)
                waiting.append((edge.right, arrives))
        ordered = {node: reached[node] for node in sorted(reached, key=_order)}
        return Flow(field=field, edges=tuple(used.values()), reached=ordered)


def _edges(told: Iterable[tuple[str, str, Carries, str]]) -> Iterator[Edge]:
    seen = set()
    for left, right, carries, by in told:
        if (left, right, carries, by) not in seen:
            seen.add((left, right, carries, by))
            yield Edge(left=left, right=right, carries=carries, by=by)


def _order(node: str) -> tuple[int, str]:
    kind, _, name = node.partition(":")
    return STAGES.index(kind), name
