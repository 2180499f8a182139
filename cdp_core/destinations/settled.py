"""Rows that are at the destination as the model has them: left out before anything more about them is computed.

Usually they are nearly all. A pass over keys and hashes finds the others; only those are mapped, joined and kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cdp_core.destinations.diff import hashed
from cdp_core.destinations.mapping import key_text, mapped

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.destinations.diff import Terms
    from cdp_core.destinations.gate import Gate
    from cdp_core.destinations.spec import SyncSpec
    from cdp_core.engine import Engine


@dataclass(frozen=True, kw_only=True)
class Unsettled:
    """`rows` of the model to look at, `keys` of all of its valid rows (column key), and how many rows it has."""

    rows: ir.Table
    keys: ir.Table
    total: int


def unsettled(
    engine: Engine, name: str, sync: SyncSpec, model: ir.Table, own: ir.Table, terms: Terms, gate: Gate
) -> Unsettled:
    """What is new or another than the ledger rows `own` say, is there twice, has no key, or may not be sent."""
    light = engine.keep(hashed(mapped(engine, name, sync, model), terms).select("key", "profile_id", "row_hash"))
    there = own.filter((own.status == "delivered") & (own.operation != "remove")).select("key", "row_hash")
    counted = light.group_by("key").aggregate(copies=lambda t: t.count())
    twice = engine.keep(counted.filter((counted.copies > 1) & counted.key.notnull()).select("key"))
    look = [light.anti_join(there, ["key", "row_hash"]).select("key"), twice]
    if gate.active:
        judged = gate.judged(light)
        look.append(judged.filter(judged.barred.notnull()).select("key"))
    todo = look[0].union(*look[1:], distinct=True)
    todo = engine.keep(todo.filter(todo.key.notnull()))
    sizes = engine.polars(light.aggregate(total=light.count(), nameless=light.key.isnull().sum()))
    keyed = model.mutate(sent_key=key_text(engine, name, sync, model))
    rows = keyed.semi_join(todo, keyed.sent_key == todo.key)
    if sizes["nameless"][0]:
        rows = rows.union(keyed.filter(keyed.sent_key.isnull()))
    keys = light.filter(light.key.notnull() & (light.key != "")).select("key").anti_join(twice, "key")
    return Unsettled(rows=rows.drop("sent_key"), keys=keys, total=int(sizes["total"][0]))
