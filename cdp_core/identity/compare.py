"""Two resolutions side by side: who was split, who was merged, who stayed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine

EXAMPLES = 10


@dataclass(frozen=True, kw_only=True)
class Changes:
    """Profiles by what happened to the people they stand for, whatever their ids.

    `unchanged`: the same identifiers. `grown`, `shrunk`: identifiers came or went that belonged to no other profile.
    `split` and `merged` count profiles before and after; one may be both. `new`, `gone`: no identifier in common.
    `examples`: {split: [{profile_id, into}], merged: [{profile_id, from}]}, each part {profile_id, identifiers}.
    """

    before: int
    after: int
    unchanged: int
    split: int
    merged: int
    grown: int
    shrunk: int
    new: int
    gone: int
    examples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        counts = ("before", "after", "unchanged", "split", "merged", "grown", "shrunk", "new", "gone")
        return {**{name: getattr(self, name) for name in counts}, "examples": self.examples}


def compare(engine: Engine, before: ir.Table, after: ir.Table) -> Changes:
    """Compare two tables of type, value, profile_id (tables.USER_IDENTIFIERS)."""
    key = ["type", "value"]
    was = before.select(*key, was="profile_id")
    now = after.select(*key, now="profile_id")
    pairs = engine.polars(was.join(now, key).group_by(["was", "now"]).agg(n=lambda t: t.count()))
    sizes_was = engine.polars(was.group_by("was").agg(had=was.count()))
    sizes_now = engine.polars(now.group_by("now").agg(has=now.count()))
    into = pairs.group_by("was").agg(parts=pl.len())
    out_of = pairs.group_by("now").agg(parts=pl.len())
    split = into.filter(pl.col("parts") > 1)["was"]
    merged = out_of.filter(pl.col("parts") > 1)["now"]
    alone = pairs.filter(~pl.col("was").is_in(split.implode()), ~pl.col("now").is_in(merged.implode()))
    alone = alone.join(sizes_was, on="was").join(sizes_now, on="now")
    more, less = pl.col("has") > pl.col("n"), pl.col("had") > pl.col("n")
    return Changes(
        before=sizes_was.height,
        after=sizes_now.height,
        unchanged=alone.filter(~more & ~less).height,
        split=len(split),
        merged=len(merged),
        grown=alone.filter(more).height,
        shrunk=alone.filter(less & ~more).height,
        new=sizes_now.join(pairs, on="now", how="anti").height,
        gone=sizes_was.join(pairs, on="was", how="anti").height,
        examples={
            "split": _examples(engine, pairs, split, after, ("was", "now"), "into"),
            "merged": _examples(engine, pairs, merged, before, ("now", "was"), "from"),
        },
    )


def _examples(
    engine: Engine, pairs: pl.DataFrame, ids: pl.Series, parts: ir.Table, names: tuple[str, str], word: str
) -> list[dict[str, Any]]:
    """The first few by id, each with its parts and their identifiers."""
    one, other = names
    chosen = ids.sort().head(EXAMPLES)
    shown = pairs.filter(pl.col(one).is_in(chosen.implode())).sort(one, other)
    wanted = engine.frame(shown.select(pl.col(other).alias("profile_id")).unique())
    rows = engine.polars(parts.semi_join(wanted, "profile_id").select("profile_id", "type", "value"))
    texts = rows.sort("profile_id", "type", "value").with_columns(text=pl.format("{}:{}", "type", "value"))
    held = dict(texts.group_by("profile_id", maintain_order=True).agg("text").iter_rows())
    found: dict[str, list[dict[str, Any]]] = {}
    for profile, part in shown.select(one, other).iter_rows():
        found.setdefault(profile, []).append({"profile_id": part, "identifiers": held.get(part, [])[:20]})
    return [{"profile_id": profile, word: parts_of} for profile, parts_of in found.items()]
