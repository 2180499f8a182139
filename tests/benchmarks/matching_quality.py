"""How right matching is on records whose person is known: python tests/benchmarks/matching_quality.py FILE.csv …

A file has a column `rid`, the traits, and `truth`, the person; truth is only used to score. --robust tries parts of
each file, other orders of its ids, and leaves out one column at a time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import polars as pl

from cdp_core.identity.evaluate import Evaluation, score
from cdp_core.identity.matching.match import LEFT, RIGHT, match
from cdp_core.identity.matching.spec import MatchingSpec


def clusters(ids: pl.Series, pairs: pl.DataFrame) -> pl.DataFrame:
    """profile_id, cluster: what hangs together by pairs."""
    graph = nx.Graph(pairs.select(LEFT, RIGHT).rows())
    graph.add_nodes_from(ids)
    rows = [(node, at) for at, part in enumerate(nx.connected_components(graph)) for node in part]
    return pl.DataFrame(rows, schema=["profile_id", "cluster"], orient="row")


def measure(data: pl.DataFrame) -> tuple[Evaluation, float, pl.DataFrame]:
    started = time.perf_counter()
    found = match(data.drop("truth"), MatchingSpec())
    seconds = time.perf_counter() - started
    each = clusters(data["profile_id"], found.pairs).join(data, on="profile_id")
    return score(each.select("cluster", person="truth")), seconds, found.pairs


def variants(data: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    for share in (0.5, 0.8):
        for seed in (1, 2, 3):
            yield f"{share:.0%} of the records, seed {seed}", data.sample(fraction=share, seed=seed)
    for seed in (1, 2):
        mixed = data["profile_id"].shuffle(seed=seed)
        yield f"ids in another order, seed {seed}", data.with_columns(mixed.alias("profile_id"))
    for column in data.columns:
        if column not in ("profile_id", "truth"):
            yield f"without {column}", data.drop(column)


def show(name: str, data: pl.DataFrame) -> None:
    right, seconds, _ = measure(data)
    figures = f"F1 {right.f1:.4f}  precision {right.precision:.4f}  recall {right.recall:.4f}"
    print(f"{name:48} {figures}  wrong {right.wrong_merges:3}  {seconds:5.1f} s", flush=True)


def main(arguments: list[str]) -> None:
    for path in (Path(a) for a in arguments if not a.startswith("--")):
        data = pl.read_csv(path, infer_schema_length=0).rename({"rid": "profile_id"})
        show(path.stem, data)
        for name, part in variants(data) if "--robust" in arguments else ():
            show(f"  {name}", part)


if __name__ == "__main__":
    main(sys.argv[1:])
