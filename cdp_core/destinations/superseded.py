"""Rows that may be at the destination in a shape that nobody wants any more.

A run that was cut off leaves rows of which it is not known whether they were taken. Sent again they do no harm, and
where a row is found by its key, newer content overwrites them. A destination that knows rows by their content alone
(`by_content`) would keep the older shape beside the newer one for ever: there it is taken out first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cdp_core.destinations.base import Batch, Unavailable
from cdp_core.destinations.diff import SENT
from cdp_core.destinations.mapping import column_of, read_back

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.destinations.delivery import Sender
    from cdp_core.engine import Engine

_BY_CONTENT = "by_content"


def superseded(engine: Engine, name: str, destination: Any, rows: ir.Table, fields: list[str]) -> ir.Table | None:
    """Of the plan's `rows` those that are due with another content than was on its way last, with that content in
    `payload` and in the fields; None where there are none.
    """
    if not getattr(destination, _BY_CONTENT, False):
        return None
    ledger = engine.table("sync_ledger")
    begun = ledger.filter((ledger.sync == name) & (ledger.status == "pending") & (ledger.operation != "remove"))
    begun = begun.select(begun_key="key", begun_payload="payload", begun_hash="row_hash")
    due = rows.filter(rows.operation.isin(SENT))
    both = due.inner_join(begun, due.key == begun.begun_key)
    other = (both.row_hash.isnull() | (both.row_hash != both.begun_hash)) & both.begun_payload.notnull()
    both = both.filter(other).mutate(payload=both.begun_payload)
    places = {column_of(place): field for place, field in enumerate(fields)}
    values = {column: read_back(engine, both.payload, field, both[column].type()) for column, field in places.items()}
    found = engine.keep(both.mutate(**values).select(*rows.columns))
    return found if engine.polars(found.limit(1).select("key")).height else None


def take_out(
    engine: Engine,
    sender: Sender,
    stale: ir.Table,
    fields: list[str],
    key: str,
    batch_id: str,
    wanted: pl.Series | None,
) -> None:
    """`wanted` is that of a Batch.

    Raises DestinationError when it cannot be done now; the ledger then says of these rows what it said before.
    """
    import polars as pl

    frame = engine.polars(stale.order_by("n"))
    size = sender.limits.rows(sender.destination)
    for start in range(0, frame.height, size):
        part = frame.slice(start, size)
        columns = [pl.col(column_of(place)).alias(field) for place, field in enumerate(fields)]
        outcome = sender.remove(
            Batch(
                rows=part.select(columns),
                key=key,
                payload=part["payload"],
                id=f"{batch_id}:{start}:superseded",
                wanted=wanted,
            )
        )
        if outcome.stop is not None:
            raise outcome.stop
        if outcome.later:
            raise Unavailable(next(iter(outcome.later.values())), where=sender.where)
