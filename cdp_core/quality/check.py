"""Check a batch: run its suites, say what is held, what is only counted, and whether the run must stop."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cdp_core.errors import ContractError, SpecError
from cdp_core.quality.quarantine import FAILURES, KEY, empty_failures, quarantined
from cdp_core.quality.result import ExpectationResult
from cdp_core.quality.spec import Suite
from cdp_core.tables import QUALITY_RESULTS, VIOLATIONS

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.engine.staging import Staging
    from cdp_core.quality.validator import Validator

SAMPLE = 3


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a check found.

    `results`: every expectation, columns of tables.QUALITY_RESULTS. `violations`: failed rules with counts and up to
    three keys as a sample, columns of tables.VIOLATIONS. `stopped`: failed expectations of severity stop.
    """

    results: pl.DataFrame
    violations: pl.DataFrame
    stopped: list[ExpectationResult] = field(default_factory=list)


def check_batch(
    staging: Staging,
    suites: Sequence[Suite],
    validator: Validator,
    *,
    source_tables: Mapping[str, str],
    run_id: str,
    now: datetime,
    planned: str | None = None,
) -> Verdict:
    """Check the staged rows of every source in `source_tables` and staged `events`; rows without any are not checked.

    `planned` is the staged table of what broke a tracking plan (see plan.enforce); it counts like the suites' failures.

    Writes the staged tables `failures` and `held` (see `quarantined`). `now` is UTC. Raises SpecError for an
    expectation that Great Expectations refuses and EngineError when it cannot run.
    """
    results = validator.check(staging, _batch_plan(staging, suites, source_tables))
    _write_failures(staging, results, {name: source for source, name in source_tables.items()}, planned)
    quarantined(staging, source_tables, run_id=run_id)
    violations = _counted(staging, now) + _rejected(staging, now) + [_plain(r, now) for r in results if _keyless(r)]
    return _verdict(results, violations, run_id=run_id, now=now)


def check_tables(
    staging: Staging,
    suites: Sequence[Suite],
    validator: Validator,
    *,
    tables: Sequence[str],
    run_id: str,
    now: datetime,
) -> Verdict:
    """Check derived tables that are staged under their own names. Nothing is held. Raises as `check_batch` does."""
    plan = {suite.target: suite for suite in suites if suite.kind == "table" and suite.target in tables}
    results = validator.check(staging, plan)
    violations = [_plain(r, now, sample=_first_keys(staging, r)) for r in results if not r.success]
    return _verdict(results, violations, run_id=run_id, now=now)


def _batch_plan(staging: Staging, suites: Sequence[Suite], source_tables: Mapping[str, str]) -> dict[str, Suite]:
    tables = {("source", source): name for source, name in source_tables.items()}
    if staging.has("events"):
        tables["table", "events"] = "events"
    named = {tables[s.kind, s.target]: s for s in suites if (s.kind, s.target) in tables}
    return {name: suite for name, suite in named.items() if staging.table(name).count().execute()}


def _keyless(result: ExpectationResult) -> bool:
    return not result.success and result.failing_keys_query is None


def _write_failures(
    staging: Staging, results: Sequence[ExpectationResult], sources: Mapping[str, str], planned: str | None
) -> None:
    import polars as pl

    staging.drop("failures")
    if planned is None:
        staging.append("failures", empty_failures())
    else:
        staging.replace("failures", staging.table(planned).select(FAILURES))
    for result in results:
        if result.failing_keys_query is None:
            continue
        keys = run_keys(staging, result)
        if not 0 < keys.height <= result.failed:
            what = f"rule {result.rule!r} failed on {result.failed:,} rows, but {keys.height:,} were found to hold"
            raise ContractError(what, where=result.where, hint="nothing was published; please report this")
        if result.table in sources:
            keys = keys.with_columns(source=pl.lit(sources[result.table]))
        said = {name: pl.lit(getattr(result, name)) for name in ("rule", "field", "description", "severity")}
        staging.append("failures", keys.with_columns(**said).select(pl.col(FAILURES).cast(pl.String)))


def run_keys(staging: Staging, result: ExpectationResult, limit: str = "") -> pl.DataFrame:
    """Keys of the rows that fail, from a result that can name them. Raises SpecError when its query does not."""
    try:
        return staging.raw(f"{result.failing_keys_query}{limit}")
    except Exception:  # noqa: BLE001 - the engine's error may quote values; the query is the user's own
        raise SpecError(
            f"the query of rule {result.rule!r} does not give the rows' keys",
            where=result.where,
            hint="write SELECT message_id FROM {batch} WHERE …",
        ) from None


