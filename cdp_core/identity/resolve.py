"""Identity resolution: from events to profiles, exactly, with evidence."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from cdp_core.identity.bridges import weak_bridges
from cdp_core.identity.components import components
from cdp_core.identity.conflicts import conflicts
from cdp_core.identity.constraints import Constraints, constraints
from cdp_core.identity.identifiers import Known, Seen, know, see
from cdp_core.identity.ids import Elsewhere, profile_ids, profile_merges
from cdp_core.identity.links import as_identity_links, evidence
from cdp_core.identity.members import Members, assign
from cdp_core.identity.overrides import Override
from cdp_core.identity.shared import set_aside, shared_identifiers
from cdp_core.identity.spec import IdentitySpec

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine


@dataclass(frozen=True, kw_only=True)
class Stats:
    """How a resolution went. `demoted` counts identifiers that did not join a profile, once per profile they missed."""

    profiles: int
    identifiers: int
    demoted: int
    violating: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """The identity tables as they should be published, computed into scratch tables."""

    identity_links: ir.Table
    user_identifiers: ir.Table
    event_profiles: ir.Table
    profile_merges: ir.Table
    identity_conflicts: ir.Table
    stats: Stats


def resolve(
    engine: Engine,
    events: ir.Table,
    spec: IdentitySpec,
    *,
    previous: ir.Table | None,
    merges: ir.Table | None,
    now: datetime,
    overrides: Sequence[Override] = (),
) -> Resolution:
    """Say which identifiers and events belong to one profile.

    `events` as in tables.EVENTS, `previous` and `merges` the published user_identifiers and profile_merges (None: start
    afresh), `now` in UTC, `overrides` the decisions in force. The result depends on the events, not on their order or
    on how often it is run. Raises SpecError when a rule cannot be applied, ResolutionError when it does not come to an
    end.
    Rule: Segment, Unify, "Merge Protection"; see `policy` for what is exact about it.

    Example: `resolve(engine, engine.table("events"), IdentitySpec(), previous=None, merges=None, now=now).stats`
    """
    started = time.perf_counter()
    seen = see(engine, events, spec)
    found = settled(engine, seen, spec, previous=previous, merges=merges, now=now, overrides=overrides)
    return replace(found, stats=replace(found.stats, seconds=time.perf_counter() - started))


@dataclass(frozen=True, kw_only=True)
class Rest:
    """What is known of the profiles that are not looked at: their ids, and identifiers that are set aside for what
    their events say too (type, value).
    """

    ids: Elsewhere
    aside: pl.DataFrame


def settled(
    engine: Engine,
    seen: Seen,
    spec: IdentitySpec,
    *,
    previous: ir.Table | None,
    merges: ir.Table | None,
    now: datetime,
    overrides: Sequence[Override] = (),
    rest: Rest | None = None,
) -> Resolution:
    """The same from identifiers that have been read. With `rest` these are all events of some profiles and of what
    hangs together with them; identifiers set aside before are then not listed among the conflicts again.
    """
    started = time.perf_counter()
    group = grouped(engine, seen, spec, overrides=overrides, aside=rest.aside if rest else None)
    members, identifiers = group.members, group.identifiers
    elsewhere = rest.ids if rest else None
    ids, lost = profile_ids(engine, identifiers, previous, elsewhere=elsewhere)
    return Resolution(
        identity_links=as_identity_links(engine, group.links, group.known, overrides),
        user_identifiers=_user_identifiers(engine, identifiers, ids),
        event_profiles=_event_profiles(engine, seen, members, ids),
        profile_merges=profile_merges(engine, ids, lost, merges, now),
        identity_conflicts=conflicts(engine, seen, group.known, members.demoted, ids, group.shared, spec),
        stats=_stats(engine, identifiers, ids, members, started),
    )


@dataclass(frozen=True, kw_only=True)
class Grouped:
    """Profiles by number, before they have ids. `identifiers`: node, type, value, profile, first_seen, last_seen,
    events. `links` as `evidence` gives them. `shared`: identifiers set aside for what is counted here.
    """

    known: Known
    links: ir.Table
    shared: pl.DataFrame
    members: Members
    identifiers: ir.Table


def grouped(
    engine: Engine,
    seen: Seen,
    spec: IdentitySpec,
    *,
    overrides: Sequence[Override] = (),
    aside: pl.DataFrame | None = None,
) -> Grouped:
    """Which identifiers are one. `aside`: type, value of those set aside whatever is counted here."""
    known = know(engine, seen, spec)
    told = constraints(overrides, known.frame)
    shared = shared_identifiers(engine, known, spec)
    listed = shared
    if aside is not None:
        shared, before = _with_aside(shared, known, aside)
        listed = shared.filter(~pl.col("node").is_in(before.implode()))
    links = evidence(engine, seen, known)
    joining, edges = known, links
    if shared.height:
        joining = set_aside(engine, known, shared)
        edges = evidence(engine, seen, joining)
        ends = joining.members.semi_join(engine.frame(told.ends().to_frame()), "node").select("node").distinct()
        told = told.among(engine.polars(ends)["node"])
    found = _components(engine, joining, edges, told)
    if spec.hold.bridge:
        told = told.keeping_apart(weak_bridges(engine, found, edges, spec.hold.bridge))
    members = assign(engine, seen, joining, found, spec, told)
    identifiers = _identifiers(engine, seen, joining, members, told)
    return Grouped(known=known, links=links, shared=listed, members=members, identifiers=identifiers)


def _with_aside(shared: pl.DataFrame, known: Known, aside: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
    """Those set aside before are set aside whatever is counted here; their nodes too."""
    before = known.frame.join(aside, on=["type", "value"], how="semi")["node"]
    more = pl.DataFrame({"node": before.filter(~before.is_in(shared["node"].implode()))})
    return pl.concat([shared, more.with_columns(user_ids=pl.lit(0, pl.Int64))]).sort("node"), before


def _components(engine: Engine, known: Known, links: ir.Table, told: Constraints) -> ir.Table:
    """node, component: what hangs together by evidence or by decision."""
    nodes = known.members.select("node").distinct()
    edges = links.select("left", "right").distinct()
    if told.joined.height or told.matched.height:
        pairs = pl.concat([told.joined, told.matched]).select("left", "right")
        joined = engine.frame(pairs).semi_join(nodes, [("left", "node")])
        edges = edges.union(joined.semi_join(nodes, [("right", "node")]))
    return components(engine, nodes, edges)


def _identifiers(engine: Engine, seen: Seen, known: Known, members: Members, told: Constraints) -> ir.Table:
    """node, type, value, profile, first_seen, last_seen, events: as seen in events of the profile that holds it."""
    said = known.members.select("tuple", "node").join(members.tuples, "tuple")
    said = said.semi_join(members.nodes, ["node", "profile"]).join(seen.uses, "tuple")
    counted = said.group_by(["node", "profile"]).agg(
        first_seen=said.first_seen.min(), last_seen=said.last_seen.max(), events=said.events.sum().cast("int64")
    )
    if told.joined.height:
        counted = engine.keep(counted)
        counted = counted.union(_by_decision(engine, seen, known, members, told, counted))
    return engine.keep(counted.join(known.nodes.select("node", "type", "value"), "node"))


def _by_decision(
    engine: Engine, seen: Seen, known: Known, members: Members, told: Constraints, counted: ir.Table
) -> ir.Table:
    """Identifiers that are in a profile only because people said so: with the times of all their events, and none of
    its own.
    """
    import ibis

    ends = engine.frame(Constraints(told.joined).ends().to_frame())
    decided = members.nodes.semi_join(ends, "node").anti_join(counted, "node")
    decided = decided.semi_join(members.tuples, "profile")
    said = known.members.select("tuple", "node").join(decided, "node").join(seen.uses, "tuple")
    rows = said.group_by(["node", "profile"]).agg(first_seen=said.first_seen.min(), last_seen=said.last_seen.max())
    return rows.mutate(events=ibis.literal(0, type="int64")).select(counted.columns)


def _user_identifiers(engine: Engine, identifiers: ir.Table, ids: ir.Table) -> ir.Table:
    columns = ("type", "value", "profile_id", "first_seen", "last_seen", "events")
    return engine.keep(identifiers.join(ids, "profile").select(columns))


def _event_profiles(engine: Engine, seen: Seen, members: Members, ids: ir.Table) -> ir.Table:
    owners = members.tuples.join(ids, "profile").select("tuple", "profile_id")
    return engine.keep(seen.events.join(owners, "tuple").select("source", "message_id", "profile_id"))


def _stats(engine: Engine, identifiers: ir.Table, ids: ir.Table, members: Members, started: float) -> Stats:
    counts = {
        name: engine.polars(t.count().name("n").as_table()).item() for name, t in (("p", ids), ("i", identifiers))
    }
    return Stats(
        profiles=counts["p"],
        identifiers=counts["i"],
        demoted=members.demoted.select("node", "profile").n_unique(),
        violating=members.violating,
        seconds=time.perf_counter() - started,
    )
