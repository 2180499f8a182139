"""What a would-be profile adds up to, and which rule that breaks."""

from __future__ import annotations

import heapq
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

MERGES, MAPPINGS = "max_merges", "max_mappings"
HOLD_USERS, HOLD_SIZE = "hold:user_ids", "hold:size"


class Total(NamedTuple):
    """Identifiers of a profile: how many of each kind, how many in all, and how many merges made it.

    `sides` are the sides of pairs that must stay apart (pair number * 2, plus 1 for its right side), `times` the sorted
    first times of the kinds that are counted over a window.
    """

    counts: tuple[int, ...]
    size: int = 0
    merges: int = 0
    sides: frozenset[int] = frozenset()
    times: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Rules:
    """`kinds`: node → number of its kind; `limits` and `names` by that number.

    `windows`: kind → length in microseconds for those that are not counted for ever, `first`: node → when it was first
    seen (microseconds). `uncounted`: nodes that are told to be the same as another one of their kind. `sides`: node →
    sides of the pairs that it must be kept apart in, `apart`: the name of the rule of each pair. `users`: the kind of
    which two in one profile are held for review; `hold_size`: identifiers beyond which a profile is.
    """

    kinds: Mapping[int, int]
    limits: Sequence[int]
    names: Sequence[str]
    max_merges: int
    max_mappings: int
    windows: Mapping[int, int] = field(default_factory=dict)
    first: Mapping[int, int] = field(default_factory=dict)
    uncounted: frozenset[int] = frozenset()
    sides: Mapping[int, frozenset[int]] = field(default_factory=dict)
    apart: Sequence[str] = ()
    users: int | None = None
    hold_size: int | None = None

    def nothing(self) -> Total:
        return Total((0,) * len(self.limits), times=((),) * len(self.windows))

    def with_node(self, total: Total, node: int) -> Total:
        """The same with one identifier more."""
        kind = self.kinds[node]
        counts, times, sides = total.counts, total.times, total.sides
        own_sides = self.sides.get(node)
        if own_sides:
            sides = sides | own_sides
        if node not in self.uncounted:
            counts = (*counts[:kind], counts[kind] + 1, *counts[kind + 1 :])
            if kind in self.windows:
                own = tuple((self.first[node],) if k == kind else () for k in self.windows)
                times = _merged(times, own)
        return Total(counts, total.size + 1, total.merges, sides, times)

    def together(self, left: Total, right: Total, *, merged: bool) -> Total:
        """Both in one; `merged` when that is one merge more."""
        return Total(
            tuple(map(operator.add, left.counts, right.counts)),
            left.size + right.size,
            left.merges + right.merges + merged,
            left.sides | right.sides if right.sides else left.sides,
            _merged(left.times, right.times),
        )

    def broken(self, total: Total) -> tuple[str, int, int] | None:
        """The first rule that a profile breaks, what it has and what it may have; None when it breaks none."""
        if total.sides:
            for side in sorted(total.sides):
                if side ^ 1 in total.sides:
                    return self.apart[side // 2], 2, 1
        if self.users is not None and total.counts[self.users] > 1:
            return HOLD_USERS, total.counts[self.users], 1
        for kind, count in enumerate(total.counts):
            limit = self.limits[kind]
            if count > limit:
                held = self._most_in_window(total, kind, limit)
                if held > limit:
                    return f"limit:{self.names[kind]}", held, limit
        if self.hold_size is not None and total.size > self.hold_size:
            return HOLD_SIZE, total.size, self.hold_size
        if total.size > self.max_mappings:
            return MAPPINGS, total.size, self.max_mappings
        if total.merges > self.max_merges:
            return MERGES, total.merges, self.max_merges
        return None

    def _most_in_window(self, total: Total, kind: int, limit: int) -> int:
        """How many values came within one window: `limit` or one more is all that matters."""
        width = self.windows.get(kind)
        if width is None:
            return total.counts[kind]
        times = total.times[list(self.windows).index(kind)]
        close = any(late - early < width for early, late in zip(times, times[limit:], strict=False))
        return limit + 1 if close else limit


def _merged(left: tuple[tuple[int, ...], ...], right: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
    if not left:
        return left
    return tuple(tuple(heapq.merge(a, b)) if a and b else a or b for a, b in zip(left, right, strict=True))