def _counted(staging: Staging, now: datetime) -> list[dict[str, Any]]:
    """Failing rows by rule and event, with the times at which they were received and a sample of their keys."""
    failures = staging.table("failures")
    if not staging.has("events"):
        rows = failures.mutate(event=_null("string"), received_at=_null("timestamp(6)"))
    else:
        events = staging.table("events").semi_join(failures, KEY)
        named = (events.type == "track").ifelse(events.event, _null("string"))
        known = (
            events.mutate(event=named)
            .group_by(KEY)
            .agg(event=lambda t: t.event.min(), at=lambda t: t.received_at.min())
        )
        rows = failures.left_join(known, KEY).select(*FAILURES, "event", received_at="at")
    return _grouped(staging, rows, ["source", "event", "rule", "field", "description", "severity"], now)


def _rejected(staging: Staging, now: datetime) -> list[dict[str, Any]]:
    """Rows that could not be read. Their descriptions name lines, so rows of one rule share the first one's words."""
    import ibis

    if not staging.has("rejects"):
        return []
    rejects = staging.table("rejects")
    words = rejects.description.re_replace(r"^line [0-9]+: ", "")
    window = ibis.window(group_by=[rejects.source, rejects.rule, rejects.field])
    rows = rejects.select(
        *KEY, "rule", "field", "received_at", description=words.min().over(window), event=_null("string"),
        severity=ibis.literal("quarantine"),
    )  # fmt: skip
    return _grouped(staging, rows, ["source", "event", "rule", "field", "description", "severity"], now)


def _grouped(staging: Staging, rows: ir.Table, by: list[str], now: datetime) -> list[dict[str, Any]]:
    import ibis
    import polars as pl

    seen = rows.received_at.fill_null(ibis.literal(now, "timestamp(6)"))
    place = ibis.row_number().over(ibis.window(group_by=by, order_by=rows.message_id))
    rows = rows.mutate(seen=seen, place=place)
    found = staging.polars(
        rows.group_by(by).agg(
            count=rows.count(),
            first_seen=rows.seen.min(),
            last_seen=rows.seen.max(),
            sample=rows.message_id.collect(where=rows.place < SAMPLE),
        )
    )
    samples = [json.dumps(sorted(keys or [])) for keys in found["sample"].to_list()]
    return found.with_columns(sample=pl.Series(samples, dtype=pl.String)).to_dicts()


def _first_keys(staging: Staging, result: ExpectationResult) -> list[str]:
    if result.failing_keys_query is None:
        return []
    keys = run_keys(staging, result, f" ORDER BY 1 LIMIT {SAMPLE}")
    return [str(key) for key in keys[keys.columns[-1]]]


def _plain(result: ExpectationResult, now: datetime, sample: Sequence[str] = ()) -> dict[str, Any]:
    return {
        "source": None,
        "event": None,
        "rule": result.rule,
        "field": result.field,
        "description": result.description,
        "severity": result.severity,
        "count": result.failed,
        "first_seen": now,
        "last_seen": now,
        "sample": json.dumps(list(sample)),
    }


def _verdict(
    results: Sequence[ExpectationResult], violations: list[dict[str, Any]], *, run_id: str, now: datetime
) -> Verdict:
    import polars as pl

    rows = [
        {
            "run_id": run_id, "suite": r.suite, "table_name": r.target, "rule": r.rule, "expectation": r.expectation,
            "field": r.field, "severity": r.severity, "checked": r.checked, "failed": r.failed, "success": r.success,
            "observed": r.observed, "at": now,
        }
        for r in results
    ]  # fmt: skip
    order = sorted(violations, key=lambda v: (-v["count"], v["source"] or "", v["rule"], v["event"] or ""))
    named = [{"run_id": run_id, **v} for v in order]
    return Verdict(
        results=pl.DataFrame(rows, schema=QUALITY_RESULTS.polars_schema()),
        violations=pl.DataFrame(named, schema=VIOLATIONS.polars_schema()),
        stopped=[r for r in results if r.severity == "stop" and not r.success],
    )


def _null(kind: str) -> Any:
    import ibis

    return ibis.null(kind)
