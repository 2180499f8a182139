"""A run of a sync: send the plan, row by row accounted for in the ledger."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cdp_core.destinations import ledger as ledgers
from cdp_core.destinations.base import BATCH_ROWS, Batch, ReplacesWhole, SendResult, SupportsFinish
from cdp_core.destinations.mapping import column_of
from cdp_core.destinations.open import delivery_for
from cdp_core.errors import ContractError, DestinationError, QualityStop, WorkspaceBusy

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.destinations.base import Destination
    from cdp_core.destinations.plan import SyncPlan
    from cdp_core.destinations.spec import SyncSpec
    from cdp_core.engine import Engine

Progress = Callable[[float | None, str], None]
SETTLE_ROWS = 200_000
REASON_LENGTH = 300


@dataclass(frozen=True, kw_only=True)
class SyncResult:
    """What a run did. `delivered` counts rows added or changed; `failed` rows are tried again by the next run.

    `reasons` counts the failed rows by reason.
    """

    sync: str
    plan_id: str
    delivered: int = 0
    failed: int = 0
    removed: int = 0
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
) -> SyncResult:
    """Send what `plan` says. `now` (UTC) is written as `sent_at`; `confirm` lifts the brake on removals.

    Rows are pending in the ledger before they are sent and delivered or failed afterwards, so a run that is killed
    leaves no doubt about what to send again. Raises QualityStop when the brake holds, WorkspaceBusy when the same sync
    is running, DestinationError when the destination cannot be reached or the plan no longer holds.
    """
    started = time.perf_counter()
    run_id = run_id or f"s{uuid.uuid4().hex[:12]}"
    if plan.brake and not confirm:
        raise QualityStop(
            f"nothing was sent: {plan.brake}",
            where=f"sync {name}",
            hint="look at the model, or run again with --confirm",
        )
    with _alone(engine, name):
        _still_holds(engine, name, plan)
        run = _Run(engine, name, sync, destination, plan, run_id=run_id, now=_utc(now), progress=progress)
        if plan.due or plan.rewrite:
            run.deliver()
        elif plan.lapsed:
            ledgers.begin(engine, name, plan.rows, run_id=run_id, now=_utc(now))
    return run.result(round(time.perf_counter() - started, 3))


class _Run:
    """The state of one delivery: how far it is and which rows were refused."""

    def __init__(
        self,
        engine: Engine,
        name: str,
        sync: SyncSpec,
        destination: Destination,
        plan: SyncPlan,
        *,
        run_id: str,
        now: datetime,
        progress: Progress | None,
    ) -> None:
        self.engine, self.name, self.sync, self.destination, self.plan = engine, name, sync, destination, plan
        self.run_id, self.now, self.progress = run_id, now, progress
        self.whole = isinstance(destination, ReplacesWhole) and destination.whole
        passing = ["add", "change", "unchanged", "hold"] if self.whole else ["add", "change", "remove"]
        self.rows = plan.rows.filter(plan.rows.operation.isin(passing))
        self.sent = self.removed = 0
        self.failed: dict[str, str] = {}
        self.failed_sends = 0

    def deliver(self) -> None:
        ledgers.begin(self.engine, self.name, self.plan.rows, run_id=self.run_id, now=self.now)
        delivery = delivery_for(self.name, self.sync, self.destination, self.plan.fields, self.plan.plan_id)
        try:
            self.destination.prepare(delivery)
            self._batches()
        except BaseException:
            self._finish(complete=False)
            raise
        self._finish(complete=True)
        if self.whole:
            self._settle(None, None)
            self.removed = self.plan.remove

    def _batches(self) -> None:
        size = getattr(self.destination, "batch_rows", BATCH_ROWS)
        settled = 0
        reached = 0
        try:
            for start, frame in self._frames(size):
                self._send(frame, f"{self.plan.plan_id}:{start}")
                reached = start + size
                if not self.whole and reached - settled >= SETTLE_ROWS:
                    self._settle(settled, reached)
                    settled = reached
        finally:
            if not self.whole and reached > settled:
                self._settle(settled, reached)

    def _frames(self, size: int) -> Iterator[tuple[int, pl.DataFrame]]:
        total = int(self.engine.polars(self.plan.rows.aggregate(n=self.plan.rows.n.max()))["n"][0] or 0) + 1
        for start in range(0, total, size):
            part = self.rows.filter(self.rows.n.between(start, start + size - 1)).order_by("n")
            yield start, self.engine.polars(part)
            if self.progress:
                done = min(start + size, total)
                self.progress(done / total, f"{done:,} of {total:,} rows")

    def _send(self, frame: pl.DataFrame, batch_id: str) -> None:
        import polars as pl

        names = {column_of(i): name for i, name in enumerate(self.plan.fields)}
        out = frame.filter(pl.col("operation") != "remove")
        if out.height:
            rows = out.select(pl.col(column).alias(name) for column, name in names.items())
            batch = Batch(rows=rows, key=self.sync.key, payload=out["payload"], id=batch_id)
            refused = self._note_failures(self.destination.send(batch), out["key"])
            self.failed_sends += refused
            moved = int(out["operation"].is_in(["add", "change"]).sum())
            self.sent += moved - refused
        gone = frame.filter(pl.col("operation") == "remove")
        if gone.height:
            key = next(column for column, name in names.items() if name == self.sync.key)
            remove: Any = getattr(self.destination, "remove", None)
            if remove is None:
                raise DestinationError(
                    "the destination cannot remove rows", where=f"sync {self.name}", hint="use mode: upsert"
                )
            self.removed += gone.height - self._note_failures(remove(gone[key]), gone["key"])

    def _note_failures(self, result: SendResult, keys: pl.Series) -> int:
        named = {str(key): " ".join(reason.split())[:REASON_LENGTH] for key, reason in result.failed.items()}
        if unknown := set(named) - set(keys.to_list()):
            raise ContractError(
                f"the destination refused {len(unknown)} rows that were not in the batch", where=f"sync {self.name}"
            )
        self.failed.update(named)
        return len(named)

    def _settle(self, start: int | None, end: int | None) -> None:
        rows = self.plan.rows
        if start is not None:
            rows = rows.filter((rows.n >= start) & (rows.n < end))
        ledgers.settle(self.engine, self.name, rows, self.failed, run_id=self.run_id, now=self.now)

    def _finish(self, *, complete: bool) -> None:
        if isinstance(self.destination, SupportsFinish):
            self.destination.finish(complete)

    def result(self, seconds: float) -> SyncResult:
        return SyncResult(
            sync=self.name,
            plan_id=self.plan.plan_id,
            delivered=self.sent,
            failed=len(self.failed),
            removed=self.removed,
            unchanged=self.plan.unchanged,
            invalid=self.plan.invalid,
            withheld=self.plan.withheld,
            seconds=seconds,
            reasons=_by_reason(self.failed),
            note=self.plan.note,
        )


@contextmanager
def _alone(engine: Engine, name: str) -> Iterator[None]:
    """One run per sync. The system frees the lock when its process dies."""
    import hashlib

    from filelock import FileLock, Timeout

    folder = engine.folder / "syncs"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.lock", timeout=0)
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


def _by_reason(failed: Mapping[str, str]) -> dict[str, int]:
    from collections import Counter

    return dict(Counter(failed.values()).most_common(20))


def _utc(now: datetime) -> datetime:
    return now if now.tzinfo is None else now.astimezone(UTC).replace(tzinfo=None)
