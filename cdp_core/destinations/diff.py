"""The diff of a model against what was delivered before, as Ibis expressions.

What counts as there at the destination: every ledger row, except removals that were delivered and additions that were
refused or withheld. A pending row may be there or not (its run was killed), so it is sent again, or removed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cdp_core.destinations.mapping import column_of

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine

SENT = ("add", "change", "remove")
NULL_KEY = "the key is missing"
DUPLICATE_KEY = "the key occurs in more than one row of the model"
DISMISSED = "was refused before with the same content and dismissed"
WITHHELD = "withheld"
_LEDGER = (
    "profile_id", "row_hash", "payload", "status", "operation", "attempts", "error", "delivery_id", "before",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What the diff depends on besides the tables. `lost`: nothing of what was delivered is there any more; `once`:
    what was sent to a place is not compared with what it would be now; `full`: all is sent again; `removing`: what is
    in the model shall not be at the destination.
    """

    place: str
    mirror: bool
    once: bool
    whole: bool
    lost: bool
    full: bool = False
    removing: bool = False
    fields: int
    key_column: str

    @property
    def compares(self) -> bool:
        """Whether a row that is there as it is now needs no second look."""
        return not (self.once or self.whole or self.lost or self.full or self.removing)

    @property
    def mark(self) -> str:
        """The row_hash of all rows of mode insert: where they were sent, whatever is in them."""
        return hashlib.md5(self.place.encode(), usedforsecurity=False).hexdigest()


def hashed(rows: ir.Table, terms: Terms) -> ir.Table:
    """The mapped model with row_hash."""
    import ibis

    content = (ibis.literal(terms.place + "\n") + rows.payload).hexdigest("md5")
    return rows.mutate(row_hash=ibis.literal(terms.mark) if terms.once else content)


def with_hash(engine: Engine, rows: ir.Table, terms: Terms) -> ir.Table:
    """The mapped model, computed once, with row_hash and why a row cannot be sent (`reason`)."""
    import ibis

    kept = engine.keep(hashed(rows, terms))
    counted = kept.filter(kept.key.notnull()).group_by("key").aggregate(copies=lambda t: t.count())
    twice = counted.filter(counted.copies > 1)
    joined = kept.left_join(twice, kept.key == twice.key).drop("key_right")
    missing = joined.key.isnull() | (joined.key == "")
    reason = ibis.cases((missing, NULL_KEY), (joined.copies.notnull(), DUPLICATE_KEY), else_=ibis.null("string"))
    return joined.mutate(reason=reason).drop("copies")


def diff(model: ir.Table, ledger: ir.Table, terms: Terms, keys: ir.Table | None = None) -> ir.Table:
    """One row per key with its operation: add, change, remove, unchanged, invalid or withheld.

    Two more are bookkeeping: `hold` (delivered, not in the model, stays: only for destinations written whole) and
    `lapse` (never taken by the destination and gone from the model). `barred` of the model says why a row may not be
    sent: such a row is removed where the sync may do that, and withheld elsewhere. `keys` are those of all valid rows,
    where `model` is only a part of them.
    """
    import ibis

    old = ledger.select(key="key", **{f"old_{c}": c for c in _LEDGER})
    old = old.mutate(old_before=_before(old))
    joined = model.left_join(old, model.key == old.key).drop("key_right")
    current = joined.mutate(operation=_operation(joined, terms), attempts=_attempts(joined))
    withheld = current.operation == WITHHELD
    recalled = (current.operation == "remove") & current.barred.notnull()
    nothing = ibis.null("string")
    current = current.mutate(
        reason=ibis.cases(
            (current.reason.notnull(), current.reason),
            (withheld & current.barred.isnull(), ibis.literal(DISMISSED)),
            else_=current.barred,
        ),
        payload=recalled.ifelse(current.old_before.coalesce(current.old_payload), current.payload),
        row_hash=recalled.ifelse(nothing, current.row_hash),
        delivery_id=_delivery(current),
        told=_told(current),
        in_model=True,
    )
    gone = _gone(model, old, terms, keys)
    columns = columns_of(terms)
    return current.select(*columns).union(gone.select(*columns))


def columns_of(terms: Terms) -> list[str]:
    fixed = [
        "key", "profile_id", "operation", "row_hash", "payload", "reason", "attempts", "old_before", "delivery_id",
        "told", "in_model",
    ]  # fmt: skip
    return [*fixed, *(column_of(i) for i in range(terms.fields))]


