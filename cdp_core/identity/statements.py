"""The very events behind a piece of evidence, found again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from cdp_core.identity.evidence_path import Link
from cdp_core.identity.identifiers import know, see
from cdp_core.identity.spec import IdentitySpec

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine

Identifier = tuple[str, str]


def said_by(engine: Engine, spec: IdentitySpec, events: ir.Table, *, derived: bool = False) -> pl.DataFrame:
    """What each event says: source, message_id, at (UTC), type, value (an identifier that it carries), in time.

    With `derived` the digests of what it carries are among them.
    """
    seen = see(engine, events, spec)
    known = know(engine, seen, spec)
    carried = known.members if derived else known.members.filter(~known.members.derived)
    own = carried.join(known.nodes, "node").select("tuple", "type", "value")
    rows = seen.events.join(own, "tuple").select("source", "message_id", "at", "type", "value")
    return engine.polars(rows).sort("at", "source", "message_id", "type", "value", nulls_last=True)


def first_statements(
    engine: Engine, spec: IdentitySpec, links: Sequence[Link]
) -> dict[tuple[Identifier, Identifier], dict[str, Any]]:
    """For each link the first event that carries both ends: source, message_id, name, at. Links that no event states
    (a digest, a decision) are left out.
    """
    if not links:
        return {}
    events = engine.table("events")
    said = said_by(engine, spec, events.semi_join(_near(engine, links), ["source", "message_id"]))
    both: dict[tuple[Identifier, Identifier], tuple[str, str]] = {}
    per_event = said.group_by("source", "message_id", maintain_order=True).agg(pl.struct("type", "value").alias("ids"))
    wanted = [(link.left, link.right) for link in links]
    for source, message_id, ids in per_event.iter_rows():
        carried = {(i["type"], i["value"]) for i in ids}
        for pair in wanted:
            if pair not in both and carried.issuperset(pair):
                both[pair] = (source, message_id)
    names = _names(engine, list(both.values()))
    return {pair: names[key] for pair, key in both.items()}


def _near(engine: Engine, links: Sequence[Link]) -> ir.Table:
    """Events of the profiles that the ends of the links belong to (source, message_id)."""
    ends = {end for link in links for end in (link.left, link.right)}
    asked = engine.frame(pl.DataFrame(sorted(ends), schema={"type": pl.String, "value": pl.String}, orient="row"))
    owners = engine.table("user_identifiers").semi_join(asked, ["type", "value"]).select("profile_id").distinct()
    return engine.table("event_profiles").semi_join(owners, "profile_id").select("source", "message_id")


def _names(engine: Engine, keys: list[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Any]]:
    events = engine.table("events")
    asked = engine.frame(pl.DataFrame(keys, schema={"source": pl.String, "message_id": pl.String}, orient="row"))
    found = events.semi_join(asked, ["source", "message_id"])
    rows = engine.polars(found.select("source", "message_id", "type", "event", "timestamp"))
    return {
        (row["source"], row["message_id"]): {
            "source": row["source"],
            "message_id": row["message_id"],
            "name": row["event"] or row["type"],
            "at": row["timestamp"],
        }
        for row in rows.iter_rows(named=True)
    }
