"""The plan of a sync: what would be sent, counted and sampled, before anything is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cdp_core.destinations import ledger as ledgers
from cdp_core.destinations import once
from cdp_core.destinations.base import ReplacesWhole, SupportsPlace, SupportsPresence
from cdp_core.destinations.diff import DISMISSED, SENT, WITHHELD, Terms, diff, with_hash
from cdp_core.destinations.gate import Gate
from cdp_core.destinations.mapping import column_of, field_types, mapped, payload, read_back
from cdp_core.destinations.open import delivery_for
from cdp_core.destinations.settled import unsettled
from cdp_core.destinations.spec import SyncSpec

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.destinations.base import Destination
    from cdp_core.engine import Engine

SAMPLES = 5
BRAKE_SHARE = 0.5
BRAKE_ROWS = 20
_SHOWN = ("add", "change", "remove", "invalid", "withheld")


@dataclass(frozen=True, kw_only=True)
class SyncPlan:
    """What a run of the sync would do. Equal content gives an equal `plan_id`.

    `samples` maps add, change, remove, invalid and withheld to a few rows, each {field: value}; a changed row also has
    "before" (the fields as they were delivered, where they differ), an invalid or withheld one "reason".
    `note` says why much is sent again (the destination has lost it, the mapping is another); `brake` why removals
    need confirmation. `rows` is a scratch table: key, profile_id, operation, row_hash, payload, attempts, n (order of
    sending) and one typed column per field.
    """

    plan_id: str
    sync: str
    add: int = 0
    change: int = 0
    remove: int = 0
    unchanged: int = 0
    invalid: int = 0
    withheld: int = 0
    samples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    note: str | None = None
    brake: str | None = None
    rewrite: bool = False
    lapsed: int = 0
    untold: int = 0
    fields: dict[str, str] = field(default_factory=dict)
    rows: ir.Table = field(repr=False)
    ledger_state: str = field(default="", repr=False)

    @property
    def due(self) -> int:
        """Rows that a run would send or remove."""
        return self.add + self.change + self.remove

    @property
    def counts(self) -> dict[str, int]:
        """Rows by what becomes of them."""
        return {name: getattr(self, name) for name in ("add", "change", "remove", "unchanged")}

    def to_dict(self) -> dict[str, Any]:
        """What `cdp sync plan --output json` prints."""
        names = ("plan_id", "sync", "add", "change", "remove", "unchanged", "invalid", "withheld", "samples")
        return {name: getattr(self, name) for name in (*names, "note", "brake")}


def plan_sync(
    engine: Engine,
    name: str,
    sync: SyncSpec,
    *,
    model: ir.Table,
    ledger: ir.Table,
    destination: Destination,
    completed: once.Completed | None = None,
    gate: Gate | None = None,
    last_mapping: str | None = None,
) -> SyncPlan:
    """Compare `model` with what the ledger says was delivered, by key, over the mapped fields. Nothing is sent.

    `completed` adds to rows of the model what only those that are sent need, or changes it; `gate` says who may not be
    sent; `last_mapping` is the mapping of the last run, as `sync_runs` has it.
    Raises SpecError for a mapping that does not fit the model, DestinationError when the destination must be asked
    whether its rows are still there and cannot be reached.
    """
    completed = completed or (lambda rows: rows)
    own = ledger.filter(ledger.sync == name)
    before = ledgers.summary(engine, own)
    fields = field_types(sync, mapped(engine, name, sync, completed(model)))
    terms = _terms(name, sync, destination, fields, before)
    gate = Gate() if terms.removing or gate is None else gate
    old, keys, total = own, None, None
    if terms.once:
        rows = once.unsent(engine, name, sync, model, once.done_before(own, terms), completed)
        old = once.open_before(engine, own, terms)
    elif terms.compares and before.delivered:
        narrow = unsettled(engine, name, sync, completed(model), own, terms, gate)
        rows, keys, total = narrow.rows, narrow.keys, narrow.total
    else:
        rows = completed(model)
    current = with_hash(engine, mapped(engine, name, sync, rows), terms)
    kept = _kept(engine, diff(gate.judged(current), old, terms, keys), terms)
    counts = _counts(engine, kept)
    back = [o for o in ("hold", "remove") if counts.get(o) and (o == "hold" or _needs_rows(destination, terms))]
    if back:
        kept = _restored(engine, kept, list(fields), back)
    if terms.once:
        counts["unchanged"] = once.size(engine, model) - once.size(engine, current)
    elif not terms.whole:
        total = once.size(engine, current) if total is None else total
        looked_at = ("add", "change", "recalled", "invalid", "withheld")
        counts["unchanged"] = total - sum(counts.get(operation, 0) for operation in looked_at)
    if terms.once and terms.whole:
        kept, counts = _with_sent_before(engine, kept, counts, own, terms, current, list(fields))
    shown = {name: counts.get(name, 0) for name in ("add", "change", "remove", "unchanged", "invalid", "withheld")}
    return SyncPlan(
        plan_id=_plan_id(engine, name, sync, kept, terms),
        sync=name,
        **shown,
        samples=_samples(engine, kept),
        note=_note(before, terms, shown["change"], _mapping_changes(sync, last_mapping)),
        brake=None if terms.removing else _brake(shown, before.delivered),
        rewrite=terms.whole and terms.lost,
        lapsed=counts.get("lapse", 0),
        untold=counts.get("untold", 0),
        fields=fields,
        rows=kept,
        ledger_state=before.state,
    )


def _terms(
    name: str, sync: SyncSpec, destination: Destination, fields: dict[str, str], before: ledgers.Summary
) -> Terms:
    delivery = delivery_for(name, sync, destination, fields)
    whole = isinstance(destination, ReplacesWhole) and destination.whole
    lost = False
    if isinstance(destination, SupportsPresence) and (whole or before.delivered):
        lost = not destination.present(delivery)
    return Terms(
        place=destination.place(delivery) if isinstance(destination, SupportsPlace) else "",
        mirror=sync.mode == "mirror",
        once=sync.mode == "insert",
        whole=whole,
        lost=lost,
        full=sync.mode == "full",
        removing=sync.mode == "remove",
        fields=len(fields),
        key_column=column_of(list(fields).index(sync.key)),
    )


def _with_sent_before(
    engine: Engine,
    kept: ir.Table,
    counts: dict[str, int],
    own: ir.Table,
    terms: Terms,
    current: ir.Table,
    fields: list[str],
) -> tuple[ir.Table, dict[str, int]]:
    """What is written whole gets the rows of earlier runs too, if there is anything to write."""
    moved = once.delivered(own).filter(lambda t: t.row_hash != terms.mark)
    again = once.size(engine, once.delivered(own) if terms.lost else moved)
    if not (again or terms.lost or any(counts.get(operation) for operation in SENT)):
        return kept, counts
    earlier = once.sent_before(engine, own, terms, current, fields)
    kept = _kept(engine, kept.select(*earlier.columns).union(earlier), terms)
    return kept, {**_counts(engine, kept), "unchanged": max(0, counts["unchanged"] - again)}


def _kept(engine: Engine, rows: ir.Table, terms: Terms) -> ir.Table:
    """The diff, computed once. Rows that have not changed are left out unless the destination is written whole."""
    import ibis

    rows = rows if terms.whole else rows.filter(rows.operation != "unchanged")
    last = (rows.operation == "remove").cast("int8")
    number = ibis.row_number().over(order_by=[last, rows[terms.key_column], rows.key, rows.operation])
    return engine.keep(rows.mutate(n=number))


def _restored(engine: Engine, rows: ir.Table, fields: list[str], operations: list[str]) -> ir.Table:
    """Rows that the model lacks get their fields back from what was sent last."""
    held = rows.filter(rows.operation.isin(operations))
    columns = {name: column_of(place) for place, name in enumerate(fields)}
    values = {name: read_back(engine, held.payload, name, held[column].type()) for name, column in columns.items()}
    held = held.mutate(payload=payload(engine, values), **{columns[name]: value for name, value in values.items()})
    return engine.keep(rows.filter(~rows.operation.isin(operations)).union(held))


def _needs_rows(destination: Destination, terms: Terms) -> bool:
    """Of rows in the model (mode remove) the fields are those of the model."""
    return hasattr(destination, "remove_rows") and not terms.removing


def _counts(engine: Engine, rows: ir.Table) -> dict[str, int]:
    """Rows by operation, and two parts of those: `recalled` (removed though they are in the model), `untold`."""
    import ibis

    grouped = rows.group_by("operation").aggregate(
        rows=rows.count(),
        recalled=rows.in_model.sum(where=rows.operation == "remove"),
        untold=(~rows.told & (rows.reason != DISMISSED)).sum(where=rows.operation == WITHHELD),
    )
    frame = engine.polars(grouped.mutate(recalled=ibis._.recalled.fill_null(0), untold=ibis._.untold.fill_null(0)))
    counts = dict(zip(frame["operation"].to_list(), frame["rows"].to_list(), strict=True))
    return {**counts, "recalled": int(frame["recalled"].sum()), "untold": int(frame["untold"].sum())}


def _plan_id(engine: Engine, name: str, sync: SyncSpec, rows: ir.Table, terms: Terms) -> str:
    """Over the spec and the set of (key, operation, row_hash), whatever order the engine gives them in."""
    import ibis

    sent = rows.filter(rows.operation.isin(SENT))
    content = sent.payload.hexdigest("md5") if terms.once else sent.row_hash
    text = ibis.literal("\n").join([sent.operation, content.fill_null(""), sent.key])
    digests = engine.polars(sent.select(d=text.hexdigest("md5")))["d"].sort()
    spec = json.dumps([name, sync.model_dump(mode="json"), terms.place, terms.lost], sort_keys=True)
    digest = hashlib.sha256(spec.encode())
    digest.update("".join(digests).encode())
    return digest.hexdigest()[:16]


def _samples(engine: Engine, rows: ir.Table) -> dict[str, list[dict[str, Any]]]:
    import ibis

    chosen = rows.filter(rows.operation.isin(_SHOWN)).select("operation", "payload", "old_before", "reason", "n")
    place = ibis.row_number().over(group_by=chosen.operation, order_by=chosen.n)
    frame = engine.polars(chosen.mutate(place=place).filter(lambda t: t.place < SAMPLES)).sort("n")
    samples: dict[str, list[dict[str, Any]]] = {name: [] for name in _SHOWN}
    for row in frame.iter_rows(named=True):
        samples[row["operation"]].append(_sample(row))
    return samples


def _sample(row: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(row["payload"] or "{}")
    if row["operation"] == "change":
        before = json.loads(row["old_before"] or "{}")
        shown["before"] = {k: before.get(k) for k in shown if before.get(k) != shown[k]}
    if row["reason"]:
        shown["reason"] = row["reason"]
    return shown


def _note(before: ledgers.Summary, terms: Terms, changed: int, mapping: str) -> str | None:
    if terms.lost and before.delivered:
        return "what was delivered before is not there any more: every row is written again"
    if terms.full and changed:
        return "mode full sends every row in every run, changed or not"
    if mapping and changed and not terms.once:
        return f"the mapping has changed since the last run ({mapping}): rows are sent again for that"
    return None


def mapping_text(sync: SyncSpec) -> str:
    """A mapping as `sync_runs` keeps it."""
    return json.dumps({name: spec.model_dump(mode="json") for name, spec in sync.mapping.items()})


def _mapping_changes(sync: SyncSpec, last: str | None) -> str:
    """What is another in the mapping: `new: vip; gone: city; changed: name`."""
    if not last:
        return ""
    old, now = json.loads(last), json.loads(mapping_text(sync))
    parts = {
        "new": [name for name in now if name not in old],
        "gone": [name for name in old if name not in now],
        "changed": [name for name in now if name in old and old[name] != now[name]],
    }
    return "; ".join(f"{what}: {', '.join(names)}" for what, names in parts.items() if names)


def _brake(counts: dict[str, int], delivered: int) -> str | None:
    """Why removals need confirmation: the model is empty, or more than half of a real list would go."""
    left = counts["add"] + counts["change"] + counts["unchanged"]
    if not counts["remove"]:
        return None
    if not left:
        return f"the model is empty, which would remove all {counts['remove']:,} delivered rows"
    if counts["remove"] > BRAKE_ROWS and counts["remove"] > BRAKE_SHARE * delivered:
        return f"{counts['remove']:,} of {delivered:,} delivered rows would be removed"
    return None
