"""Which identifiers events carry: every distinct combination once, however many events carry it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cdp_core.identity.normalise import PREVIOUS, normalise_values, numbered
from cdp_core.identity.spec import IdentitySpec

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.engine import Engine

OWN = ("user_id", "anonymous_id", "group_id")
KEY = ["source", "message_id"]
_EXTERNAL = "*"
_END, _MID = "\x1e", "\x1f"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What events say about identifiers. A tuple is a distinct combination of raw values; its number holds for one run.

    `events`: source, message_id, at, tuple. `uses`: source, tuple, first_seen, last_seen, events. `parts`: tuple, type,
    raw (one row per raw value). All times UTC.
    """

    events: ir.Table
    uses: ir.Table
    parts: ir.Table


@dataclass(frozen=True, kw_only=True)
class Known:
    """Identifiers in one spelling. A node is the number of one; numbers sort by priority, type and value.

    `nodes` (a frame too, as `frame`): node, type, value, parent (derived from that node). `members`: tuple, node,
    by_alias (only said by an alias call), derived. `values`: what raw values were taken for, see `normalise_values`.
    """

    nodes: ir.Table
    frame: pl.DataFrame
    members: ir.Table
    values: pl.DataFrame


def see(engine: Engine, events: ir.Table, spec: IdentitySpec, *, all_count: bool = False) -> Seen:
    """Read the identifiers of all events that count; see `old_versions`. `all_count`: it is known that all do.

    Identifiers are user_id, anonymous_id, group_id, the previous_id of an alias, everything in `context.externalIds`,
    and for every name in `spec` the trait, property or context trait of that name (snake or camel case).
    Rule: Segment, Unify, "External IDs".
    """
    import ibis

    told = events.select(
        "source",
        "message_id",
        at=ibis.coalesce(events.timestamp, events.received_at),
        said=_packed(engine, events, spec),
    )
    told = engine.keep(told)
    if not all_count:
        old = engine.keep(old_versions(events))
        if not engine.polars(old.limit(1)).is_empty():
            told = engine.keep(told.anti_join(old, KEY))
    texts = told.filter(told.said != "").select("said").distinct()
    number = ibis.row_number() if engine.local else texts.said.hexdigest("md5")
    texts = engine.keep(texts.mutate(tuple=number))
    kept = engine.keep(told.join(texts, "said").select("source", "message_id", "at", "tuple"))
    uses = kept.group_by(["source", "tuple"]).agg(
        first_seen=kept.at.min(), last_seen=kept.at.max(), events=kept.count()
    )
    return Seen(events=kept, uses=engine.keep(uses), parts=engine.keep(_unpacked(engine, texts)))


def old_versions(events: ir.Table) -> ir.Table:
    """Events (source, message_id) that no longer count: of a corrected row's track events all but the last received.

    Every identify counts, since each is a statement about a person at its time.
    """
    import ibis

    tracks = events.filter(events.type == "track", events.row_key.notnull())
    tracks = tracks.mutate(arrived=ibis.coalesce(tracks.received_at, tracks.timestamp, ibis.timestamp("1970-01-01")))
    row = ["source", "row_key"]
    repeated = tracks.group_by(row).agg(versions=tracks.count()).filter(lambda t: t.versions > 1)
    versions = tracks.select(*row, "message_id", "arrived", "run_id").semi_join(repeated, row)
    order = [versions.arrived.desc(), versions.run_id.desc(), versions.message_id.desc()]
    place = ibis.row_number().over(ibis.window(group_by=row, order_by=order))
    return versions.mutate(place=place).filter(lambda t: t.place > 0).select("source", "message_id")


def _packed(engine: Engine, events: ir.Table, spec: IdentitySpec) -> ir.StringValue:
    """All raw values of an event in one text: grouping by one column is far cheaper than by a dozen."""
    import ibis

    pieces = []
    for type_, value in _columns(engine, events, spec):
        clean = value.nullif("").replace(_END, " ").replace(_MID, " ")
        pieces.append(ibis.literal(type_ + _MID) + clean + ibis.literal(_END))
    # Joining leaves out nulls, and a piece is null where its value is.
    return ibis.literal("").join(pieces)


