"""Segment's merge protection, event by event, for components in which a rule would be broken.

Everything here is monotone: profiles only grow, and a profile that breaks a rule still breaks it with more in it. Hence

* a component whose union breaks no rule needs no policy: every event would have been merged anyway;
* the identifiers of an event that can be kept are a prefix of its identifiers in order of priority, and the longest
  prefix that breaks nothing is what dropping the lowest one after the other ends with;
* the same combination of identifiers, seen again later, changes nothing and keeps the same prefix: what broke a rule
  once breaks it ever after, and what was kept is in one profile. So each combination is looked at once, at its first
  event.

A limit over a week, month or year stays monotone because a value counts at the time it was first seen anywhere.

Rule: Segment, Unify, "Merge Protection"; what it leaves open is defined in `settle`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cdp_core.identity.totals import Rules, Total


@dataclass(frozen=True)
class Demotion:
    """Identifiers that a combination lost: its nodes from `kept` on, because of `rule`.

    `count` is what the profile would have had, `limit` what it may have; `profiles` are those that would have become
    one (numbers of this run; look them up in `Settled.root`).
    """

    combination: int
    kept: int
    rule: str
    count: int
    limit: int
    profiles: tuple[int, ...]


@dataclass
class Settled:
    """`holder`: node → profile number, `parents`: what each profile went into (itself: it lives), and the demotions."""

    holder: dict[int, int] = field(default_factory=dict)
    parents: list[int] = field(default_factory=list)
    demotions: list[Demotion] = field(default_factory=list)

    def root(self, profile: int) -> int:
        """The living profile that a profile went into."""
        parents = self.parents
        while parents[profile] != profile:
            parents[profile] = parents[parents[profile]]
            profile = parents[profile]
        return profile


def settle(combinations: Sequence[Sequence[int]], rules: Rules, *, seeds: Sequence[Sequence[int]] = ()) -> Settled:
    """Give every identifier its profile.

    `combinations`: distinct combinations of nodes, each sorted by priority, in the order (timestamp, source,
    message_id) of their first events. Candidates are the profiles that hold any of the nodes; together with the new
    nodes they make the would-be profile; if that breaks a rule the lowest-priority node is dropped and it is tried
    again. The survivor of a merge is the profile seen first. A single identifier is always kept: in its profile, or in
    a new one of its own. Once in a profile, an identifier stays. `seeds` are disjoint groups of nodes that are one
    profile from the beginning, whatever the rules say.
    """
    found = Settled()
    state = _State(found, rules)
    for nodes in seeds:
        state.seed(nodes)
    for number, nodes in enumerate(combinations):
        state.add(number, nodes)
    return found


class _State:
    def __init__(self, found: Settled, rules: Rules) -> None:
        self.found = found
        self.rules = rules
        self.totals: list[Total] = []
        self.nothing = rules.nothing()

    def seed(self, nodes: Sequence[int]) -> None:
        total = self.rules.nothing()
        for node in nodes:
            total = self.rules.with_node(total, node)
        self._keep([], list(nodes), total)

    def add(self, number: int, nodes: Sequence[int]) -> None:
        """Grow the would-be profile node by node until a rule breaks; what came before is kept."""
        found, rules = self.found, self.rules
        if self._is_one(nodes):
            return
        roots: list[int] = []
        fresh: list[int] = []
        total = self.nothing
        for place, node in enumerate(nodes):
            profile = found.holder.get(node)
            if profile is None:
                grown = rules.with_node(total, node)
            else:
                profile = found.root(profile)
                if profile in roots:
                    continue
                grown = (
                    rules.together(total, self.totals[profile], merged=bool(roots)) if place else self.totals[profile]
                )
            broken = rules.broken(grown) if place else None
            if broken:
                others = tuple(dict.fromkeys((*roots, profile) if profile is not None else roots))
                found.demotions.append(Demotion(number, place, *broken, others))
                break
            total = grown
            if profile is None:
                fresh.append(node)
            else:
                roots.append(profile)
        self._keep(roots, fresh, total)

    def _is_one(self, nodes: Sequence[int]) -> bool:
        """Whether one profile holds them all already."""
        holder, root = self.found.holder, self.found.root
        profile = holder.get(nodes[0])
        if profile is None:
            return False
        profile = root(profile)
        return all((other := holder.get(node)) is not None and root(other) == profile for node in nodes[1:])

    def _keep(self, roots: list[int], fresh: list[int], total: Total) -> None:
        if len(roots) == 1 and not fresh:
            return
        parents = self.found.parents
        if roots:
            survivor = min(roots)
            for profile in roots:
                parents[profile] = survivor
            self.totals[survivor] = total
        else:
            survivor = len(parents)
            parents.append(survivor)
            self.totals.append(total)
        for node in fresh:
            self.found.holder[node] = survivor
