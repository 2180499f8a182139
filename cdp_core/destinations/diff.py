"""The diff of a model against what was delivered before, as Ibis expressions.

What counts as there at the destination: every ledger row, except removals that were delivered and additions that were
refused. A pending row may be there or not (its run was killed), so it is sent again, or removed.
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
_LEDGER = ("profile_id", "row_hash", "payload", "status", "operation", "attempts")


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What the diff depends on besides the tables. `lost`: nothing of what was delivered is there any more; `once`:
    what was sent to a place is not compared with what it would be now.
    """

    place: str
    mirror: bool
    once: bool
    whole: bool
    lost: bool
    fields: int
    key_column: str

    @property
    def mark(self) -> str:
        """The row_hash of all rows of mode insert: where they were sent, whatever is in them."""
        return hashlib.md5(self.place.encode(), usedforsecurity=False).hexdigest()


def with_hash(engine: Engine, rows: ir.Table, terms: Terms) -> ir.Table:
    """The mapped model, computed once, with row_hash and why a row cannot be sent (`reason`)."""
    import ibis

    hashed = (ibis.literal(terms.place + "\n") + rows.payload).hexdigest("md5")
    kept = engine.keep(rows.mutate(row_hash=ibis.literal(terms.mark) if terms.once else hashed))
    counted = kept.filter(kept.key.notnull()).group_by("key").aggregate(copies=lambda t: t.count())
    twice = counted.filter(counted.copies > 1)
    joined = kept.left_join(twice, kept.key == twice.key).drop("key_right")
    missing = joined.key.isnull() | (joined.key == "")
    reason = ibis.cases((missing, NULL_KEY), (joined.copies.notnull(), DUPLICATE_KEY), else_=ibis.null("string"))
    return joined.mutate(reason=reason).drop("copies")


def diff(model: ir.Table, ledger: ir.Table, terms: Terms) -> ir.Table:
    """One row per key with its operation: add, change, remove, unchanged, invalid or withheld.

    Two more are bookkeeping: `hold` (delivered, not in the model, stays: only for destinations written whole) and
    `lapse` (never taken by the destination and gone from the model).
    """
    import ibis

    old = ledger.select(key="key", **{f"old_{c}": c for c in _LEDGER})
    joined = model.left_join(old, model.key == old.key).drop("key_right")
    current = joined.mutate(operation=_operation(joined, terms), attempts=_attempts(joined))
    changed, withheld = current.operation == "change", current.operation == "withheld"
    current = current.mutate(
        old_payload=changed.ifelse(current.old_payload, ibis.null("string")),
        reason=withheld.ifelse(DISMISSED, current.reason),
    )
    gone = _gone(model, old, terms)
    columns = columns_of(terms)
    return current.select(*columns).union(gone.select(*columns))


def columns_of(terms: Terms) -> list[str]:
    fixed = ["key", "profile_id", "operation", "row_hash", "payload", "reason", "attempts", "old_payload"]
    return [*fixed, *(column_of(i) for i in range(terms.fields))]


def _operation(rows: ir.Table, terms: Terms) -> ir.StringValue:
    import ibis

    never = rows.old_status.isnull() | ((rows.old_operation == "remove") & (rows.old_status == "delivered"))
    same = (rows.old_row_hash == rows.row_hash).fill_null(False)
    done = (rows.old_status == "delivered") & (rows.old_operation != "remove")
    cases: list[tuple[Any, str]] = [
        (rows.reason.notnull(), "invalid"),
        ((rows.old_status == "dead") & same, "withheld"),
    ]
    if not terms.lost:
        cases.append((done & same, "unchanged"))
        cases.append((~(never | ((rows.old_operation == "add") & (rows.old_status != "delivered"))), "change"))
    return ibis.cases(*cases, else_="add")


def _attempts(rows: ir.Table) -> ir.IntegerValue:
    import ibis

    open_before = rows.old_status.isin(["pending", "failed"]).fill_null(False)
    return open_before.ifelse(rows.old_attempts, ibis.literal(0, "int64")) + 1


def _gone(model: ir.Table, old: ir.Table, terms: Terms) -> ir.Table:
    """Ledger rows that no valid row of the model stands for. A key that became invalid is still there: it stays."""
    import ibis

    valid = model.filter(model.reason.isnull()).select("key")
    doubled = model.filter(model.reason == DUPLICATE_KEY).select(twin="key").distinct()
    rows = old.anti_join(valid, "key").rename(profile_id="old_profile_id")
    rows = rows.left_join(doubled, rows.key == doubled.twin)
    taken = (rows.old_operation != "add") | rows.old_status.isin(["delivered", "pending"])
    removed = (rows.old_operation == "remove") & (rows.old_status == "delivered")
    closed = (rows.old_status == "dead") & ~taken
    rows = rows.filter(~(removed | closed | (~taken & rows.twin.notnull())))
    stays = "remove" if terms.mirror else "hold"
    empty = {column_of(i): ibis.null(model[column_of(i)].type()) for i in range(terms.fields)}
    key = {terms.key_column: rows.key.cast(model[terms.key_column].type())}
    rows = rows.mutate(
        operation=ibis.cases((~taken, "lapse"), (rows.twin.notnull(), "hold"), else_=stays),
        row_hash=ibis.null("string"),
        payload=rows.old_payload,
        reason=ibis.null("string"),
        attempts=_attempts(rows),
        **{**empty, **key},
    )
    return rows if terms.whole else rows.filter(rows.operation != "hold")
