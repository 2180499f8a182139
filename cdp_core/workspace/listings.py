"""What the listings of the faces show: one query each, over published tables and definitions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core.cron import in_words
from cdp_core.errors import CDPError, UsageError
from cdp_core.runs.lock import is_held
from cdp_core.tables import EVENTS

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.audiences.preview import Preview
    from cdp_core.audiences.spec import Condition
    from cdp_core.config import Config
    from cdp_core.engine import Engine
    from cdp_core.workspace.facade import Workspace


def answer(engine: Engine, query: str) -> pl.DataFrame:
    """One SELECT over the canonical tables. Raises SpecError with the engine's reason in one line."""
    return engine.query(query)


def status(engine: Engine, config: Config, root: Path, now: datetime) -> dict[str, Any]:
    runs = engine.table("runs")
    newest = engine.polars(runs.order_by(runs.started_at.desc()).limit(1)).to_dicts()
    good = runs.filter(runs.status == "succeeded")
    last_good = engine.polars(good.aggregate(at=good.finished_at.max())).item()
    counts = ("events", "quarantine", "user_identifiers", "profiles", "audience_members", "sync_ledger")
    return {
        "workspace": config.name,
        "now": now,
        "snapshot": engine.snapshot(),
        "running": is_held(root / config.engine.lake),
        "last_run": {**newest[0], "stages": json.loads(newest[0]["stages"])} if newest else None,
        "last_good_run_at": last_good,
        "tables": {name: count(engine, name) for name in counts},
    }


def count(engine: Engine, name: str) -> int:
    return int(engine.polars(engine.table(name).count().name("n").as_table()).item())


def resolve(engine: Engine, config: Config, identifier: str) -> str:
    """The profile_id of `type:value`, a profile_id or an old one. Raises UsageError, which never holds the value."""
    from cdp_core.identity.lookup import find_profile_id

    found = find_profile_id(engine, config.identity, identifier)
    if found is None:
        kind, colon, _ = identifier.partition(":")
        known = colon and kind in config.identity.identifiers
        raise UsageError(
            f"no profile has this {kind if known else 'id or identifier'}",
            choices=() if known else [*config.identity.identifiers, "profile_id"],
            hint="write type:value, or look with 'cdp profile search'",
        )
    return found


