"""Profile ids that stay: across runs, rebuilds and changes of the rules."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine

LENGTH = 20
REASON = "its identifiers now belong to this profile"
_PAIR_ORDER = ["overlap", "was_first_seen", "was", "first_seen", "profile"]


@dataclass(frozen=True)
class Elsewhere:
    """Ids that are in use by profiles other than those looked at: in `published` (tables.USER_IDENTIFIERS) and not in
    `looked_at` (column profile_id).
    """

    published: ir.Table
    looked_at: ir.Table

    def among(self, engine: Engine, ids: ir.Table) -> ir.Table:
        """Those of `ids` (column profile_id); only what is asked for is gathered, since there may be millions."""
        asked = engine.keep(ids.select("profile_id").distinct().anti_join(self.looked_at, "profile_id"))
        if engine.polars(asked.limit(1)).is_empty():
            return asked
        return engine.keep(self.published.select("profile_id").semi_join(asked, "profile_id").distinct())


def profile_ids(
    engine: Engine,
    identifiers: ir.Table,
    previous: ir.Table | None,
    *,
    elsewhere: Elsewhere | None = None,
    named: ir.Table | None = None,
) -> tuple[ir.Table, ir.Table]:
    """Ids for profiles by number, and the ids that are given up.

    `identifiers`: node, type, value, profile (a number), first_seen. `previous`: tables.USER_IDENTIFIERS as it was.
    `elsewhere`: of profiles that are not looked at and stay, the ids. `named`: what each would be called
    (profile, profile_id) where that is known; `node` is not needed then.
    Gives (profile, profile_id) and (from_profile_id, profile): where most identifiers of a lost id are now.

    A profile keeps the id it shares most identifiers with, each id going to one profile; ties go to the id seen first,
    then to the smaller id, then to the profile seen first. A profile without one is called after its first identifier
    (by time, priority, value): p_ and the start of the SHA-256 of `type:value`.
    """
    if named is None:
        named = _named_after_first(engine, identifiers)
    if previous is None:
        return named, engine.frame(pl.DataFrame(schema={"from_profile_id": pl.String, "profile": pl.Int64}))
    kept, lost = _inherited(engine, identifiers, previous)
    ids = named.left_join(kept, "profile").select("profile", own="profile_id", was="was")
    fresh = ids.filter(ids.was.isnull())
    used = kept.select(profile_id="was")
    if elsewhere is not None:
        used = used.union(elsewhere.among(engine, fresh.select(profile_id="own")))
    taken = engine.polars(fresh.semi_join(used, [("own", "profile_id")]).select("profile", "own"))
    ids = engine.keep(ids.select("profile", profile_id=ids.was.fill_null(ids.own)))
    if taken.height:
        ids = _renamed(engine, ids, taken, elsewhere)
    return ids, lost


def first_identifiers(identifiers: ir.Table, order: Callable[[ir.Table], ir.Value]) -> ir.Table:
    """profile, first: the smallest `order` among the earliest identifiers of each profile."""
    import ibis

    timed = identifiers.mutate(at=identifiers.first_seen.fill_null(ibis.timestamp("9999-01-01")))
    early = timed.group_by("profile").agg(at=timed.at.min())
    tied = timed.join(early, ["profile", "at"])
    return tied.group_by("profile").agg(first=order(tied).min())


def called_after(text: ir.StringValue) -> ir.StringValue:
    """The id of a profile whose first identifier is written `type:value`."""
    import ibis

    return ibis.literal("p_") + text.hexdigest("sha256").substr(0, LENGTH)


def _named_after_first(engine: Engine, identifiers: ir.Table) -> ir.Table:
    first = engine.keep(first_identifiers(identifiers, lambda t: t.node))
    named = first.join(identifiers.select("node", "profile", "type", "value"), ["profile", ("first", "node")])
    return engine.keep(named.select("profile", profile_id=called_after(named.type + ":" + named.value)))


def _inherited(engine: Engine, identifiers: ir.Table, previous: ir.Table) -> tuple[ir.Table, ir.Table]:
    """Who keeps which id (profile, was), and where the others went (from_profile_id, profile)."""
    before = previous.select("type", "value", was="profile_id")
    both = identifiers.select("type", "value", "profile").join(before, ["type", "value"])
    pairs = engine.keep(both.group_by(["profile", "was"]).agg(overlap=both.count()))
    by_profile = pairs.group_by("profile").agg(ids=pairs.count())
    by_id = pairs.group_by("was").agg(profiles=pairs.count())
    counted = engine.keep(pairs.join(by_profile, "profile").join(by_id, "was"))
    alone = counted.filter(counted.ids == 1, counted.profiles == 1).select("profile", "was")
    contested = counted.filter((counted.ids > 1) | (counted.profiles > 1)).select("profile", "was", "overlap")
    ranked = engine.polars(_with_times(contested, identifiers, previous))
    kept, lost = share_out(ranked)
    return engine.keep(alone.union(engine.frame(kept))), engine.frame(lost)


def _with_times(pairs: ir.Table, identifiers: ir.Table, previous: ir.Table) -> ir.Table:
    now = identifiers.group_by("profile").agg(first_seen=identifiers.first_seen.min())
    then = previous.group_by("profile_id").agg(was_first_seen=previous.first_seen.min())
    both = pairs.join(now, "profile").join(then.rename(was="profile_id"), "was")
    return both.select("profile", "was", "overlap", "was_first_seen", "first_seen")


def share_out(pairs: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give each profile at most one of its previous ids, the best pairs first.

    `pairs`: profile, was, overlap, was_first_seen, first_seen. Gives (profile, was) and, for every id that nobody got,
    (from_profile_id, profile): the profile it shares most with. In each round all pairs that are best for both sides
    are settled at once, which is the same as going through them one by one.
    """
    left = pairs.sort(_PAIR_ORDER, descending=[True, False, False, False, False], nulls_last=True)
    best = left.unique("was", keep="first", maintain_order=True)
    settled = [left.select("profile", "was").clear()]
    while left.height:
        place = left.with_row_index("place")
        first = pl.col("place").min()
        mutual = place.filter(pl.col("place") == first.over("profile"), pl.col("place") == first.over("was"))
        settled.append(mutual.select("profile", "was"))
        left = left.join(mutual, on="profile", how="anti", maintain_order="left")
        left = left.join(mutual, on="was", how="anti", maintain_order="left")
    kept = pl.concat(settled)
    lost = best.join(kept, on="was", how="anti").select(pl.col("was").alias("from_profile_id"), "profile")
    return kept, lost


