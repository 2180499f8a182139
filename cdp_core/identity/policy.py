"""Segment's merge protection, event by event, for components in which a rule would be broken.

Everything here is monotone: profiles only grow, and a profile that breaks a rule still breaks it with more in it. Hence

* a component whose union breaks no rule needs no policy: every event would have been merged anyway;
* the identifiers of an event that can be kept are a prefix of its identifiers in order of priority, and the longest
  prefix that breaks nothing is what dropping the lowest one after the other ends with;
* the same combination of identifiers, seen again later, changes nothing and keeps the same prefix: what broke a rule
  once breaks it ever after, and what was kept is in one profile. So each combination is looked at once, at its first
  event.

Rule: Segment, Unify, "Merge Protection"; what it leaves open is defined in `settle`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

MERGES, MAPPINGS = "max_merges", "max_mappings"


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


@dataclass(frozen=True)
class Rules:
    """`kinds`: node → number of its type; `limits` and `names` by that number."""

    kinds: dict[int, int]
    limits: Sequence[int]
    names: Sequence[str]
    max_merges: int
    max_mappings: int


def settle(combinations: Sequence[Sequence[int]], rules: Rules) -> Settled:
    """Give every identifier its profile.

    `combinations`: distinct combinations of nodes, each sorted by priority, in the order (timestamp, source,
    message_id) of their first events. Candidates are the profiles that hold any of the nodes; together with the new
    nodes they make the would-be profile; if that breaks a limit the lowest-priority node is dropped and it is tried
    again. The survivor of a merge is the profile seen first. A single identifier is always kept: in its profile, or in
    a new one of its own. Once in a profile, an identifier stays.
    """
    found = Settled()
    state = _State(found, rules)
    for number, nodes in enumerate(combinations):
        state.add(number, nodes)
    return found


class _State:
    def __init__(self, found: Settled, rules: Rules) -> None:
        self.found = found
        self.rules = rules
        self.counts: list[list[int]] = []
        self.sizes: list[int] = []
        self.merges: list[int] = []

    def add(self, number: int, nodes: Sequence[int]) -> None:
        """Grow the would-be profile node by node until a rule breaks; what came before is kept."""
        found, rules = self.found, self.rules
        roots: list[int] = []
        fresh: list[int] = []
        counts = [0] * len(rules.limits)
        size = merges = 0
        for place, node in enumerate(nodes):
            profile = found.holder.get(node)
            if profile is None:
                new_counts, new_size, new_merges = self._with_node(counts, node), size + 1, merges
            else:
                profile = found.root(profile)
                if profile in roots:
                    continue
                new_counts = [a + b for a, b in zip(counts, self.counts[profile], strict=True)]
                new_size = size + self.sizes[profile]
                new_merges = merges + self.merges[profile] + (1 if roots else 0)
            broken = place and self._broken(new_counts, new_size, new_merges)
            if broken:
                others = tuple(dict.fromkeys((*roots, profile) if profile is not None else roots))
                found.demotions.append(Demotion(number, place, *broken, others))
                break
            counts, size, merges = new_counts, new_size, new_merges
            if profile is None:
                fresh.append(node)
            else:
                roots.append(profile)
        self._keep(roots, fresh, counts, size, merges)

    def _with_node(self, counts: list[int], node: int) -> list[int]:
        more = counts.copy()
        more[self.rules.kinds[node]] += 1
        return more

    def _broken(self, counts: list[int], size: int, merges: int) -> tuple[str, int, int] | None:
        rules = self.rules
        for kind, count in enumerate(counts):
            if count > rules.limits[kind]:
                return f"limit:{rules.names[kind]}", count, rules.limits[kind]
        if size > rules.max_mappings:
            return MAPPINGS, size, rules.max_mappings
        if merges > rules.max_merges:
            return MERGES, merges, rules.max_merges
        return None

    def _keep(self, roots: list[int], fresh: list[int], counts: list[int], size: int, merges: int) -> None:
        if len(roots) == 1 and not fresh:
            return
        parents = self.found.parents
        if roots:
            survivor = min(roots)
            for profile in roots:
                parents[profile] = survivor
        else:
            survivor = len(parents)
            parents.append(survivor)
            self.counts.append(counts)
            self.sizes.append(size)
            self.merges.append(merges)
        self.counts[survivor], self.sizes[survivor], self.merges[survivor] = counts, size, merges
        for node in fresh:
            self.found.holder[node] = survivor
