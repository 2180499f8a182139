"""What a run did: stages with their seconds and rows, kept in the table `runs`."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from cdp_core import ids

if TYPE_CHECKING:
    import polars as pl

STAGES = ("load", "quality", "identity", "profiles", "audiences", "sync")


class Progress(Protocol):
    def __call__(self, stage: str, done: float | None, text: str) -> None:
        """Told as a stage goes on; `done` is 0 to 1, or None when unknown."""


def silent(stage: str, done: float | None, text: str) -> None:
    """Progress for nobody."""


@dataclass
class StageResult:
    """Balance of one stage. `note` says why a stage did nothing."""

    name: str
    seconds: float = 0.0
    rows_in: int = 0
    rows_out: int = 0
    quarantined: int = 0
    note: str = ""


@dataclass
class Run:
    """One run. status: running, succeeded, failed, stopped (by a gate), dry.

    `to_dict()` is what `cdp run --output json` prints.
    """

    kind: str = "run"
    run_id: str = ""
    status: str = "running"
    error: str | None = None
    started_at: datetime = field(default_factory=lambda: _now())
    finished_at: datetime | None = None
    stages: list[StageResult] = field(default_factory=list)
    tables: dict[str, int] = field(default_factory=dict)
    snapshot_id: int | None = None
    exit_code: int = 0

    def __post_init__(self) -> None:
        self.run_id = self.run_id or ids.run_id(self.started_at)

    @property
    def seconds(self) -> float:
        return round(((self.finished_at or _now()) - self.started_at).total_seconds(), 3)

    @contextmanager
    def stage(self, name: str) -> Iterator[StageResult]:
        """Time a stage; it is listed even when it fails."""
        result = StageResult(name)
        self.stages.append(result)
        started = time.perf_counter()
        try:
            yield result
        finally:
            result.seconds = round(time.perf_counter() - started, 3)

    def finish(self, status: str, error: str | None = None, exit_code: int = 0) -> None:
        self.status, self.error, self.exit_code = status, error, exit_code
        self.finished_at = _now()

    def to_dict(self) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "status": self.status,
            "error": self.error,
            "seconds": self.seconds,
            "peak_rss_mb": peak_rss_mb(),
            "stages": [asdict(stage) for stage in self.stages],
            "tables": self.tables,
        }

    def to_row(self) -> pl.DataFrame:
        """The row of the table `runs`."""
        import polars as pl

        from cdp_core.tables import RUNS

        row = {
            "run_id": self.run_id,
            "kind": self.kind,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "status": self.status,
            "error": self.error,
            "stages": json.dumps([asdict(stage) for stage in self.stages]),
            "snapshot_id": self.snapshot_id,
        }
        return pl.DataFrame([row], schema=RUNS.polars_schema())


def peak_rss_mb() -> int:
    """Largest resident memory so far of this process plus that of its largest finished child, in MB."""
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return round((own + child) / unit)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