def _renamed(engine: Engine, ids: ir.Table, taken: pl.DataFrame, elsewhere: Elsewhere | None) -> ir.Table:
    """New profiles (`taken`: profile, own) whose own name a profile has inherited are called otherwise:
    by the digest of the name, and so on until nobody is called like that.
    """
    import ibis

    used = ids.select("profile_id")
    names, clash = taken.select("profile", other="own"), taken.select("profile", other="own")
    while clash.height:
        digests = [hashlib.sha256(name.encode()).hexdigest()[:LENGTH] for name in clash["other"]]
        again = clash.select("profile", other="p_" + pl.Series(digests, dtype=pl.String))
        names = pl.concat([names.join(again, on="profile", how="anti"), again])
        called = engine.frame(again.select("profile", profile_id="other"))
        there = used if elsewhere is None else used.union(elsewhere.among(engine, called))
        clash = engine.polars(called.semi_join(there, "profile_id")).rename({"profile_id": "other"})
    joined = ids.left_join(engine.frame(names), "profile")
    return engine.keep(joined.select("profile", profile_id=ibis.coalesce(joined.other, joined.profile_id)))


def profile_merges(
    engine: Engine,
    ids: ir.Table,
    lost: ir.Table,
    merges: ir.Table | None,
    now: datetime,
) -> ir.Table:
    """All merges so far, each old id leading to a living one in one step; an id that lives again is no longer merged.

    `merges`: tables.PROFILE_MERGES as it was. An old id whose profile has gone altogether keeps its row.
    """
    import ibis

    fresh = engine.keep(
        lost.join(ids, "profile").select(
            "from_profile_id", "profile_id", at=ibis.literal(now, type="timestamp(6)"), reason=ibis.literal(REASON)
        )
    )
    if merges is None:
        return fresh
    old = merges.anti_join(ids, [("from_profile_id", "profile_id")]).anti_join(fresh, "from_profile_id")
    moved = fresh.select(old_target="from_profile_id", target="profile_id")
    old = old.left_join(moved, [("profile_id", "old_target")])
    old = old.select("from_profile_id", "at", "reason", profile_id=ibis.coalesce(old.target, old.profile_id))
    return engine.keep(fresh.union(old.select(fresh.columns)))
