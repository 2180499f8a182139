"""Identifiers that leave with one row and stay with another: two people with one address, in an audience.

A destination that knows rows by their content alone takes such an identifier out for both. It is told which ones the
rows that stay are known by (`Batch.wanted`), and leaves those in. So it does not matter in which order rows come, go
and change: what is there at the end are the identifiers of all rows that are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cdp_core.destinations.base import SupportsIdentifiers
from cdp_core.destinations.diff import SENT

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.destinations.base import Delivery
    from cdp_core.engine import Engine

FETCH_ROWS = 50_000


def still_wanted(
    engine: Engine, name: str, destination: Any, rows: ir.Table, stale: ir.Table | None
) -> pl.Series | None:
    """Identifiers that a run of the plan's `rows` would take out and that rows have which stay, come or change.

    `stale` are rows of `superseded`. None where there are none, or where the destination has its own keys.
    """
    import polars as pl

    if not isinstance(destination, SupportsIdentifiers):
        return None

    def lost(frame: pl.DataFrame) -> pl.Series:
        held = destination.identifiers(frame["held"])
        now = destination.identifiers(frame["text"].drop_nulls())
        return held.join(now, on=["key", "identifier"], how="anti")["identifier"].hash()

    leaving = pl.concat([pl.Series([], dtype=pl.UInt64), *_each(engine, _leaving(rows, stale), lost)])
    now = rows.filter(rows.operation.isin(["add", "change"])).select(text="payload")
    there = _there(engine, name).anti_join(rows.filter(rows.operation.isin(SENT)).select("key"), "key")
    return _among(engine, destination, leaving, there.select("text").union(now))


def held_by_others(
    engine: Engine, name: str, destination: Any, delivery: Delivery, keys: Sequence[str], payload: pl.Series
) -> pl.Series | None:
    """Identifiers in `payload`, the rows of these keys, that other rows of the sync are known by as well."""
    known: Any = destination
    if not isinstance(destination, SupportsIdentifiers):
        return None
    known.prepare(delivery)
    there = _there(engine, name)
    others = there.filter(~there.key.isin(list(keys))).select("text")
    return _among(engine, known, known.identifiers(payload)["identifier"].hash(), others)


def _among(engine: Engine, destination: Any, leaving: pl.Series, staying: ir.Table) -> pl.Series | None:
    """Identifiers of the rows that stay, out of those that leave.

    These are hashes of eight bytes, which bounds the memory; one too many found by them keeps nobody in.
    """
    import polars as pl

    if not leaving.len():
        return None

    def kept(frame: pl.DataFrame) -> pl.Series:
        found = destination.identifiers(frame["text"])["identifier"]
        return found.filter(found.hash().is_in(leaving.unique().implode()))

    found = pl.concat([pl.Series([], dtype=pl.String), *_each(engine, staying.filter(staying.text.notnull()), kept)])
    return found.unique() if found.len() else None


def _leaving(rows: ir.Table, stale: ir.Table | None) -> ir.Table:
    """Rows as they are `held` at the destination and go from there, and as they are then (`text`, or null)."""
    import ibis

    nothing = ibis.null("string")
    removed = rows.operation == "remove"
    leaving = rows.select(
        held=rows.old_before.coalesce(removed.ifelse(rows.payload, nothing)),
        text=removed.ifelse(nothing, rows.payload),
    )
    if stale is not None:
        leaving = leaving.union(stale.select(held=stale.payload, text=nothing))
    return leaving.filter(leaving.held.notnull() & (leaving.held != leaving.text.fill_null("")))


def _there(engine: Engine, name: str) -> ir.Table:
    """Rows of the ledger (`key`) that may be at the destination, as they are there (`text`)."""
    import ibis

    ledger = engine.table("sync_ledger")
    own = ledger.filter((ledger.sync == name) & (ledger.operation != "remove"))
    begun = (own.status == "pending").ifelse(own.payload, ibis.null("string"))
    told = (own.status == "delivered").ifelse(own.payload, own.before.cast("string").coalesce(begun))
    return own.select("key", text=told)


def _each(engine: Engine, rows: ir.Table, found: Callable[[pl.DataFrame], pl.Series]) -> Iterator[pl.Series]:
    import ibis

    kept = engine.keep(rows.mutate(n=ibis.row_number()))
    total = int(engine.polars(kept.aggregate(n=kept.count()))["n"][0])
    for start in range(0, total, FETCH_ROWS):
        yield found(engine.polars(kept.filter(kept.n.between(start, start + FETCH_ROWS - 1)).drop("n")))