def evidence(engine: Engine, profile_id: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A profile's links and identifiers, as frames."""
    identifiers = engine.table("user_identifiers")
    own = identifiers.filter(identifiers.profile_id == profile_id)
    links = engine.table("identity_links")
    left = own.select(left_type=own.type, left_value=own.value)
    right = own.select(right_type=own.type, right_value=own.value)
    touching = links.semi_join(left, ["left_type", "left_value"]).semi_join(right, ["right_type", "right_value"])
    return engine.polars(touching), engine.polars(own)


def read_truth(path: Path) -> pl.DataFrame:
    """The truth file: source, record, person as text. Raises UsageError."""
    import polars as pl

    if not path.is_file():
        raise UsageError(
            "the truth file does not exist", where=str(path), hint="give a CSV with source, record, person"
        )
    frame = pl.read_csv(path, infer_schema=False)
    missing = {"source", "record", "person"} - set(frame.columns)
    if missing:
        raise UsageError(f"columns are missing: {', '.join(sorted(missing))}", where=str(path), choices=frame.columns)
    return frame.select("source", "record", "person")


def audiences(engine: Engine, config: Config) -> pl.DataFrame:
    """Columns: audience, description, members, share, entered_at (UTC, the newest entry), condition."""
    import polars as pl

    from cdp_core.audiences.words import words

    members = engine.table("audience_members")
    counted = members.group_by("audience").agg(members=members.count(), entered_at=members.entered_at.max())
    total = count(engine, "profiles")
    rows = [
        {"audience": n, "description": a.description or "", "condition": words(a.where)}
        for n, a in config.audiences.items()
    ]
    frame = pl.DataFrame(rows, schema={"audience": pl.String, "description": pl.String, "condition": pl.String})
    frame = frame.join(engine.polars(counted), on="audience", how="left")
    return frame.with_columns(
        members=pl.col("members").fill_null(0), share=pl.col("members").fill_null(0) / max(total, 1)
    ).select("audience", "description", "members", "share", "entered_at", "condition")


def preview_condition(workspace: Workspace, where: Condition, *, sample: int) -> Preview:
    """Count, sample and funnel of a checked condition on published profiles."""
    from cdp_core.audiences.compile import AudienceTables
    from cdp_core.audiences.preview import preview

    engine = workspace.engine
    require_run(engine)
    tables = AudienceTables(
        profiles=engine.table("profiles"),
        events=engine.table("events"),
        event_profiles=engine.table("event_profiles"),
        consents=engine.table("consents"),
        definitions=workspace.config.audiences,
    )
    return preview(engine, where, tables, workspace.now, sample=sample)


def require_run(engine: Engine) -> None:
    """Raise UsageError while no profile has been computed: what is asked for would be blamed on the configuration."""
    state = engine.table("stage_state")
    if engine.polars(state.filter(state.stage == "profiles").limit(1)).is_empty():
        raise UsageError("there are no profiles yet", hint="run 'cdp run' first")


def checked_condition(config: Config, condition: Mapping[str, Any]) -> Condition:
    """A condition as its model, its references checked. Raises SpecError."""
    from cdp_core.audiences.check import check_condition
    from cdp_core.audiences.spec import condition_from_dict

    where = condition_from_dict(condition)
    check_condition(where, config.trait_types(), config.audiences)
    return where


def syncs(engine: Engine, config: Config) -> pl.DataFrame:
    """Columns: sync, model, destination, type, schedule, delivered, failed, pending, last_sent_at (UTC)."""
    import polars as pl

    ledger = engine.table("sync_ledger")
    counted = ledger.group_by("sync").agg(
        delivered=(ledger.status == "delivered").sum(),
        failed=ledger.status.isin(["failed", "dead"]).sum(),
        pending=(ledger.status == "pending").sum(),
        last_sent_at=ledger.sent_at.max(),
    )
    rows = [
        {
            "sync": name,
            "model": spec.model_in_words(),
            "destination": spec.destination,
            "type": config.destinations[spec.destination].type,
            "schedule": in_words(spec.schedule),
        }
        for name, spec in config.syncs.items()
    ]
    kinds = dict.fromkeys(("sync", "model", "destination", "type", "schedule"), pl.String)
    frame = pl.DataFrame(rows, schema=kinds).join(engine.polars(counted), on="sync", how="left")
    return frame.with_columns(pl.col("delivered", "failed", "pending").fill_null(0))


def sent(engine: Engine, config: Config, profile_id: str) -> pl.DataFrame:
    """What was sent about a profile, and about those that went into it."""
    import polars as pl

    merges, log = engine.table("profile_merges"), engine.table("sync_log")
    former = merges.filter(merges.profile_id == profile_id).select("from_profile_id")
    rows = log.filter((log.profile_id == profile_id) | log.profile_id.isin(former.from_profile_id))
    frame = engine.polars(rows.order_by([rows.sent_at.desc(), rows.sync, rows.key]))
    names = {name: spec.destination for name, spec in config.syncs.items()}
    return frame.with_columns(destination=pl.col("sync").replace_strict(names, default=None, return_dtype=pl.String))


def sources(engine: Engine, config: Config, root: Path) -> pl.DataFrame:
    """Columns: source, type, rows_read, events, duplicates, quarantined, suppressed, waiting (received events that no
    run has loaded yet), newest_event (UTC), loaded_at (UTC).
    """
    import polars as pl

    from cdp_core.inbox import reader
    from cdp_core.runs.load import loaded_requests

    loads, events = engine.table("source_loads"), engine.table("events")
    counted = loads.group_by("source").agg(
        rows_read=loads.rows_read.sum().cast("int64"),
        events=loads.events.sum().cast("int64"),
        duplicates=loads.duplicates.sum().cast("int64"),
        quarantined=loads.quarantined.sum().cast("int64"),
        suppressed=loads.suppressed.sum().cast("int64"),
        loaded_at=loads.loaded_at.max(),
    )
    newest = events.group_by("source").agg(newest_event=events.timestamp.max())
    rows = [{"source": name, "type": spec.type} for name, spec in config.sources.items()]
    frame = pl.DataFrame(rows, schema={"source": pl.String, "type": pl.String})
    frame = frame.join(engine.polars(counted), on="source", how="left")
    frame = frame.join(engine.polars(newest), on="source", how="left")
    numbers = ("rows_read", "events", "duplicates", "quarantined", "suppressed")
    late = reader.waiting(root, loaded_requests(engine))
    waiting = pl.Series("waiting", [late.get(name, 0) for name in frame["source"]], dtype=pl.Int64)
    frame = frame.with_columns(pl.col(numbers).fill_null(0), waiting)
    return frame.select("source", "type", *numbers, "waiting", "newest_event", "loaded_at")


def traits(engine: Engine, config: Config) -> pl.DataFrame:
    """Columns: trait, definition, type, profiles (with a value), share."""
    import polars as pl

    profiles = engine.table("profiles")
    present = [name for name in config.trait_names() if name in profiles.columns]
    total = count(engine, "profiles")
    filled = engine.polars(profiles.aggregate(**{n: profiles[n].notnull().sum() for n in present})) if present else None
    types = config.trait_types()
    rows = []
    for name, words in config.trait_words().items():
        value = int(filled[name].item() or 0) if filled is not None and name in present else 0
        rows.append(
            {
                "trait": name,
                "definition": words,
                "type": types.get(name, ""),
                "profiles": value,
                "share": value / max(total, 1),
            }
        )
    kinds = {"trait": pl.String, "definition": pl.String, "type": pl.String, "profiles": pl.Int64, "share": pl.Float64}
    return pl.DataFrame(rows, schema=kinds)


def suites(engine: Engine, root: Path) -> pl.DataFrame:
    """Columns: suite, target, rule, expectation, field, severity, description, checked, failed, success, at (UTC)."""
    import polars as pl

    from cdp_core.quality.suites import load_suites

    rows = [
        {
            "suite": s.name,
            "target": s.target,
            "rule": e.rule,
            "expectation": e.type,
            "field": e.field,
            "severity": e.severity,
            "description": e.description,
        }
        for s in load_suites(root / "expectations")
        for e in s.expectations
    ]
    names = ("suite", "target", "rule", "expectation", "field", "severity", "description")
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String))
    results = engine.polars(engine.table("quality_results"))
    newest = results.sort("at", "run_id").unique(["suite", "rule"], keep="last", maintain_order=True)
    columns = ["suite", "rule", "checked", "failed", "success", "observed", "at", "run_id"]
    return frame.join(newest.select(columns), on=["suite", "rule"], how="left")


