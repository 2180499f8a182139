"""The second half of a run: identity, profiles and audiences are computed, checked and published as one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cdp_core import tables
from cdp_core.engine import PLACE
from cdp_core.runs.load import append_results, keep_results, stop_error
from cdp_core.runs.record import Progress, Run

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.config import Config
    from cdp_core.engine import Engine, Staging
    from cdp_core.identity.incremental import Change
    from cdp_core.identity.overrides import Override
    from cdp_core.quality.suites import Suite
    from cdp_core.quality.validator import Validator

DERIVED = ("identity", "profiles", "audiences")
CONSENT = "consent"
"""The row of stage_state that says of which decisions about consent the published table is."""
_CLOCK_KEYS = ("window", "between", "days_since", "within_last", "not_within_last", "within_next")
_CLOCK_SQL = ("now(", "current_date", "current_timestamp", "today(")
_CODE = "2"
"""Raised when a stage's meaning changes, so that a new version recomputes what an old one published."""


Desk = Callable[["ir.Table"], "ir.Table | None"]
"""From identifiers (type, value, profile_id) to what their people have said of consent at the desk."""


def _nobody(identifiers: ir.Table) -> None:
    """Nobody has said anything."""


@dataclass
class Derived:
    """Tables that are ready to publish; `appended` ones are added to, the others replaced, those in `changed` only by
    the rows that differ. `decisions` about identity are those in force; `rules` is a fingerprint of what identity
    depends on beside events, None: everything is looked at. `note` says of the stage just done what its rows do not.
    """

    replaced: dict[str, ir.Table] = field(default_factory=dict)
    changed: dict[str, Change] = field(default_factory=dict)
    appended: dict[str, ir.Table] = field(default_factory=dict)
    stages: dict[str, str] = field(default_factory=dict)
    decisions: Sequence[Override] = ()
    rules: str | None = None
    note: str = ""
    desk: Desk = field(default=_nobody, repr=False)

    def all(self) -> dict[str, ir.Table]:
        return {**self.replaced, **self.appended}


def fingerprints(
    engine: Engine, config: Config, now: datetime, decisions: Sequence[Override], consents: str = ""
) -> dict[str, str]:
    """What every derived stage depends on: its definitions, the events, the clock, and the stage before it.

    `consents` is of the decisions about consent, which bring the table of that name up to date when they are made:
    only audiences wait for a run.
    """
    loads = engine.table("source_loads")
    events = engine.polars(loads.aggregate(rows=loads.events.sum().cast("int64"))).item()
    identity = _hash(rules_fingerprint(config, decisions), events)
    profiles = _hash(identity, dict(config.traits), list(config.sources), _clock(config.traits, now))
    audiences = _hash(profiles, dict(config.audiences), _clock(config.audiences, now), *filter(None, [consents]))
    return {"identity": identity, "profiles": profiles, "audiences": audiences}


def rules_fingerprint(config: Config, decisions: Sequence[Override]) -> str:
    """What identity depends on beside events."""
    told = [decision.to_dict() for decision in decisions]
    # Matching reads golden records, so that identity then depends on traits too.
    read = [dict(config.traits), list(config.sources)] if config.identity.matching else []
    return _hash(_CODE, config.identity, config.region, told, read)


def _clock(definitions: Mapping[str, Any], now: datetime) -> datetime | None:
    """The minute that definitions depend on; None when none of them reads the clock."""
    stated = {name: spec.model_dump(mode="json", exclude_unset=True) for name, spec in definitions.items()}
    text = json.dumps(stated, default=str).lower()
    reads = any(f'"{word}": ' in text for word in _CLOCK_KEYS)
    return now.replace(second=0, microsecond=0) if reads or any(word in text for word in _CLOCK_SQL) else None


def stale_stages(
    engine: Engine,
    config: Config,
    now: datetime,
    decisions: Sequence[Override],
    *,
    consents: str = "",
    full: bool,
) -> dict[str, str]:
    """Stages whose published tables are not what they would be now, with the new fingerprints."""
    wanted = fingerprints(engine, config, now, decisions, consents)
    state = engine.polars(engine.table("stage_state"))
    known = dict(zip(state["stage"], state["fingerprint"], strict=True))
    stale = {stage for stage in DERIVED if full or known.get(stage) != wanted[stage]}
    if known.get(CONSENT, "") != consents:
        stale.add("profiles")
    return {stage: wanted[stage] for stage in DERIVED if stage in stale}