def _columns(engine: Engine, events: ir.Table, spec: IdentitySpec) -> Iterator[tuple[str, ir.StringValue]]:
    import ibis

    nothing = ibis.null("string")
    yield from ((name, events[name]) for name in OWN if name != "group_id" and spec.rules(name))
    if "group_id" in spec.identifiers:
        yield "group_id", events.group_id
    is_alias = (events.type == "alias") & (events.previous_id != ibis.coalesce(events.user_id, ibis.literal("")))
    yield PREVIOUS, is_alias.ifelse(events.previous_id, nothing)
    yield _EXTERNAL, _guarded(engine, events.context, "externalIds")
    traits = (events.type == "group").ifelse(nothing, events.traits)
    of_context = _guarded(engine, events.context, "traits")
    for name in spec.identifiers:
        if name not in OWN:
            for key in spellings(name):
                for column in (traits, events.properties, of_context):
                    yield name, _guarded(engine, column, key)


def _guarded(engine: Engine, column: ir.StringValue, key: str) -> ir.StringValue:
    """JSON is parsed only where the key can be in it: its text is there, or an escape that could spell it."""
    import ibis

    possible = column.contains(f'"{key}"') | column.contains("\\u")
    return possible.ifelse(engine.json_text(column, key), ibis.null("string"))


def spellings(name: str) -> list[str]:
    """Under which keys of an event an identifier stands.

    >>> spellings("work_email")
    ['work_email', 'workEmail']
    """
    return list(dict.fromkeys((name, re.sub(r"_([a-z0-9])", lambda m: m[1].upper(), name))))


def _unpacked(engine: Engine, texts: ir.Table) -> ir.Table:
    import ibis

    pieces = texts.select("tuple", piece=texts.said.split(_END).unnest())
    pieces = pieces.filter(pieces.piece != "")
    halves = pieces.mutate(halves=pieces.piece.split(_MID))
    parts = halves.select("tuple", type=halves.halves[0], raw=halves.halves[1])
    own = parts.filter(parts.type != _EXTERNAL)
    lists = parts.filter(parts.type == _EXTERNAL)
    items = lists.select("tuple", item=engine.json_list(lists.raw).unnest())
    items = items.mutate(item=engine.json_valid(items.item).ifelse(items.item, ibis.null("string")))
    items = items.filter(items.item.startswith("{"))
    items = items.filter(engine.json_text(items.item, "collection").fill_null("users") != "accounts")
    external = items.select("tuple", type=engine.json_text(items.item, "type"), raw=engine.json_text(items.item, "id"))
    external = external.filter(external.type.notnull(), external.raw.notnull())
    return own.union(external).distinct()


def know(engine: Engine, seen: Seen, spec: IdentitySpec, *, met: pl.DataFrame | None = None) -> Known:
    """Bring the distinct raw values into one spelling and say which identifiers every tuple has.

    `met`: user_ids and anonymous_ids (type, value) that other events bear.
    """
    values = normalise_values(engine.polars(seen.parts.select("type", "raw").distinct()), spec, met=met)
    frame = numbered(values, spec)
    named = frame.select("node", as_type="type", value="value")
    meaning = engine.frame(values.join(named, on=["as_type", "value"]).select("type", "raw", "node"))
    said = seen.parts.join(meaning, ["type", "raw"])
    said = said.select("tuple", "node", plain=(said.type != PREVIOUS).cast("int64"))
    own = engine.keep(said.group_by(["tuple", "node"]).agg(by_alias=said.plain.max() == 0))
    nodes = engine.frame(frame)
    members = own.mutate(derived=False)
    if spec.derived():
        legs = nodes.filter(nodes.parent.notnull()).select(child=nodes.node, node=nodes.parent)
        more = own.join(legs, "node").select("tuple", node="child").distinct()
        more = more.anti_join(own, ["tuple", "node"]).mutate(by_alias=False, derived=True)
        members = engine.keep(members.union(more))
    return Known(nodes=nodes, frame=frame, members=members, values=values)
