"""JSON taken apart level by level, in the engine: one row per value, with the place that it stands in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine

DEPTH = 6
MANY_KEYS = 200
"""An object that has more different keys is a map: its keys are values themselves, and are called `*`."""
EXTERNAL = "context.externalIds"
"""A list of {type, id}: each id is called by its type, as in context.externalIds.email."""
COLUMNS = ("source", "place", "said", "at", "weight")


def walk(engine: Engine, level: ir.Table) -> list[ir.Table]:
    """Values as tables of `COLUMNS` and text. `level` has `COLUMNS` and v, a JSON text; what is no object is a value.

    Items of a list stand in the place of their list. Below `DEPTH` levels an object is one value.
    """
    found: list[ir.Table] = []
    for _ in range(DEPTH):
        level = engine.keep(_marked(engine, level))
        found.append(_texts(level.filter(level.kind == "value")))
        items = _items(engine, level.filter(level.kind == "list"))
        items = engine.keep(_marked(engine, items))
        found.append(_texts(items.filter(items.kind != "object")))
        objects = level.union(items)
        below, keys = _members(engine, objects.filter(objects.kind == "object"))
        found.append(keys)
        level = below
        if engine.polars(level.limit(1)).is_empty():
            return found
    found.append(_texts(level))
    return found


def _marked(engine: Engine, rows: ir.Table) -> ir.Table:
    """What `v` is: object, list or value."""
    import ibis

    text = rows.v
    sound = engine.json_valid(ibis.ifelse(text.startswith("{") | text.startswith("["), text, ibis.null("string")))
    kind = ibis.cases((sound & text.startswith("{"), "object"), (sound, "list"), else_="value")
    return rows.select(*COLUMNS, "v", kind=kind)


def _texts(rows: ir.Table) -> ir.Table:
    return rows.select(*COLUMNS, text=rows.v)


def _items(engine: Engine, lists: ir.Table) -> ir.Table:
    """Items of lists; external ids become values that are called by their type."""
    import ibis

    items = lists.select(*COLUMNS, v=engine.json_list(lists.v).unnest())
    items = items.filter(items.v.notnull())
    inside = (items.place == EXTERNAL) & items.v.startswith("{")
    known = ibis.ifelse(inside, items.v, ibis.null("string"))
    type_ = engine.json_text(known, "type")
    place = ibis.ifelse(type_.notnull(), items.place + "." + type_, items.place)
    return items.mutate(place=place, v=ibis.ifelse(type_.notnull(), engine.json_text(known, "id"), items.v)).filter(
        lambda rows: rows.v.notnull()
    )


def _members(engine: Engine, objects: ir.Table) -> tuple[ir.Table, ir.Table]:
    """Members of objects, one level down, and the keys of maps as values."""
    import ibis

    keyed = engine.keep(objects.select(*COLUMNS, "v", key=engine.json_keys(objects.v).unnest()))
    spelled = keyed.select("source", "place", "key").distinct()
    counts = spelled.group_by(["source", "place"]).agg(different=spelled.count())
    maps = counts.filter(counts.different > MANY_KEYS).select("source", "place", is_map=True)
    joined = keyed.left_join(maps, ["source", "place"]).drop("source_right", "place_right")
    name = ibis.ifelse(joined.is_map.fill_null(False), "*", joined.key)
    below = joined.select(
        "source",
        "said",
        "at",
        "weight",
        "is_map",
        "key",
        place=ibis.ifelse(joined.place == "", name, joined.place + "." + name),
        v=engine.json_at(joined.v, engine.json_pointer(joined.key)),
    )
    below = engine.keep(below)
    keys = below.filter(below.is_map.fill_null(False)).select(*COLUMNS, text=below.key)
    return below.filter(below.v.notnull()).select(*COLUMNS, "v"), keys
