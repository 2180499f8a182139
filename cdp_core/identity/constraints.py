"""What people have decided, in the numbers of this run: identifiers that are one, and pairs that stay apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import polars as pl

from cdp_core.identity.overrides import ALWAYS, MATCH, NEVER, Override

PAIRS = pl.Schema({"left": pl.Int64, "right": pl.Int64, "rule": pl.String})


@dataclass(frozen=True)
class Constraints:
    """`joined`, `apart` and `matched`: left, right, rule (nodes). Pairs with an identifier that has not been seen are
    left out.
    """

    joined: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=PAIRS))
    apart: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=PAIRS))
    matched: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=PAIRS))

    def groups(self) -> list[list[int]]:
        """Nodes that are one whatever the rules say: sorted, groups of two and more."""
        import networkx as nx

        graph: nx.Graph = nx.Graph(self.joined.select("left", "right").iter_rows())
        return sorted(sorted(group) for group in nx.connected_components(graph))

    def uncounted(self, kinds: pl.DataFrame) -> frozenset[int]:
        """In each group all but the first node of a type: told to be the same, they count as one.

        `kinds`: node, type.
        """
        extra: list[int] = []
        concerned = kinds.filter(pl.col("node").is_in(Constraints(self.joined).ends().implode()))
        type_of = dict(concerned.select("node", "type").iter_rows())
        for group in self.groups():
            known: set[str] = set()
            for node in group:
                if type_of[node] in known:
                    extra.append(node)
                known.add(type_of[node])
        return frozenset(extra)

    def sides(self) -> dict[int, frozenset[int]]:
        """Node → sides of the pairs that it is kept apart in; see `Total`."""
        found: defaultdict[int, set[int]] = defaultdict(set)
        for number, (left, right) in enumerate(self.apart.select("left", "right").iter_rows()):
            found[left].add(2 * number)
            found[right].add(2 * number + 1)
        return {node: frozenset(sides) for node, sides in found.items()}

    def ends(self) -> pl.Series:
        """Every node of a pair, once."""
        pairs = pl.concat([self.joined, self.apart, self.matched])
        return pl.concat([pairs["left"], pairs["right"]]).unique().sort().alias("node")

    def among(self, nodes: pl.Series) -> Constraints:
        """Only the pairs of which both are in `nodes`."""
        both = pl.col("left").is_in(nodes.implode()) & pl.col("right").is_in(nodes.implode())
        return Constraints(self.joined.filter(both), self.apart.filter(both), self.matched.filter(both))

    def keeping_apart(self, pairs: pl.DataFrame) -> Constraints:
        """The same with more pairs (left, right, rule) apart, but for those that people have joined."""
        number = {node: i for i, group in enumerate(self.groups()) for node in group}
        free = [row for row in pairs.iter_rows() if number.get(row[0], -1) != number.get(row[1], -2)]
        apart = pl.concat([self.apart, pl.DataFrame(free, schema=PAIRS, orient="row")])
        return Constraints(self.joined, apart, self.matched)


def constraints(overrides: Iterable[Override], frame: pl.DataFrame) -> Constraints:
    """`overrides` in nodes of `frame` (node, type, value)."""
    listed = [(o.action, *o.left, *o.right) for o in overrides]
    schema = ("action", "left_type", "left_value", "right_type", "right_value")
    said = pl.DataFrame(listed, schema=dict.fromkeys(schema, pl.String), orient="row")
    for side in ("left", "right"):
        named = frame.select(
            pl.col("node").alias(side), pl.col("type").alias(f"{side}_type"), pl.col("value").alias(f"{side}_value")
        )
        said = said.join(named, on=[f"{side}_type", f"{side}_value"], maintain_order="left")
    pairs = said.select("left", "right", rule="action")
    return Constraints(*(pairs.filter(pl.col("rule") == rule) for rule in (ALWAYS, NEVER, MATCH)))
