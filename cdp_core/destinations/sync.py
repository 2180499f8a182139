"""A run of a sync: send the plan, row by row accounted for in the ledger."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cdp_core import ids
from cdp_core.destinations import history
from cdp_core.destinations import ledger as ledgers
from cdp_core.destinations.base import Batch, ReplacesWhole, SupportsFinish
from cdp_core.destinations.delivery import Outcome, Sender
from cdp_core.destinations.diff import SENT
from cdp_core.destinations.limits import NO_LIMITS, Clock, LimitsSpec, SystemClock
from cdp_core.destinations.mapping import column_of
from cdp_core.destinations.open import delivery_for
from cdp_core.destinations.shared import still_wanted
from cdp_core.destinations.superseded import superseded, take_out
from cdp_core.destinations.window import in_order
from cdp_core.errors import DestinationError, QualityStop, WorkspaceBusy
from cdp_core.modes import FILE, private_folder

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.destinations.base import Destination
    from cdp_core.destinations.plan import SyncPlan
    from cdp_core.destinations.spec import SyncSpec
    from cdp_core.engine import Engine

Progress = Callable[[float | None, str], None]
SETTLE_ROWS = 200_000
FETCH_ROWS = 50_000


@dataclass(frozen=True, kw_only=True)
class SyncResult:
    """What a run did. `delivered` counts rows added or changed; `failed` rows are tried again by the next run.

    `pending` rows are those that a later run has to send. `reasons` counts the failed rows by reason.
    """

    sync: str
    plan_id: str
    delivered: int = 0
    failed: int = 0
    removed: int = 0
    pending: int = 0
    unchanged: int = 0
    invalid: int = 0
    withheld: int = 0
    seconds: float = 0.0
    reasons: dict[str, int] = field(default_factory=dict)
    note: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """What `cdp sync run --output json` prints."""
        return asdict(self)


def run_sync(
    engine: Engine,
    name: str,
    sync: SyncSpec,
    destination: Destination,
    plan: SyncPlan,
    *,
    run_id: str,
    now: datetime,
    confirm: bool = False,
    progress: Progress | None = None,
    limits: LimitsSpec | None = None,
    clock: Clock | None = None,
) -> SyncResult:
    """Send what `plan` says. `now` (UTC) is written as `sent_at`; `confirm` lifts the brake on removals.

    Rows are pending in the ledger before they are sent and delivered or failed afterwards, so a run that is killed
    leaves no doubt about what to send again. Raises QualityStop when the brake holds, WorkspaceBusy when the same sync
    is running, DestinationError when the destination cannot be reached or the plan no longer holds; what was delivered
    until then is in the ledger.
    """
    started = time.perf_counter()
    run_id = run_id or ids.run_id(datetime.now(UTC))
    if plan.brake and not confirm:
        raise QualityStop(
            f"nothing was sent: {plan.brake}",
            where=f"sync {name}",
            hint="look at the model, or run again with --confirm",
        )
    with alone(engine, name):
        _still_holds(engine, name, plan)
        sender = Sender(destination, limits or NO_LIMITS, clock or SystemClock(), where=f"sync {name}")
        run = _Run(engine, name, sync, sender, plan, run_id=run_id, now=_utc(now), progress=progress)
        with history.recorded(engine, sync, plan, run_id=run_id, now=_utc(now), result=lambda: run.result(0.0)):
            if plan.due or plan.rewrite:
                run.deliver()
            elif plan.lapsed or plan.untold:
                ledgers.begin(engine, name, run.all_rows, run_id=run_id, now=_utc(now))
    return run.result(round(time.perf_counter() - started, 3))


class _Run:
    """The state of one delivery: how far it is and which rows were refused."""

    def __init__(
        self,
        engine: Engine,
        name: str,
        sync: SyncSpec,
        sender: Sender,
        plan: SyncPlan,
        *,
        run_id: str,
        now: datetime,
        progress: Progress | None,
    ) -> None:
        self.engine, self.name, self.sync, self.sender, self.plan = engine, name, sync, sender, plan
        self.run_id, self.now, self.progress = run_id, now, progress
        self.destination = sender.destination
        self.whole = isinstance(self.destination, ReplacesWhole) and self.destination.whole
        self.at_end = self.whole or bool(getattr(self.destination, "final_at_finish", False))
        passing = ["add", "change", "unchanged", "hold"] if self.whole else ["add", "change", "remove"]
        self.all_rows = with_delivery_ids(plan.rows, name, run_id)
        self.rows = self.all_rows.filter(self.all_rows.operation.isin(passing))
        self.wanted: pl.Series | None = None
        self.sent = self.removed = self.refused = 0
        self.failed: dict[str, str] = {}
        self.later: dict[str, str] = {}
        self.reasons: Counter[str] = Counter()

    def deliver(self) -> None:
        stale = superseded(self.engine, self.name, self.destination, self.rows, list(self.plan.fields))
        known = self.all_rows if stale is None else self.all_rows.anti_join(stale.select("key"), "key")
        ledgers.begin(self.engine, self.name, known, run_id=self.run_id, now=self.now)
        delivery = delivery_for(self.name, self.sync, self.destination, self.plan.fields, self.plan.plan_id)
        delivery = dataclasses.replace(delivery, counts=self.plan.counts)
        try:
            self.sender.once_more(lambda: self.destination.prepare(delivery))
            self.wanted = still_wanted(self.engine, self.name, self.destination, self.rows, stale)
            if stale is not None:
                fields = list(self.plan.fields)
                take_out(self.engine, self.sender, stale, fields, self.sync.key, self.plan.plan_id, self.wanted)
                rest = self.all_rows.semi_join(stale.select("key"), "key")
                ledgers.begin(self.engine, self.name, rest, run_id=self.run_id, now=self.now)
            self._batches()
            self._finish(complete=True)
        except BaseException:
            if self.at_end:
                self.sent = self.removed = 0
            self._finish(complete=False)
            raise
        if self.at_end:
            self._settle(None, None)
        if self.whole:
            self.removed = self.plan.remove

    def _batches(self) -> None:
        """Batches go out in order, several at once where the destination bears it, and are settled in order."""
        settled = reached = 0
        try:
            with in_order(self.sender.limits.at_once(self.destination), self.sender) as window:
                for end, outcome in window.results(self._frames(), self._send):
                    reached = end
                    self._count(outcome)
                    if not self.at_end and reached - settled >= SETTLE_ROWS:
                        self._settle(settled, reached)
                        settled = reached
        finally:
            if not self.at_end and reached > settled:
                self._settle(settled, reached)

    def _frames(self) -> Iterator[tuple[int, pl.DataFrame]]:
        """(n behind the last row, rows) of every batch. Removals never share a batch with other rows."""
        size = self.sender.limits.rows(self.destination)
        total = int(self.engine.polars(self.plan.rows.aggregate(n=self.plan.rows.n.max()))["n"][0] or 0) + 1
        step = max(size, FETCH_ROWS // size * size)
        for start in range(0, total, step):
            part = self.rows.filter(self.rows.n.between(start, start + step - 1)).order_by("n")
            frame = self.engine.polars(part)
            for at in range(start, min(start + step, total), size):
                end = min(at + size, total)
                yield end, frame.filter(frame["n"].is_between(at, end - 1))
                if self.progress:
                    self.progress(end / total, f"{end:,} of {total:,} rows")

    def _send(self, end: int, frame: pl.DataFrame) -> list[tuple[str, pl.DataFrame, Outcome]]:
        done = []
        for what, rows in (("send", frame.filter(frame["operation"] != "remove")),
                           ("remove", frame.filter(frame["operation"] == "remove"))):  # fmt: skip
            if rows.height:
                outcome = getattr(self.sender, what)(self._batch(rows, f"{self.plan.plan_id}:{end}:{what}"))
                done.append((what, rows, outcome))
        return done

    def _batch(self, frame: pl.DataFrame, batch_id: str) -> Batch:
        import polars as pl

        names = {column_of(i): name for i, name in enumerate(self.plan.fields)}
        return Batch(
            rows=frame.select(pl.col(column).alias(name) for column, name in names.items()),
            key=self.sync.key,
            payload=frame["payload"],
            id=batch_id,
            ids=frame["delivery_id"],
            before=frame["old_before"],
            wanted=self.wanted,
        )

    def _count(self, outcomes: list[tuple[str, pl.DataFrame, Outcome]]) -> None:
        stop = None
        for what, frame, outcome in outcomes:
            self.failed.update(outcome.failed)
            self.later.update(outcome.later)
            self.reasons.update(outcome.failed.values())
            self.refused += len(outcome.failed)
            moved = int(frame["operation"].is_in(SENT).sum()) - len(outcome.failed) - len(outcome.later)
            if what == "remove":
                self.removed += moved
            else:
                self.sent += moved
            stop = stop or outcome.stop
        if stop is not None:
            raise stop

    def _settle(self, start: int | None, end: int | None) -> None:
        rows = self.all_rows
        if start is not None:
            rows = rows.filter((rows.n >= start) & (rows.n < end))
        ledgers.settle(self.engine, self.name, rows, self.failed, self.later, run_id=self.run_id, now=self.now)
        self.failed, self.later = {}, {}

    def _finish(self, *, complete: bool) -> None:
        if not isinstance(self.destination, SupportsFinish):
            return
        finish = self.destination.finish
        if complete:
            self.sender.once_more(lambda: finish(True))
        else:
            finish(False)

    def result(self, seconds: float) -> SyncResult:
        return SyncResult(
            sync=self.name,
            plan_id=self.plan.plan_id,
            delivered=self.sent,
            failed=self.refused,
            removed=self.removed,
            pending=self.plan.due - self.sent - self.refused - self.removed,
            unchanged=self.plan.unchanged,
            invalid=self.plan.invalid,
            withheld=self.plan.withheld,
            seconds=seconds,
            reasons=dict(self.reasons.most_common(20)),
            note=self.plan.note,
        )


def with_delivery_ids(rows: ir.Table, name: str, run_id: str) -> ir.Table:
    """A plan's rows, those that begin a delivery with an idempotency key of their own."""
    import ibis

    new = (ibis.literal(f"{run_id}/{name}/") + rows.key).hexdigest("md5")
    return rows.mutate(delivery_id=rows.delivery_id.coalesce(new))


@contextmanager
def alone(engine: Engine, name: str) -> Iterator[None]:
    """One run per sync. The system frees the lock when its process dies."""
    import hashlib

    from filelock import FileLock, Timeout

    folder = private_folder(engine.folder / "syncs")
    lock = FileLock(folder / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.lock", timeout=0, mode=FILE)
    try:
        lock.acquire()
    except Timeout:
        raise WorkspaceBusy(
            "this sync is running already", where=f"sync {name}", hint="run again when it is done"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _still_holds(engine: Engine, name: str, plan: SyncPlan) -> None:
    ledger = engine.table("sync_ledger")
    if ledgers.summary(engine, ledger.filter(ledger.sync == name)).state != plan.ledger_state:
        raise DestinationError(
            "another run has sent rows since the plan was made", where=f"sync {name}", hint="plan again"
        )


def _utc(now: datetime) -> datetime:
    return now if now.tzinfo is None else now.astimezone(UTC).replace(tzinfo=None)
