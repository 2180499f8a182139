"""What a change of identity would do, to profiles and to every audience; nothing is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cdp_core.identity.compare import Changes, compare
from cdp_core.runs.derive import DERIVED, derive, repointed
from cdp_core.runs.record import Progress, Run, silent

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.config import Config
    from cdp_core.engine import Engine
    from cdp_core.identity.overrides import Override

SAMPLE = 10


@dataclass(frozen=True, kw_only=True)
class IdentityDiff:
    """`profiles`: see `Changes`. `audiences`: for each {audience, before, after, entered, exited, entered_sample,
    exited_sample}, samples being profile ids.
    """

    profiles: Changes
    audiences: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """What `cdp identity preview --output json` and `cdp identity diff --output json` print."""
        return {"profiles": self.profiles.to_dict(), "audiences": self.audiences}


def preview_identity(
    engine: Engine,
    config: Config,
    decisions: Sequence[Override],
    *,
    now: datetime,
    progress: Progress = silent,
) -> IdentityDiff:
    """Compare what is published with what `config` and `decisions` would give on the same events."""
    run = Run(kind="preview")
    made = derive(
        engine, config, dict.fromkeys(DERIVED, ""), run, now=now, progress=progress, decisions=decisions, whole=True
    )
    published = {name: engine.table(name) for name in ("user_identifiers", "audience_members")}
    try:
        return compared(engine, published, made.replaced, made.replaced["profile_merges"])
    finally:
        engine.clear_scratch()


def compared(
    engine: Engine, before: Mapping[str, ir.Table], after: Mapping[str, ir.Table], merges: ir.Table
) -> IdentityDiff:
    """Two states of user_identifiers and audience_members; a member that went into another one has not left."""
    was = repointed(engine, before["audience_members"], merges)
    return IdentityDiff(
        profiles=compare(engine, before["user_identifiers"], after["user_identifiers"]),
        audiences=_audiences(engine, was, after["audience_members"]),
    )


def _audiences(engine: Engine, before: ir.Table, after: ir.Table) -> list[dict[str, Any]]:
    import polars as pl

    key = ["audience", "profile_id"]
    sizes = [
        engine.polars(t.group_by("audience").agg(n=t.count())).rename({"n": name})
        for name, t in (("before", before), ("after", after))
    ]
    both = sizes[0].join(sizes[1], on="audience", how="full", coalesce=True).fill_null(0).sort("audience")
    moved = {
        "entered": engine.polars(after.anti_join(before, key).select(key)),
        "exited": engine.polars(before.anti_join(after, key).select(key)),
    }
    found = []
    for row in both.iter_rows(named=True):
        ids = {w: m.filter(pl.col("audience") == row["audience"])["profile_id"].sort() for w, m in moved.items()}
        counts = {word: len(each) for word, each in ids.items()}
        samples = {f"{word}_sample": each.head(SAMPLE).to_list() for word, each in ids.items()}
        found.append({**row, **counts, **samples})
    return found
