"""Mode insert: a row is sent once by its key, and what was sent is left as it is.

The ledger says which keys have been sent, so that everything else about them need not be computed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cdp_core.destinations.diff import Terms, columns_of
from cdp_core.destinations.functions.columns import columns_read
from cdp_core.destinations.mapping import column_of, key_text, payload, read_back
from cdp_core.destinations.spec import SyncSpec

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine

Completed = Callable[["ir.Table"], "ir.Table"]
_TOLD_LATER = ("profile_id", "event", "properties", "traits", "context")
"""Columns that the last steps before sending may add or change."""


def unsent(
    engine: Engine, name: str, sync: SyncSpec, model: ir.Table, done: ir.Table, completed: Completed
) -> ir.Table:
    """The model's rows, completed, whose keys are not in `done`; they are looked for first where the key allows it."""
    read = {str(field.column).partition(".")[0] for _, field in columns_read(sync.mapping[sync.key])}
    if read & set(_TOLD_LATER):
        return _but(engine, name, sync, completed(model), done)
    return completed(_but(engine, name, sync, model, done))


def _but(engine: Engine, name: str, sync: SyncSpec, model: ir.Table, done: ir.Table) -> ir.Table:
    """Usually nothing is new, and a look at the keys alone says so."""
    keyed = model.mutate(sent_key=key_text(engine, name, sync, model))
    keys = keyed.select("sent_key")
    if not size(engine, keys.anti_join(done, keys.sent_key == done.key)):
        return model.filter(False)
    return keyed.anti_join(done, keyed.sent_key == done.key).drop("sent_key")


def done_before(own: ir.Table, terms: Terms) -> ir.Table:
    """The keys of ledger rows (of one sync) that need not be sent again."""
    return own.filter(_done(own, terms)).select("key")


def open_before(engine: Engine, own: ir.Table, terms: Terms) -> ir.Table:
    """The other ledger rows. There are few, or none."""
    left = ~_done(own, terms)
    return engine.keep(own.filter(left)) if size(engine, own.filter(left).select("status")) else own.filter(False)


def _done(own: ir.Table, terms: Terms) -> ir.BooleanValue:
    import ibis

    done = (own.status == "delivered") & (own.operation != "remove")
    if not terms.whole:
        done = ibis.literal(False) if terms.lost else done & (own.row_hash == terms.mark)
    return done.fill_null(False)


def delivered(own: ir.Table) -> ir.Table:
    return own.filter((own.status == "delivered") & (own.operation != "remove"))


def sent_before(engine: Engine, own: ir.Table, terms: Terms, current: ir.Table, fields: list[str]) -> ir.Table:
    """For a destination that is written whole: what was delivered, as it was sent, in the columns of a diff.

    It stays (`hold`), save where it is gone or was written in another way: then it is written anew.
    """
    import ibis

    old = delivered(own)
    here = (old.row_hash == terms.mark).fill_null(False)
    operation = ibis.literal("add") if terms.lost else here.ifelse("hold", "change")
    kinds = {column_of(i): current[column_of(i)].type() for i in range(terms.fields)}
    values: dict[str, Any] = {
        field: read_back(engine, old.payload, field, kinds[column_of(i)]) for i, field in enumerate(fields)
    }
    values[fields[int(terms.key_column[1:])]] = old.key.cast(kinds[terms.key_column])
    return old.select(
        "key",
        "profile_id",
        operation=operation,
        row_hash=ibis.literal(terms.mark),
        payload=payload(engine, values),
        reason=ibis.null("string"),
        attempts=ibis.literal(1, "int64"),
        old_before=ibis.null("string"),
        delivery_id=ibis.null("string"),
        told=False,
        in_model=False,
        **{column_of(i): value for i, value in enumerate(values.values())},
    ).select(*columns_of(terms))


def size(engine: Engine, rows: ir.Table) -> int:
    return int(engine.polars(rows.aggregate(n=rows.count()))["n"][0])