def derive(
    engine: Engine,
    config: Config,
    stale: Mapping[str, str],
    run: Run,
    *,
    now: datetime,
    progress: Progress,
    decisions: Sequence[Override] = (),
    desk: Desk = _nobody,
    full: bool = False,
    whole: bool = False,
) -> Derived:
    """Compute what is stale, in order, without publishing anything; `whole` looks at all events whatever is published,
    `full` also forgets what matching has learned.
    """
    rules = None if full or whole else rules_fingerprint(config, decisions)
    made = Derived(stages=dict(stale), decisions=decisions, rules=rules, desk=desk)
    steps: dict[str, Callable[..., tuple[int, int]]] = {
        "identity": _identity,
        "profiles": _profiles,
        "audiences": _audiences,
    }
    for name in DERIVED:
        with run.stage(name) as result:
            if name not in stale:
                result.note = "unchanged"
                continue
            progress(name, None, "")
            made.note = ""
            result.rows_in, result.rows_out = steps[name](engine, config, made, run, now)
            if name == "profiles" and "identity" in stale and config.identity.matching:
                progress(name, None, "matching")
                _matching(engine, config, made, run, now, full=full)
            result.note = made.note
            progress(name, 1.0, f"{result.rows_out:,} rows")
    return made


def _current(engine: Engine, made: Derived, name: str) -> ir.Table:
    return made.replaced.get(name, None) if name in made.replaced else engine.table(name)


def _identity(engine: Engine, config: Config, made: Derived, run: Run, now: datetime) -> tuple[int, int]:
    from cdp_core.identity.resolve import resolve
    from cdp_core.runs import new_events

    events = engine.table("events")
    counted = _count(engine, events)
    rules = rules_fingerprint(config, made.decisions)
    made.stages[new_events.STAGE] = new_events.rules_state(rules, counted)
    update = new_events.update_identity(engine, config, rules, made.decisions, now) if made.rules == rules else None
    if update:
        made.changed = update.changes
        made.note = f"{update.profiles:,} profiles resolved again"
        made.replaced.update({name: c.applied(engine.placed(name)) for name, c in update.changes.items()})
        made.replaced.update(profile_merges=update.profile_merges, identity_conflicts=update.identity_conflicts)
        return counted, _count(engine, made.replaced["user_identifiers"])
    found = resolve(
        engine,
        events,
        config.identity,
        previous=engine.table("user_identifiers"),
        merges=engine.table("profile_merges"),
        now=now,
        overrides=made.decisions,
    )
    for name in new_events.IDENTITY_TABLES:
        made.replaced[name] = getattr(found, name)
    return counted, _count(engine, found.user_identifiers)


def _matching(engine: Engine, config: Config, made: Derived, run: Run, now: datetime, *, full: bool) -> None:
    """Compare golden records; where pairs count as evidence, identity and profiles are computed once more with them."""
    from cdp_core.runs.matching import alike, match_profiles

    spec = config.identity.matching
    assert spec is not None
    found = match_profiles(engine, config, made.replaced["user_identifiers"], made.replaced["profiles"], now, full=full)
    made.replaced.update(found)
    pairs = alike(engine, found["identity_matches"], spec, now)
    if pairs:
        decided = made.decisions
        made.decisions = [*decided, *pairs]
        _identity(engine, config, made, run, now)
        _profiles(engine, config, made, run, now)
        made.decisions = decided


def _profiles(engine: Engine, config: Config, made: Derived, run: Run, now: datetime) -> tuple[int, int]:
    from cdp_core.profiles.build import build_profiles

    for name in made.changed:
        made.replaced[name] = engine.keep(made.replaced[name])
    links = _current(engine, made, "event_profiles")
    named: dict[str, ir.Table] = {
        name: made.replaced[name] for name in ("event_profiles", "user_identifiers") if name in made.replaced
    }
    built = build_profiles(
        engine,
        engine.table("events"),
        links,
        config.traits,
        now=now,
        source_order=list(config.sources),
        named=named,
        desk=made.desk(_current(engine, made, "user_identifiers")),
    )
    for name in ("profiles", "profile_traits", "consents"):
        made.replaced[name] = getattr(built, name)
    return _count(engine, links), _count(engine, built.profiles)


