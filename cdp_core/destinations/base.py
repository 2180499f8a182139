"""What a destination is: three methods at most, and abilities as separate protocols.

A destination class has two pydantic models, `Options` (its keys under `destinations:`) and `SyncOptions` (the keys of
`options:` of a sync that uses it), and is made as `cls(options, root)`; making one opens nothing.

It sends and reports, no more: whoever calls it tries again what is `Unavailable`, halves what is `BatchRefused`, keeps
to the limits, and writes down what became of every row. Class attributes say what the service bears, and cdp.yaml may
say less: `batch_rows` and `batch_bytes` (of payload) a call, `calls_per_second`, `concurrency` (calls at once; more
than one needs `send` to be thread-safe), `modes` (of a sync, those it has a meaning for), `final_at_finish` (nothing
counts as delivered before `finish(True)` has returned), `by_content` (rows are found by what is in them, so an older
shape of one is no longer reached by its key, and two rows that share an identifier are one: see SupportsIdentifiers),
`erase_settles` (hours until an erasure that was accepted is carried out, 24 unless told; 0: the answer says that it is
done). `known_fields` may name the fields that the service knows, with what each means: whoever makes a mapping is
offered them.

    class Webhook:
        class Options(BaseModel):
            url: str
        class SyncOptions(BaseModel):
            pass
        def __init__(self, options, root):
            self.options = options
        def prepare(self, delivery):
            self.client = httpx.Client(base_url=self.options.url)
        def send(self, batch):
            answers = self.client.post("/people", json=[json.loads(p) for p in batch.payload]).json()
            return SendResult(failed={a["id"]: a["error"] for a in answers if "error" in a})
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from cdp_core.errors import DestinationError, Retryable, Terminal
from cdp_core.redaction import redacted

if TYPE_CHECKING:
    import polars as pl

BATCH_ROWS = 10_000
CANCELLED = "the run was cancelled before it was sent"


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What a destination must know before the first batch of a sync.

    `fields` maps each mapped field to its type: string, int64, float64, boolean, decimal(p, s), date, timestamp (UTC)
    or array<string>. `options` is the destination's own `SyncOptions`. `plan_id` is equal for equal content. `mode` is
    the sync's: what a row of `send` means where the service tells creating from changing. `counts` says how many rows
    the plan adds, changes, removes and leaves unchanged (by these names: add, change, remove, unchanged).
    """

    sync: str
    key: str
    fields: dict[str, str]
    options: Any
    plan_id: str = ""
    mode: str = "mirror"
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Rows to add or change. `rows` has one typed column per mapped field (times are UTC without a zone); `key` names
    the column that identifies a row, never null and never twice. `payload` holds each row as JSON text, in the same
    order. `id` is equal when the call is tried again: usable as its idempotency key. `ids` holds one such key per row,
    in the same order: equal whenever this delivery of the row is tried again, in a later run too, and never used for
    another. `before` holds each row as the destination has it, as JSON text, null where it has none. Both are None
    where nobody keeps a ledger. `wanted` are identifiers (of SupportsIdentifiers) of other rows that stay: what they
    identify must not be taken out with these.
    """

    rows: pl.DataFrame
    key: str
    payload: pl.Series
    id: str = ""
    ids: pl.Series | None = None
    before: pl.Series | None = None
    wanted: pl.Series | None = None

    def part(self, start: int, count: int) -> Batch:
        """Some of its rows, with an id of their own."""

        def cut(series: pl.Series | None) -> pl.Series | None:
            return None if series is None else series.slice(start, count)

        return dataclasses.replace(
            self,
            rows=self.rows.slice(start, count),
            payload=self.payload.slice(start, count),
            ids=cut(self.ids),
            before=cut(self.before),
            id=f"{self.id}.{start}+{count}",
        )


@dataclass(frozen=True)
class SendResult:
    """What became of a batch: rows named in `failed` (key → reason) were refused, those in `later` (key → reason) may
    be taken when they are sent again (a lock, a limit), all others were taken.

    A reason says what is wrong and in which field, never a customer's value. `retry_after` is in seconds, when the
    other side named a time for those that are to come later.
    """

    failed: Mapping[Any, str] = field(default_factory=dict)
    later: Mapping[Any, str] = field(default_factory=dict)
    retry_after: float | None = None

    def __post_init__(self) -> None:
        """Services quote what they were sent: reasons are kept, shown and sent on without secrets."""
        for name in ("failed", "later"):
            reasons: Mapping[Any, str] = getattr(self, name)
            if reasons:
                object.__setattr__(self, name, {key: redacted(reason) for key, reason in reasons.items()})


class Unavailable(DestinationError, Retryable):
    """Not now: no connection, no answer in time, too many calls, a server's own fault. Nothing is wrong with the rows.

    `retry_after` is in seconds, when the other side named a time.

    >>> Unavailable("answered 503", where="crm", retry_after=30).retry_after
    30
    """

    def __init__(self, what: str, *, retry_after: float | None = None, **more: Any) -> None:
        super().__init__(what, **more)
        self.retry_after = retry_after


class BatchRefused(DestinationError, Terminal):
    """The whole batch was refused for what is in it, without a word on which rows: it is halved until they are found.

    `reason` is what the ledger says of a row that is refused alone: no customer's value in it.
    """

    def __init__(self, reason: str, **more: Any) -> None:
        super().__init__(reason, **more)
        self.reason = self.what


class Destination(Protocol):
    """The least a destination can do.

    Raises Unavailable, BatchRefused, or DestinationError for what no later call will mend (a wrong password, a list
    that is not there); a refused row is a result, no error. Sending the same rows again must have the effect of
    sending them once.
    """

    def prepare(self, delivery: Delivery) -> None:
        """Called once before the first batch, and only when there is something to send."""

    def send(self, batch: Batch) -> SendResult:
        """Add or change rows. An empty batch makes no call."""


@runtime_checkable
class SupportsRemove(Protocol):
    def remove(self, keys: pl.Series) -> SendResult:
        """Remove the rows with these keys, all of which this sync has delivered. A missing one is no failure."""


@runtime_checkable
class SupportsRemoveRows(Protocol):
    def remove_rows(self, batch: Batch) -> SendResult:
        """As `remove`, for a service that must be told more than a key: the rows as they were delivered."""


@runtime_checkable
class SupportsIdentifiers(Protocol):
    def identifiers(self, payload: pl.Series) -> pl.DataFrame:
        """What the service knows rows by, of rows as JSON text: `key` and `identifier`, both text, one line for each.

        Two rows with an equal identifier are the same to it. Called after `prepare`.
        """


@runtime_checkable
class SupportsCancel(Protocol):
    def cancel(self) -> None:
        """Called from another thread while `send` works: a `send` of many calls ends behind the one that is on its way,
        and gives back the rows that are left as `later`.
        """


@runtime_checkable
class SupportsFinish(Protocol):
    def finish(self, complete: bool) -> None:
        """Called at the end: `complete` is False when an error ended the delivery before its last batch. After
        Unavailable it is called again.
        """


@runtime_checkable
class ReplacesWhole(SupportsFinish, Protocol):
    """Every delivery is handed the whole set of rows that shall be there; nothing shows before `finish(True)`."""

    whole: bool

    def present(self, delivery: Delivery) -> bool:
        """Whether what was delivered last is still there."""


@runtime_checkable
class SupportsPresence(Protocol):
    def present(self, delivery: Delivery) -> bool:
        """Whether what was delivered last is still there (the file, the table). False sends every row again."""


@runtime_checkable
class SupportsPlace(Protocol):
    def place(self, delivery: Delivery) -> str:
        """Where rows go and, behind a `?`, how they are written; no secrets. When it changes, all is sent again."""


@runtime_checkable
class SupportsTest(Protocol):
    def test(self) -> str:
        """Connect, prove the rights to write, leave nothing behind; one line that says what was reached.

        Raises DestinationError.
        """


@runtime_checkable
class SupportsSyncTest(Protocol):
    def test_sync(self, delivery: Delivery) -> str:
        """As `test`, for what a sync asks of the service: its audience, its fields. Nothing changes there.

        A service that checks rows without taking them is shown an invented one. Of `fields` only the names count.
        """


@runtime_checkable
class SupportsErase(Protocol):
    def erase(self, delivery: Delivery, keys: pl.Series) -> SendResult:
        """Erase everything held about these keys, for a privacy request."""


@runtime_checkable
class SupportsEraseRows(Protocol):
    def erase_rows(self, delivery: Delivery, batch: Batch) -> SendResult:
        """As `erase`, for a service that must be told more than a key: the rows as they were delivered."""