def _before(old: ir.Table) -> ir.StringValue:
    """What the destination has. Ledgers from before this was written down know it of delivered rows only."""
    import ibis

    there = (old.old_status == "delivered") & (old.old_operation != "remove")
    return there.ifelse(old.old_payload, old.old_before.cast("string")).fill_null(ibis.null("string"))


def _delivery(rows: ir.Table) -> ir.StringValue:
    """The idempotency key of a delivery that was begun and not known to have ended, if this is the same one."""
    import ibis

    begun = rows.old_status.isin(["pending", "failed"])
    same = (rows.operation == "remove") & (rows.old_operation == "remove") | (
        (rows.operation != "remove") & (rows.old_operation != "remove") & (rows.old_row_hash == rows.row_hash)
    )
    return (begun & same).fill_null(False).ifelse(rows.old_delivery_id, ibis.null("string"))


def _told(rows: ir.Table) -> ir.BooleanValue:
    """Whether the ledger says already that the row is withheld, and why."""
    return ((rows.old_status == WITHHELD) & (rows.old_error == rows.barred)).fill_null(False)


def _operation(rows: ir.Table, terms: Terms) -> ir.StringValue:
    import ibis

    removed = ((rows.old_operation == "remove") & (rows.old_status == "delivered")).fill_null(False)
    same = (rows.old_row_hash == rows.row_hash).fill_null(False)
    dismissed = (rows.old_status == "dead") & same
    if terms.once:
        # There the hash says where a row was sent to; whether it is another by now, its content says.
        dismissed &= (rows.old_payload == rows.payload).fill_null(False)
    if terms.removing:
        return ibis.cases(
            (rows.reason.notnull(), "invalid"), (dismissed, WITHHELD), (removed, "unchanged"), else_="remove"
        )
    refused = (rows.old_operation == "add") & ~rows.old_status.isin(["delivered", "pending"])
    there = ~(rows.old_status.isnull() | removed | refused)
    done = (rows.old_status == "delivered") & (rows.old_operation != "remove") & same
    barred = rows.barred.notnull()
    cases: list[tuple[Any, str]] = [(rows.reason.notnull(), "invalid")]
    if terms.mirror or terms.whole:
        cases.append((barred & there, "remove"))
    cases += [(barred, WITHHELD), (dismissed, WITHHELD)]
    if not terms.lost:
        cases += [] if terms.full else [(done, "unchanged")]
        cases.append((there & ((rows.old_operation != "add") | (rows.old_status == "delivered")), "change"))
    return ibis.cases(*cases, else_="add")


def _attempts(rows: ir.Table) -> ir.IntegerValue:
    import ibis

    open_before = rows.old_status.isin(["pending", "failed"]).fill_null(False)
    return open_before.ifelse(rows.old_attempts, ibis.literal(0, "int64")) + 1


def _gone(model: ir.Table, old: ir.Table, terms: Terms, keys: ir.Table | None) -> ir.Table:
    """Ledger rows that no valid row of the model stands for. A key that became invalid is still there: it stays."""
    import ibis

    valid = model.filter(model.reason.isnull()).select("key") if keys is None else keys
    doubled = model.filter(model.reason == DUPLICATE_KEY).select(twin="key").distinct()
    rows = old.anti_join(valid, "key").rename(profile_id="old_profile_id")
    rows = rows.left_join(doubled, rows.key == doubled.twin)
    taken = (rows.old_operation != "add") | rows.old_status.isin(["delivered", "pending"])
    removed = (rows.old_operation == "remove") & (rows.old_status == "delivered")
    closed = (rows.old_status == "dead") & ~taken
    stays = "remove" if terms.mirror else "hold"
    if terms.removing:
        # Who comes back is removed again.
        rows, taken, stays = rows.filter(rows.old_status != "dead"), taken & False, "lapse"
    else:
        rows = rows.filter(~(removed | closed | (~taken & rows.twin.notnull())))
    empty = {column_of(i): ibis.null(model[column_of(i)].type()) for i in range(terms.fields)}
    key = {terms.key_column: rows.key.cast(model[terms.key_column].type())}
    rows = rows.mutate(
        operation=ibis.cases((~taken, "lapse"), (rows.twin.notnull(), "hold"), else_=stays),
        row_hash=ibis.null("string"),
        payload=rows.old_before.coalesce(rows.old_payload),
        reason=ibis.null("string"),
        attempts=_attempts(rows),
        told=False,
        in_model=False,
        **{**empty, **key},
    )
    rows = rows.mutate(delivery_id=_delivery(rows))
    return rows if terms.whole else rows.filter(rows.operation != "hold")