def _audiences(engine: Engine, config: Config, made: Derived, run: Run, now: datetime) -> tuple[int, int]:
    from cdp_core.audiences.compile import AudienceTables
    from cdp_core.audiences.refresh import refresh

    profiles = _current(engine, made, "profiles")
    inputs = AudienceTables(
        profiles=profiles,
        events=engine.table("events"),
        event_profiles=_current(engine, made, "event_profiles"),
        consents=_current(engine, made, "consents"),
    )
    before = repointed(engine, engine.table("audience_members"), _current(engine, made, "profile_merges"))
    found = refresh(engine, config.audiences, inputs, before=before, now=now, run_id=run.run_id)
    made.replaced["audience_members"] = found.members
    made.appended["audience_changes"] = found.changes
    return _count(engine, profiles), _count(engine, found.members)


def repointed(engine: Engine, members: ir.Table, merges: ir.Table) -> ir.Table:
    """Memberships of profiles that went into others are theirs now: a merge is no leaving and no entering."""
    moved = merges.select(profile_id=merges.from_profile_id, into=merges.profile_id)
    joined = members.left_join(moved, "profile_id")
    joined = joined.select("audience", "entered_at", profile_id=joined.into.fill_null(joined.profile_id))
    return engine.keep(joined.group_by(["audience", "profile_id"]).agg(entered_at=lambda t: t.entered_at.min()))


def check_derived(
    engine: Engine,
    staging: Staging,
    made: Derived,
    suites: Sequence[Suite],
    validator: Validator,
    *,
    run_id: str,
    now: datetime,
) -> Any:
    """Run the table suites on what would be published. Raises QualityStop. Gives the verdict, or None."""
    from cdp_core.quality.check import check_tables

    wanted = {s.target: s for s in suites if s.kind == "table" and s.target != "events"}
    present = [name for name in made.all() if name in wanted]
    if not present:
        return None
    engine.copy_into(staging, {name: _read_by(wanted[name], made.all()[name]) for name in present})
    verdict = check_tables(staging, suites, validator, tables=present, run_id=run_id, now=now)
    if verdict.stopped:
        keep_results(engine, verdict)
        raise stop_error(verdict)
    return verdict


def _read_by(suite: Suite, rows: ir.Table) -> ir.Table:
    """Only the columns that the suite reads."""
    read = suite.columns()
    return rows if read is None else rows.select([c for c in rows.columns if c in read])


def publish_derived(engine: Engine, made: Derived, verdict: Any, run: Run, *, now: datetime) -> None:
    """Publish all derived tables and their fingerprints in one transaction."""
    import polars as pl

    state = pl.DataFrame(
        [{"stage": s, "fingerprint": f, "run_id": run.run_id, "at": now} for s, f in made.stages.items()],
        schema=tables.STAGE_STATE.polars_schema(),
    )
    with engine.transaction():
        for name, rows in made.replaced.items():
            if name not in made.changed:
                engine.replace(name, rows)
        for name, rows in made.appended.items():
            engine.append(name, rows)
        # Last, since what is replaced may be said in terms of what is published.
        for name, change in made.changed.items():
            engine.amend(name, change.gone, change.rows, (PLACE,))
        append_results(engine, verdict)
        engine.upsert("stage_state", engine.frame(state), ("stage",))


def _count(engine: Engine, rows: ir.Table) -> int:
    return int(engine.polars(rows.count().name("n").as_table()).item())


def _hash(*parts: Any) -> str:
    return hashlib.sha256(json.dumps([_plain(p) for p in parts], default=str).encode()).hexdigest()[:32]


def _plain(part: Any) -> Any:
    if hasattr(part, "model_dump"):
        return part.model_dump(mode="json")
    if isinstance(part, Mapping):
        return {str(k): _plain(v) for k, v in part.items()}
    if isinstance(part, list | tuple):
        return [_plain(p) for p in part]
    return part
