"""New events, what they say, and what is published about the identifiers that they name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from cdp_core.engine import PLACE
from cdp_core.identity.conflicts import SET_ASIDE
from cdp_core.identity.identifiers import KEY, Known, Seen, know, old_versions, see
from cdp_core.identity.links import LINK, PAIR, evidence, named_links
from cdp_core.identity.normalise import PREVIOUS, trim
from cdp_core.identity.overrides import Override
from cdp_core.identity.shared import set_aside
from cdp_core.identity.spec import IdentitySpec

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine

ID = ["type", "value"]
PLACED = ("identity_links", "user_identifiers", "event_profiles")
_ROW = ["source", "row_key"]
_BOTH = ("user_id", "anonymous_id")


@dataclass(frozen=True, kw_only=True)
class Published:
    """The identity tables as they are, each as in `tables`; those of PLACED as `Engine.placed` gives them."""

    identity_links: ir.Table
    user_identifiers: ir.Table
    event_profiles: ir.Table
    profile_merges: ir.Table
    identity_conflicts: ir.Table


@dataclass(frozen=True, kw_only=True)
class Batch:
    """New events that count, in numbers of their own.

    `joining` is `known` without the identifiers of `aside` (type, value), which were set aside before. `members`:
    tuple, node of `joining`. `links` in the shape of tables.IDENTITY_LINKS, `known_links` the published rows of the
    same pairs. `held`: rows of tables.USER_IDENTIFIERS about identifiers that matter here, `conflicts` all of
    tables.IDENTITY_CONFLICTS. `dropped`: source, message_id of events that counted and no longer do, `losing` the ids
    of their profiles. `near`: type, value, profile_id, first_seen of all identifiers of profiles that may have to be
    resolved again; `large`: ids of those among them that are so large that the order of events may matter.
    `known_links`, `held` and `near` have PLACE too.
    """

    seen: Seen
    known: Known
    joining: Known
    aside: pl.DataFrame
    members: pl.DataFrame
    links: pl.DataFrame
    known_links: pl.DataFrame
    held: pl.DataFrame
    conflicts: pl.DataFrame
    near: ir.Table
    large: pl.Series
    dropped: ir.Table | None
    losing: pl.Series


def read_batch(
    engine: Engine,
    events: ir.Table,
    fresh: ir.Table,
    spec: IdentitySpec,
    published: Published,
    overrides: Iterable[Override],
) -> Batch | None:
    """`events` all of them, `fresh` the new ones among them. None when they change what an older alias meant."""
    old = _superseded(engine, events, fresh)
    counting, dropped = (fresh, None) if old is None else (fresh.anti_join(old[0], KEY), old[1])
    seen = see(engine, counting, spec, all_count=True)
    older = _older_aliases(engine, events, fresh)
    known = know(engine, seen, spec, met=_met(engine, seen, published) if older is not None else None)
    conflicts = engine.polars(published.identity_conflicts)
    aside = conflicts.filter(pl.col("action") == SET_ASIDE).select(ID)
    nodes = known.frame.join(aside, on=ID, how="semi").select("node")
    joining = set_aside(engine, known, nodes) if nodes.height else known
    links = engine.polars(named_links(evidence(engine, seen, known), known))
    pairs = engine.frame(links.select(PAIR).unique())
    matter = [known.frame.select(ID), conflicts.filter(pl.col("profile_id").is_not_null()).select(ID), _ends(overrides)]
    held = engine.polars(published.user_identifiers.semi_join(engine.frame(pl.concat(matter).unique()), ID))
    if older is not None and _new_meaning(known.frame, older, held, conflicts):
        return None
    losing = _losing(engine, published, dropped)
    near = _near(engine, published, held, conflicts, losing)
    return Batch(
        seen=seen,
        known=known,
        joining=joining,
        aside=aside,
        members=engine.polars(joining.members.select("tuple", "node")),
        links=links.select(LINK),
        known_links=engine.polars(published.identity_links.semi_join(pairs, PAIR)),
        held=held,
        conflicts=conflicts,
        near=near,
        large=_large(engine, near, spec),
        dropped=dropped,
        losing=losing,
    )


def _losing(engine: Engine, published: Published, dropped: ir.Table | None) -> pl.Series:
    if dropped is None:
        return pl.Series("profile_id", [], dtype=pl.String)
    return engine.polars(published.event_profiles.semi_join(dropped, KEY).select("profile_id").distinct())["profile_id"]


def _near(
    engine: Engine, published: Published, held: pl.DataFrame, conflicts: pl.DataFrame, losing: pl.Series
) -> ir.Table:
    """Profiles that hold what new events name, that rules kept something from, or that lose an event."""
    listed = conflicts["candidates"].drop_nulls().str.json_decode(pl.List(pl.String)).explode()
    ids = pl.concat([held["profile_id"], conflicts["profile_id"], listed, losing]).drop_nulls().unique()
    rows = published.user_identifiers.select(*ID, "profile_id", "first_seen", PLACE)
    return engine.keep(rows.semi_join(engine.frame(ids.to_frame("profile_id")), "profile_id"))


def _large(engine: Engine, near: ir.Table, spec: IdentitySpec) -> pl.Series:
    sizes = near.group_by("profile_id").agg(size=near.count())
    return engine.polars(sizes.filter(sizes.size > spec.safe_size()).select("profile_id"))["profile_id"]


def _superseded(engine: Engine, events: ir.Table, fresh: ir.Table) -> tuple[ir.Table, ir.Table] | None:
    """Old versions among all events of the rows that `fresh` is about, and those of them that counted until now."""
    tracks = engine.keep(fresh.filter(fresh.type == "track", fresh.row_key.notnull()).select(_ROW).distinct())
    tracks = _told_again(engine, events, tracks)
    if tracks is None:
        return None
    read = ("source", "message_id", "type", "row_key", "received_at", "timestamp", "run_id")
    every = events.filter(events.type == "track", events.row_key.notnull()).select(read)
    concerned = engine.keep(every.semi_join(tracks, _ROW))
    old = engine.keep(old_versions(concerned))
    if engine.polars(old.limit(1)).is_empty():
        return None
    before = engine.keep(old_versions(concerned.anti_join(fresh, KEY)))
    return old, engine.keep(old.anti_join(before, KEY).anti_join(fresh, KEY))


def _told_again(engine: Engine, events: ir.Table, tracks: ir.Table) -> ir.Table | None:
    """Those of `tracks` whose row_key several events bear; None where none does.

    One column of all events is read for it, a sixth of what telling versions apart reads, and mostly nothing is told
    again. Row keys of other sources only let through what is looked at more closely afterwards.
    """
    same = events.select("row_key").semi_join(tracks, "row_key")
    repeated = engine.keep(same.group_by("row_key").agg(times=same.count()).filter(lambda t: t.times > 1))
    if engine.polars(repeated.limit(1)).is_empty():
        return None
    return engine.keep(tracks.semi_join(repeated, "row_key"))


def _older_aliases(engine: Engine, events: ir.Table, fresh: ir.Table) -> pl.Series | None:
    """What earlier alias calls gave as previous_id; None when nobody ever called one."""
    calls = events.filter(events.type == "alias")
    if engine.polars(calls.limit(1)).is_empty():
        return None
    texts = engine.polars(calls.anti_join(fresh, KEY).select("previous_id").distinct())["previous_id"]
    return trim(texts.drop_nulls())


def _met(engine: Engine, seen: Seen, published: Published) -> pl.DataFrame:
    """Identifiers of earlier events that are spelled like a previous_id of new ones."""
    said = trim(engine.polars(seen.parts.filter(seen.parts.type == PREVIOUS).select("raw"))["raw"])
    asked = pl.concat([pl.DataFrame({"value": said}).select(type=pl.lit(t), value="value") for t in _BOTH])
    known = published.user_identifiers.select(ID).semi_join(engine.frame(asked.unique()), ID)
    lost = published.identity_conflicts.select(ID).semi_join(engine.frame(asked.unique()), ID)
    return engine.polars(known.union(lost))


def _new_meaning(frame: pl.DataFrame, older: pl.Series, held: pl.DataFrame, conflicts: pl.DataFrame) -> bool:
    """Whether an identifier appears that an earlier alias may have meant."""
    spelled = frame.filter(pl.col("type").is_in(_BOTH), pl.col("value").is_in(older.implode()))
    return not spelled.join(held, on=ID, how="anti").join(conflicts, on=ID, how="anti").is_empty()


def _ends(overrides: Iterable[Override]) -> pl.DataFrame:
    ends = [end for o in overrides for end in (o.left, o.right)]
    return pl.DataFrame(ends, schema=dict.fromkeys(ID, pl.String), orient="row")