def suite_files(root: Path) -> pl.DataFrame:
    """Columns: suite, kind, target, expectations, stop, quarantine, warn, problem."""
    import polars as pl

    from cdp_core.config.suites import draft_suite, parts, read_suite, suite_names
    from cdp_core.quality.spec import SEVERITIES

    rows: list[dict[str, Any]] = []
    for name in suite_names(root):
        kind, path = parts(root, name)
        row: dict[str, Any] = {"suite": name, "kind": kind, "target": path.stem}
        try:
            found: list[str] = [e.severity for e in draft_suite(root, name, read_suite(root, name)).expectations]
            row |= {"expectations": len(found), **{severity: found.count(severity) for severity in SEVERITIES}}
        except CDPError as error:
            row["problem"] = str(error)
        rows.append(row)
    counts = dict.fromkeys(("expectations", "stop", "quarantine", "warn"), pl.Int64)
    texts = dict.fromkeys(("suite", "kind", "target"), pl.String)
    return pl.DataFrame(rows, schema={**texts, **counts, "problem": pl.String})


def suite_columns(engine: Engine, config: Config, kind: str, target: str) -> dict[str, str]:
    """Column → number, time, boolean or text."""
    if kind == "table":
        schema = engine.table(target).schema()
        found = {name: str(schema[name]).lower() for name in schema.names if name != "run_id" or target != "events"}
    else:
        known = engine.table("source_columns")
        rows = engine.polars(known.filter(known.source == target).select("column", "type"))
        found = {"message_id": "string", **dict(rows.iter_rows())}
        source = config.sources.get(target)
        if source is not None and source.map is None:
            found |= {c: kind for c, kind in EVENTS.columns.items() if c not in ("source", "run_id")}
    return {name: _sort_of(type_) for name, type_ in found.items()}


def _sort_of(kind: str) -> str:
    """
    >>> _sort_of("int64"), _sort_of("timestamp(6)"), _sort_of("integer"), _sort_of("json")
    ('number', 'time', 'number', 'text')
    """
    if kind.lstrip("!").startswith(("int", "uint", "float", "number", "decimal", "double")):
        return "number"
    if kind.lstrip("!").startswith(("timestamp", "date", "time")):
        return "time"
    return "boolean" if kind.lstrip("!").startswith("bool") else "text"


def plans(config: Config, root: Path) -> pl.DataFrame:
    """Columns: plan, events, calls, properties, sources, description, problem."""
    import polars as pl

    from cdp_core.config.plans import check_plan, plan_names
    from cdp_core.quality.plan.checks import checks_of

    rows = []
    for name in plan_names(root):
        plan, problems = check_plan(root, name)
        calls = [*plan.events.values(), *plan.calls().values()] if plan else []
        rows.append(
            {
                "plan": name,
                "events": len(plan.events) if plan else None,
                "calls": ", ".join(plan.calls()) if plan else "",
                "properties": sum(len(checks_of(rules)) for call in calls for rules in call.by_version().values()),
                "sources": ", ".join(
                    n for n, s in config.sources.items() if s.plan is not None and s.plan.name == name
                ),
                "description": (plan.description or "") if plan else "",
                "problem": str(problems[0]) if problems else None,
            }
        )
    texts = dict.fromkeys(("plan", "calls", "sources", "description", "problem"), pl.String)
    schema = {"plan": pl.String, "events": pl.Int64, "calls": pl.String, "properties": pl.Int64, **texts}
    return pl.DataFrame(rows, schema=schema)


def quality_report(engine: Engine, path: Path) -> Path:
    """Write the newest run's results that checked anything. Raises UsageError when there is none."""
    from cdp_core.quality.report import write_report

    runs, results = engine.table("runs"), engine.table("quality_results")
    checked = runs.semi_join(results, "run_id")
    newest = engine.polars(checked.order_by(checked.started_at.desc()).limit(1))
    if not newest.height:
        raise UsageError("no run has checked anything yet", hint="run 'cdp run' first")
    run = newest.row(0, named=True)
    violations = engine.table("violations")
    write_report(
        path,
        results=engine.polars(results.filter(results.run_id == run["run_id"])),
        violations=engine.polars(violations.filter(violations.run_id == run["run_id"])),
        run=run,
    )
    return path
