"""Identity from evidence that is there already: a table of links instead of events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from cdp_core.errors import SpecError
from cdp_core.identity.components import components
from cdp_core.identity.conflicts import conflicts
from cdp_core.identity.identifiers import Seen
from cdp_core.identity.ids import called_after, first_identifiers, profile_ids
from cdp_core.identity.resolve import Grouped, grouped
from cdp_core.identity.spec import IdentitySpec
from cdp_core.tables import IDENTITY_CONFLICTS

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine

_ID = ["type", "value"]
_TIMES = {name: name for name in ("first_seen", "last_seen", "events")}
_HELD = ("type", "value", *_TIMES)
_COLUMNS = ("type", "value", "profile_id", "first_seen", "last_seen", "events")
_MID = "\x01"
"""Sorts before everything that can be in the name of a type."""
_ALLOWED = pl.Schema({"type": pl.String, "allowed": pl.Int64, "rank": pl.Int64})


@dataclass(frozen=True, kw_only=True)
class LinkedIdentity:
    """tables.USER_IDENTIFIERS and tables.IDENTITY_CONFLICTS of a table of links."""

    user_identifiers: ir.Table
    identity_conflicts: ir.Table


def resolve_links(
    engine: Engine, links: ir.Table, spec: IdentitySpec, *, previous: ir.Table | None = None
) -> LinkedIdentity:
    """Say which identifiers of `links` are one person.

    `links` as in tables.IDENTITY_LINKS, values spelled as there; `previous` the user_identifiers of an earlier
    resolution, whose ids are kept. A link counts as an event with two identifiers, in the order (first_seen, source,
    identifiers).
    What hangs together without breaking a rule is one profile; the others go through the same policy as events do.
    `events` of an identifier is the sum over its links. Raises SpecError when a type of identifier has no rules.

    Example: `resolve_links(engine, engine.table("identity_links"), IdentitySpec()).user_identifiers`
    """
    import ibis

    found = _identifiers(links)
    nodes = engine.keep(found.mutate(node=ibis.row_number(), key=engine.digest(found.type, found.value)))
    rules = _rules(engine, nodes, spec)
    unique = engine.polars(nodes.aggregate(unique=nodes.key.nunique() == nodes.count())).item()
    component = components(engine, nodes.select("node"), _edges(engine, links, nodes, unique).select("left", "right"))
    named = engine.keep(nodes.join(component, "node"))
    broken = engine.keep(_may_break(named, rules, spec))
    whole, told, group = named, None, None
    if not engine.polars(broken.limit(1)).is_empty():
        within = engine.keep(named.semi_join(broken, "component"))
        told = _as_seen(engine, _edges(engine, links, within, unique), within)
        group = grouped(engine, told, spec)
        whole = named.anti_join(broken, "component")
    identifiers = whole.select(*_HELD, profile="component")
    if group is not None:
        identifiers = identifiers.union(group.identifiers.select(*_HELD, profile=-1 - group.identifiers.profile))
    ids, _ = profile_ids(engine, identifiers, previous, named=_named(engine, identifiers, rules))
    return LinkedIdentity(
        user_identifiers=identifiers.join(ids, "profile").select(_COLUMNS),
        identity_conflicts=_conflicts(engine, told, group, ids, spec),
    )


def _named(engine: Engine, identifiers: ir.Table, rules: ir.Table) -> ir.Table:
    """profile, profile_id: priority, type and value in one text are cheaper to compare than one after the other."""
    import ibis

    ranks = {t: f"{r:04d}{t}{_MID}" for t, r in engine.polars(rules.select("type", "rank")).iter_rows()}
    first = first_identifiers(
        identifiers, lambda t: ibis.cases(*((t.type == k, r) for k, r in ranks.items())) + t.value
    )
    text = first.first.substr(4).replace(_MID, ":")
    return engine.keep(first.select("profile", profile_id=called_after(text)))


def _identifiers(links: ir.Table) -> ir.Table:
    both = links.select(type="left_type", value="left_value", **_TIMES).union(
        links.select(type="right_type", value="right_value", **_TIMES)
    )
    return both.group_by(_ID).agg(
        first_seen=both.first_seen.min(), last_seen=both.last_seen.max(), events=both.events.sum().cast("int64")
    )


def _edges(engine: Engine, links: ir.Table, nodes: ir.Table, unique: bool) -> ir.Table:
    """Links between `nodes`, with their numbers (left, right) for identifiers; found by digests where these are
    `unique`, since joining on two texts costs twice as much.
    """
    kept = {"source": links.source, **{name: links[name] for name in _TIMES}}
    if unique:
        keys = (engine.digest(links[f"{side}_type"], links[f"{side}_value"]) for side in ("left", "right"))
        told = links.select(**kept, **dict(zip(("left_key", "right_key"), keys, strict=True)))
        joined = told.join(nodes.select(left="node", left_key="key"), "left_key")
        joined = joined.join(nodes.select(right="node", right_key="key"), "right_key")
        return joined.select("left", "right", *kept)
    left = nodes.select(left="node", left_type="type", left_value="value")
    right = nodes.select(right="node", right_type="type", right_value="value")
    joined = links.join(left, ["left_type", "left_value"]).join(right, ["right_type", "right_value"])
    return joined.select("left", "right", *kept)


def _rules(engine: Engine, nodes: ir.Table, spec: IdentitySpec) -> ir.Table:
    """type, allowed (so many in one profile cannot break a rule, whatever their order and times), rank."""
    types = engine.polars(nodes.select("type").distinct())["type"].sort()
    unknown = [t for t in types if spec.rules(t) is None]
    if unknown:
        raise SpecError.unknown("identifier", unknown[0], list(spec.identifiers), where="links")
    order = {name: place for place, name in enumerate(spec.identifiers)}
    users = min(1 if spec.hold.user_ids else spec.limit("user_id"), spec.shared or spec.limit("user_id"))
    rows = [(t, users if t == "user_id" else spec.limit(t), order.get(t, len(order))) for t in types]
    return engine.frame(pl.DataFrame(rows, schema=_ALLOWED, orient="row"))


def _may_break(named: ir.Table, rules: ir.Table, spec: IdentitySpec) -> ir.Table:
    """Components (column component) in which some rule might be broken if all of it were one profile."""
    held = named.group_by(["component", "type"]).agg(held=named.count())
    over = held.join(rules, "type").filter(lambda t: t.held > t.allowed).select("component")
    sizes = held.group_by("component").agg(size=held.held.sum())
    most = min(spec.safe_size(), 2 * spec.hold.bridge - 1 if spec.hold.bridge else spec.safe_size())
    return over.union(sizes.filter(sizes.size > most).select("component")).distinct()


def _as_seen(engine: Engine, edges: ir.Table, within: ir.Table) -> Seen:
    """Links between identifiers of `within`, each as an event that states two identifiers."""
    import ibis

    left = within.select(left="node", left_type="type", left_value="value")
    right = within.select(right="node", right_type="type", right_value="value")
    named = edges.join(left, "left").join(right, "right")
    rows = engine.keep(named.mutate(tuple=ibis.row_number()))
    text = rows.left_type + ":" + rows.left_value + " " + rows.right_type + ":" + rows.right_value
    sides = [rows.select("tuple", type=f"{side}_type", raw=f"{side}_value") for side in ("left", "right")]
    return Seen(
        events=rows.select("source", message_id=text, at="first_seen", tuple="tuple"),
        uses=rows.select("source", "tuple", **_TIMES),
        parts=engine.keep(sides[0].union(sides[1]).distinct()),
    )


def _conflicts(engine: Engine, seen: Seen | None, group: Grouped | None, ids: ir.Table, spec: IdentitySpec) -> ir.Table:
    if group is None or seen is None:
        return engine.frame(IDENTITY_CONFLICTS.empty())
    own = engine.keep(ids.filter(ids.profile < 0).select(profile=-1 - ids.profile, profile_id="profile_id"))
    return conflicts(engine, seen, group.known, group.members.demoted, own, group.shared, spec)
