"""Rows that go back to what they said before: the same content again, delivered after another version of the row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine, Staging

KEY = ["source", "message_id"]
_ROW = ["source", "row_key"]
_AGAIN = r"~\d+$"


def rename_returned(engine: Engine, staging: Staging, sources: Sequence[str]) -> None:
    """Give a staged event that the lake knows an id of its own where another version of its row has come in between.

    A row's id is made of its key and its content, so that a row read twice counts once. A row that changes from A to B
    and back to A would so be taken for the first A, and stay B. `sources` are those whose rows are all read from one
    place, so that what is read now is what holds now. A row that stands in the batch in several versions is history,
    not a return, and so is one that bears an older time than the version that counts.
    """
    import ibis

    if not sources or not staging.has("events"):
        return
    lake = engine.table("events")
    lake = lake.filter(lake.source.isin(list(sources)), lake.row_key.notnull())
    arrived = ibis.coalesce(lake.received_at, lake.timestamp, ibis.timestamp("1970-01-01"))
    lake = lake.select(*KEY, "row_key", "run_id", arrived=arrived)
    changed = lake.group_by(_ROW).agg(versions=lake.count()).filter(lambda t: t.versions > 1)
    if engine.polars(changed.limit(1)).is_empty():
        return
    order = [ibis.desc("arrived"), ibis.desc("run_id"), ibis.desc("message_id")]
    several = lake.join(changed, _ROW)
    place = ibis.row_number().over(ibis.window(group_by=_ROW, order_by=order))
    engine.copy_into(staging, {"row_versions": several.mutate(place=place)})
    again = staging.replace("returned", _returned(staging))
    if again.count().execute():
        _rename(staging, "events", KEY)
        for name in sources:
            if staging.has(f"rows_{name}"):
                _rename(staging, f"rows_{name}", ["message_id"], source=name)


def _returned(staging: Staging) -> ir.Table:
    """source, message_id, new_id."""
    import ibis

    versions, events = staging.table("row_versions"), staging.table("events")
    counts = versions.filter(versions.place == 0)
    counts = counts.select(*_ROW, "versions", counting=counts.message_id.re_replace(_AGAIN, ""), since="arrived")
    at = ibis.coalesce(events.received_at, events.timestamp, ibis.timestamp("1970-01-01"))
    now = events.select(*KEY, "row_key", at=at).semi_join(counts, _ROW)
    once = now.group_by(_ROW).agg(ids=now.message_id.nunique()).filter(lambda t: t.ids == 1)
    known = now.semi_join(once, _ROW).semi_join(versions, KEY).join(counts, _ROW)
    back = known.filter(known.message_id != known.counting, known.at >= known.since)
    new_id = back.message_id + "~" + (back.versions + 1).cast("string")
    return back.select(*KEY, new_id=new_id).distinct()


def _rename(staging: Staging, name: str, key: list[str], *, source: str | None = None) -> None:
    import ibis

    rows, again = staging.table(name), staging.table("returned")
    again = again if source is None else again.filter(again.source == source)
    joined = rows.left_join(again.select(*key, "new_id"), key)
    renamed = joined.mutate(message_id=ibis.coalesce(joined.new_id, joined.message_id))
    staging.replace(name, renamed.select(rows.columns))
