"""What a suite would do, on rows like those that a run gives it; nothing is written."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core.errors import UsageError
from cdp_core.tables import EVENTS

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.config import Config
    from cdp_core.engine import Engine, Staging
    from cdp_core.quality.result import ExpectationResult
    from cdp_core.quality.suites import Suite
    from cdp_core.quality.trial import Trial

_OWN = [name for name in EVENTS.columns if name != "run_id"]


@dataclass(frozen=True, kw_only=True)
class SuitePreview:
    """`rows` were looked at, `basis` says which; `held` of them fail a rule of severity quarantine, `held_now` by the
    suite as it stands (None: that is this one, or it cannot be run). `stops` are rules that would end the run.

    `found` has one row per expectation: rule, field, severity, description, words, checked, failed, success, observed.
    `samples`: rule, key, content (the row as JSON, up to five for a rule).
    """

    suite: str
    basis: str
    rows: int
    holds: bool
    held: int
    held_now: int | None
    stops: list[str]
    found: pl.DataFrame
    samples: pl.DataFrame

    @property
    def words(self) -> str:
        if self.stops:
            return f"with suite {self.suite!r} a run would have stopped: {', '.join(self.stops)} ({self.basis})"
        if not self.holds:
            failed = self.found.filter(~self.found["success"]).height
            return f"with suite {self.suite!r} {failed} of {self.found.height} expectations fail ({self.basis})"
        now = f" (now: {self.held_now:,})" if self.held_now is not None else ""
        return f"with suite {self.suite!r} {self.held:,} of {self.basis} would have been held{now}"

    def to_dict(self) -> dict[str, Any]:
        """What `cdp quality suite preview --output json` prints: counts, without any row."""
        said = {"suite": self.suite, "basis": self.basis, "rows": self.rows, "held": self.held}
        return {**said, "held_now": self.held_now, "stops": self.stops, "found": self.found.to_dicts()}


def preview_suite(
    engine: Engine,
    config: Config,
    name: str,
    suite: Suite,
    standing: Suite | None,
    *,
    root: Path,
    now: datetime,
    last: int,
) -> SuitePreview:
    """Run a suite where a run would: on the newest events, on a source's rows read again, or on a whole derived table.

    Raises UsageError (a source that cdp.yaml does not have, nothing to look at), SourceError and SpecError.
    """
    from cdp_core.quality.trial import try_suite
    from cdp_core.quality.validator import Validator

    validator = Validator()
    try:
        validator.start()
        with _scratch() as staging:
            table, basis = _stage(engine, config, staging, suite, root=root, now=now, last=last)
            trial = try_suite(staging, table, suite, standing, validator)
    finally:
        validator.close()
    holds = suite.kind == "source" or suite.target == "events"
    return SuitePreview(
        suite=name,
        basis=basis.format(rows=f"{trial.rows:,}"),
        rows=trial.rows,
        holds=holds,
        held=trial.held,
        held_now=trial.held_now,
        stops=[r.rule for r in trial.results if r.severity == "stop" and not r.success],
        found=_found(trial, suite),
        samples=trial.samples,
    )


@contextmanager
def _scratch() -> Iterator[Staging]:
    from cdp_core.engine import Staging

    with tempfile.TemporaryDirectory(prefix="cdp-suite-") as folder:
        staging = Staging(Path(folder) / "rows.duckdb")
        try:
            yield staging
        finally:
            staging.discard()


def _stage(
    engine: Engine, config: Config, staging: Staging, suite: Suite, *, root: Path, now: datetime, last: int
) -> tuple[str, str]:
    """The staged table to check, and which rows these are."""
    if suite.kind == "source":
        return _stage_source(engine, config, staging, suite.target, root=root, now=now, last=last)
    rows = engine.table(suite.target)
    if suite.target == "events":
        newest = rows.order_by([rows.received_at.desc(), rows.source, rows.message_id]).limit(last)
        engine.copy_into(staging, {"events": newest.select(_OWN)})
        return "events", "the last {rows} events"
    read = suite.columns()
    engine.copy_into(
        staging, {suite.target: rows if read is None else rows.select([c for c in rows.columns if c in read])}
    )
    return suite.target, f"the {{rows}} rows of {suite.target}"


def _stage_source(
    engine: Engine, config: Config, staging: Staging, source: str, *, root: Path, now: datetime, last: int
) -> tuple[str, str]:
    """Raw rows are not kept, so they are read again. What clients sent is gone once it is loaded: its events stand for
    it.
    """
    from cdp_core.config.doors import door_of
    from cdp_core.runs.dedupe import drop_known
    from cdp_core.sources.sample import stage_sample

    if source not in config.sources:
        raise UsageError.unknown("source", source, config.sources)
    columns = engine.polars(engine.table("source_columns"))
    spec, door = config.sources[source], door_of(root, config, source)
    whole = stage_sample(source, spec, staging, columns=columns, root=root, now=now, most=last, door=door)
    table = f"rows_{source}"
    if staging.has(table):
        drop_known(engine, staging, [source], known=False)
        return table, f"the {{rows}} rows of {source}" if whole else f"the first {{rows}} rows of {source}"
    events = engine.table("events")
    rows = events.filter(events.source == source).order_by([events.received_at.desc(), events.message_id]).limit(last)
    if config.sources[source].map is not None or not engine.polars(rows.limit(1)).height:
        raise UsageError(f"source {source!r} gives no rows to try it on", hint="add data, or save it and run 'cdp run'")
    engine.copy_into(staging, {table: rows.select([c for c in _OWN if c != "source"])})
    return table, f"the last {{rows}} events of {source}, whose rows are not kept,"


def _found(trial: Trial, suite: Suite) -> pl.DataFrame:
    import polars as pl

    from cdp_core.quality.wording import in_words

    texts = dict.fromkeys(("rule", "field", "severity", "description", "words"), pl.String)
    schema = {**texts, "checked": pl.Int64, "failed": pl.Int64, "success": pl.Boolean, "observed": pl.String}
    rows = [
        {**_facts(result), "words": in_words(expectation.type, expectation.kwargs)}
        for result, expectation in zip(trial.results, suite.expectations, strict=True)
    ]
    return pl.DataFrame(rows, schema=schema)


def _facts(result: ExpectationResult) -> dict[str, Any]:
    names = ("rule", "field", "severity", "description", "checked", "failed", "success", "observed")
    return {name: getattr(result, name) for name in names}
