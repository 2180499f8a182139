"""What a destination is: three methods at most, and abilities as separate protocols.

A destination class has two pydantic models, `Options` (its keys under `destinations:`) and `SyncOptions` (the keys of
`options:` of a sync that uses it), and is made as `cls(options, root)`; making one opens nothing.

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

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import polars as pl

BATCH_ROWS = 10_000


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What a destination must know before the first batch of a sync.

    `fields` maps each mapped field to its type: string, int64, float64, boolean, decimal(p, s), date, timestamp (UTC)
    or array<string>. `options` is the destination's own `SyncOptions`. `plan_id` is equal for equal content.
    """

    sync: str
    key: str
    fields: dict[str, str]
    options: Any
    plan_id: str = ""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Rows to add or change. `rows` has one typed column per mapped field (times are UTC without a zone); `key` names
    the column that identifies a row, never null and never twice. `payload` holds each row as JSON text, in the same
    order. `id` is equal when the same content is sent again: usable as an idempotency key.
    """

    rows: pl.DataFrame
    key: str
    payload: pl.Series
    id: str = ""


@dataclass(frozen=True)
class SendResult:
    """What became of a batch: rows named in `failed` (key → reason) were refused, all others were taken.

    A reason says what is wrong and in which field, never a customer's value.
    """

    failed: Mapping[Any, str] = field(default_factory=dict)


class Destination(Protocol):
    """The least a destination can do.

    Raises DestinationError when it cannot be reached or refuses everything; a refused row is a result, no error.
    Sending the same rows again must have the effect of sending them once.
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
class SupportsFinish(Protocol):
    def finish(self, complete: bool) -> None:
        """Called once at the end: `complete` is False when an error ended the delivery before its last batch."""


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
class SupportsErase(Protocol):
    def erase(self, delivery: Delivery, keys: pl.Series) -> SendResult:
        """Erase everything held about these keys, for a privacy request."""
