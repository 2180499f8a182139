"""Erasing people at a destination, for a privacy request: one call for every kind of destination.

    rows = delivered(engine, "exports_vip", delivery, ["p17"])
    result = erase(destination, delivery, rows)

The ledger is left as it is: whoever calls this takes the rows out of it, and holds the lock of the sync (`sync.alone`)
meanwhile, since a run would write what it read before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from cdp_core.destinations.base import Batch, Delivery, SendResult, SupportsErase, SupportsEraseRows, Unavailable
from cdp_core.destinations.delivery import Sender
from cdp_core.destinations.limits import NO_LIMITS, Clock, LimitsSpec, SystemClock
from cdp_core.destinations.mapping import read_back
from cdp_core.destinations.shared import held_by_others

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine

UNSUPPORTED: Final = "unsupported"


def can_erase(destination: Any) -> bool:
    """Whether a destination, or the class of one, has a way to erase."""
    return isinstance(destination, (SupportsErase, SupportsEraseRows)) or (
        isinstance(destination, type) and (hasattr(destination, "erase") or hasattr(destination, "erase_rows"))
    )


def erase(
    destination: Any,
    delivery: Delivery,
    rows: Batch,
    *,
    limits: LimitsSpec = NO_LIMITS,
    clock: Clock | None = None,
) -> SendResult | Literal["unsupported"]:
    """Erase everything that the destination holds about `rows`, as they were delivered. Who is not there is no failure.

    Limits are kept and calls are tried again as in a run. Rows in `later` were not reached and should be asked for
    again. Raises DestinationError for what no later call will mend (a token without the right).
    """
    if not can_erase(destination):
        return UNSUPPORTED
    failed: dict[str, str] = {}
    later: dict[str, str] = {}
    sender = Sender(destination, limits, clock or SystemClock(), where=f"sync {delivery.sync}")
    size = limits.rows(destination)
    for start in range(0, rows.rows.height, size):
        outcome = sender.erase(delivery, rows.part(start, size))
        failed |= outcome.failed
        later |= outcome.later
        if outcome.stop is not None and not isinstance(outcome.stop, Unavailable):
            raise outcome.stop
    return SendResult(failed, later)


def delivered(
    engine: Engine,
    name: str,
    delivery: Delivery,
    keys: Sequence[str],
    destination: Any = None,
    held: ir.Table | None = None,
) -> Batch:
    """What the ledger of the sync `name` says was sent about these keys: rows to erase. `held` has the rows themselves
    (key, payload, before) where the ledger does not any more.

    For a `destination` that knows rows by their content, identifiers that others have too are named (`wanted`).
    """
    import ibis
    import polars as pl

    from cdp_core.destinations.files.writers import polars_type

    if held is None:
        ledger = engine.table("sync_ledger")
        held = ledger.filter((ledger.sync == name) & ledger.key.isin(list(keys)))
    own = held.mutate(text=held.before.cast("string").coalesce(held.payload))
    own = own.filter(own.text.notnull())
    kinds = {field: ibis.dtype(kind) for field, kind in delivery.fields.items()}
    values = {f"v{n}": read_back(engine, own.text, field, kind) for n, (field, kind) in enumerate(kinds.items())}
    frame = engine.polars(own.select("key", "text", **values).order_by("key"))
    rows = frame.select(
        pl.col(f"v{n}").cast(polars_type(kind)).alias(field) for n, (field, kind) in enumerate(delivery.fields.items())
    )
    payload = frame["text"].alias("payload")
    wanted = None if destination is None else held_by_others(engine, name, destination, delivery, keys, payload)
    return Batch(rows=rows, key=delivery.key, payload=payload, id="erase", wanted=wanted)
