"""Rectification (GDPR 16): a value of a profile that a person has had corrected, and its taking back.

A correction is an identify event of the source `rectification`: it belongs to the person as any other event does, is
merged, exported and erased with them, and survivorship puts it above whatever other sources state, now and later. What
they stated stays stored, as what it is: their statement.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core.errors import UsageError
from cdp_core.privacy.tombstones import Identifier, with_reason
from cdp_core.profiles.spec import PickedTrait
from cdp_core.runs.lock import run_lock
from cdp_core.runs.record import Run
from cdp_core.runs.replay_stored import forget_stages
from cdp_core.tables import EVENTS, RECTIFICATION, SOURCE_LOADS

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.config import Config
    from cdp_core.engine import Engine

KIND, UNDO = "rectify", "rectify undo"
_PATIENCE_SECONDS = 10.0
KEY = ["source", "message_id"]


@dataclass(frozen=True, kw_only=True)
class Rectified:
    """What was corrected: names of traits, never their values. `events` are the corrections written or taken out."""

    run_id: str
    profile_id: str
    set: tuple[str, ...]
    unset: tuple[str, ...]
    events: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def correctable(config: Config) -> list[str]:
    """Traits of which sources state the value; others are computed from events."""
    return [name for name, trait in config.traits.items() if isinstance(trait, PickedTrait)]


def rectify(
    engine: Engine,
    config: Config,
    profile_id: str,
    named: Identifier,
    values: Mapping[str, str],
    unset: Sequence[str],
    *,
    root: Path,
    reason: str,
    actor: str,
) -> Rectified:
    """Write corrections of one profile, all of them or none; `named` is the identifier of the person that they carry.

    Raises UsageError for a trait that cannot be corrected, a value that is not of its type or identifies somebody
    else, and WorkspaceBusy.
    """
    told = with_reason(reason)
    stated = {**{name: value.strip() for name, value in values.items()}, **dict.fromkeys(unset, "")}
    _checked(engine, config, profile_id, values, unset)
    with run_lock(root / config.engine.lake, wait=_PATIENCE_SECONDS):
        run = Run(kind=KIND)
        with run.stage("load") as stage:
            stage.rows_in = stage.rows_out = len(stated)
        rows = [_event(config, run, named, name, value, told, actor) for name, value in stated.items()]
        run.finish("succeeded")
        _publish(engine, run, rows)
    count = len({row["message_id"] for row in rows})
    return Rectified(run_id=run.run_id, profile_id=profile_id, set=tuple(values), unset=tuple(unset), events=count)


def undo(
    engine: Engine, config: Config, profile_id: str, traits: Sequence[str], *, root: Path, reason: str
) -> Rectified:
    """Take the corrections of these traits of a profile out again. Raises UsageError when there is none."""
    told = with_reason(reason)
    _known(config, traits)
    keys = [key_of(config, name) for name in traits]
    with run_lock(root / config.engine.lake, wait=_PATIENCE_SECONDS):
        found = corrections(engine, profile_id)
        gone = engine.keep(found.filter(found.key.isin(keys)).select(KEY))
        count = int(engine.polars(gone.count().name("n").as_table()).item())
        if not count:
            raise UsageError(
                "nothing of this was corrected", hint="see 'cdp profile show': its source is rectification"
            )
        run = Run(kind=UNDO)
        with run.stage("load") as stage:
            stage.rows_in, stage.note = count, told
        run.finish("succeeded")
        with engine.transaction():
            engine.amend("events", gone, engine.table("events").limit(0), tuple(KEY))
            engine.append("source_loads", engine.frame(_balance(run, -count)))
            forget_stages(engine)
            engine.upsert("runs", engine.frame(run.to_row()), ("run_id",))
    return Rectified(run_id=run.run_id, profile_id=profile_id, set=(), unset=tuple(traits), events=count)


def corrections(engine: Engine, profile_id: str) -> ir.Table:
    """Corrections of a profile: source, message_id, at, key (of the trait in events), value, reason and actor."""
    links = engine.table("event_profiles")
    mine = links.filter(links.profile_id == profile_id, links.source == RECTIFICATION).select(KEY)
    events = engine.table("events")
    events = events.filter(events.source == RECTIFICATION).semi_join(mine, KEY)
    told = {name: engine.json_text(events.context, RECTIFICATION, name) for name in ("key", "value", "reason", "actor")}
    return engine.keep(events.select(*KEY, at=events.timestamp, **told))


def key_of(config: Config, trait: str) -> str:
    found = config.traits[trait]
    return (found.from_ if isinstance(found, PickedTrait) else None) or trait


def _known(config: Config, traits: Sequence[str]) -> None:
    valid = correctable(config)
    for name in traits:
        if name not in valid:
            computed = name in config.trait_names()
            hint = "it is computed from events: correct those with 'cdp source replay'" if computed else None
            what = f"the trait {name!r} cannot be corrected" if computed else f"unknown trait {name!r}"
            raise UsageError(what, choices=valid, hint=hint)


def _checked(engine: Engine, config: Config, profile_id: str, values: Mapping[str, str], unset: Sequence[str]) -> None:
    _known(config, [*values, *unset])
    if not values and not unset:
        raise UsageError("nothing is corrected", hint="say --set trait=value, or --unset trait")
    if both := set(values) & set(unset):
        raise UsageError(f"{', '.join(sorted(both))}: both set and unset", hint="say one of the two")
    _one_value_each(config, {**values, **dict.fromkeys(unset, "")})
    for name, value in values.items():
        _fits(engine, config, name, value)
        _somebody_else(engine, config, profile_id, name, value)


def _one_value_each(config: Config, stated: Mapping[str, str]) -> None:
    """Traits that read the same name in events are corrected together."""
    said: dict[str, str] = {}
    for name, value in stated.items():
        key = key_of(config, name)
        if said.setdefault(key, value.strip()) != value.strip():
            raise UsageError(f"{name}: another trait reads {key!r} too", hint="give both the same value")


def _fits(engine: Engine, config: Config, name: str, value: str) -> None:
    import polars as pl

    from cdp_core.operators.values import nonblank, typed

    if not value.strip():
        raise UsageError(f"{name}: the value is empty", hint=f"to have none, say --unset {name}")
    kind = getattr(config.traits[name], "type", "string")
    frame = engine.frame(pl.DataFrame({"value": [value]}))
    if engine.polars(frame.select(value=typed(nonblank(frame.value), kind)))["value"][0] is None:
        raise UsageError(f"{name}: the value is no {kind}", hint="write dates as 2026-03-01, true or false, 12.5")


def _somebody_else(engine: Engine, config: Config, profile_id: str, name: str, value: str) -> None:
    """A corrected e-mail address identifies the person: it must not join them with another one."""
    from cdp_core.identity.identifiers import spellings
    from cdp_core.identity.lookup import find_profile_id

    key = key_of(config, name)
    for type_ in (t for t in config.identity.identifiers if key in spellings(t)):
        other = find_profile_id(engine, config.identity, f"{type_}:{value}")
        if other is not None and other != profile_id:
            hint = f"it would make one of them and profile {other}: decide that first with 'cdp identity'"
            raise UsageError(f"{name}: another profile has this {type_}", hint=hint)


def _event(
    config: Config, run: Run, named: Identifier, name: str, value: str, reason: str, actor: str
) -> dict[str, Any]:
    key = key_of(config, name)
    type_, identifier = named
    about = {"key": key, "value": value, "reason": reason, "actor": actor}
    external = [{"type": type_, "id": identifier, "collection": "users", "encoding": "none"}]
    return {
        "source": RECTIFICATION,
        "message_id": f"{run.run_id}-{key}",
        "type": "identify",
        "timestamp": run.started_at,
        "received_at": run.started_at,
        "traits": json.dumps({key: value}, ensure_ascii=False),
        "context": json.dumps({"externalIds": external, RECTIFICATION: about}, ensure_ascii=False),
        "run_id": run.run_id,
    }


def _publish(engine: Engine, run: Run, rows: Sequence[Mapping[str, Any]]) -> None:
    import polars as pl

    schema = EVENTS.polars_schema()
    frame = pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema)
    with engine.transaction():
        engine.append("events", engine.frame(frame.unique("message_id", keep="last")))
        engine.append("source_loads", engine.frame(_balance(run, frame["message_id"].n_unique())))
        engine.upsert("runs", engine.frame(run.to_row()), ("run_id",))


def _balance(run: Run, events: int) -> Any:
    import polars as pl

    row = {
        "run_id": run.run_id, "source": RECTIFICATION, "rows_read": events, "events": events, "duplicates": 0,
        "quarantined": 0, "seconds": run.seconds, "loaded_at": run.started_at,
    }  # fmt: skip
    return pl.DataFrame([row], schema=SOURCE_LOADS.polars_schema())
