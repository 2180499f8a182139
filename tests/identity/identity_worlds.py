"""Small worlds of events, and who is who in them by the plainest reading of the rules: one event after the other."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from cdp_core import tables
from cdp_core.engine import Engine
from cdp_core.identity.resolve import Resolution, resolve
from cdp_core.identity.spec import IdentitySpec

NOW = datetime(2026, 1, 1)
START = datetime(2025, 1, 1)
Identifier = tuple[str, str]
Resolve = Callable[..., Resolution]


def event(number: int, identifiers: Sequence[Identifier], *, source: str = "web", **more: Any) -> dict[str, Any]:
    """An event at minute `number`; identifiers that have no column of their own go into context.externalIds."""
    own = {t: v for t, v in identifiers if t in ("user_id", "anonymous_id")}
    external = [{"id": v, "type": t} for t, v in identifiers if (t, v) not in own.items()]
    made = {
        "source": source,
        "message_id": f"m{number:06d}",
        "type": "identify",
        "timestamp": START + timedelta(minutes=number),
        "received_at": START + timedelta(minutes=number),
        "context": json.dumps({"externalIds": external}) if external else None,
        **own,
    }
    return {**made, **more}


def frame(events: Iterable[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(list(events), schema=tables.EVENTS.polars_schema())


@dataclass(frozen=True)
class Told:
    """An event of a random world, before it is written down as one."""

    minute: int
    source: str
    message_id: str
    identifiers: tuple[Identifier, ...]

    def as_event(self) -> dict[str, Any]:
        at = START + timedelta(minutes=self.minute)
        more = {"message_id": self.message_id, "timestamp": at, "received_at": at}
        return event(0, self.identifiers, source=self.source, **more)


def random_world(seed: int, spec: IdentitySpec, *, events: int = 14, values: int = 5) -> list[Told]:
    """Few values and many repetitions, times that tie, so that limits break in every possible way. All values bear
    the seed: worlds of different seeds have nothing in common.
    """
    rng = random.Random(seed)
    told: list[Told] = []
    for number in range(rng.randint(2, events)):
        if told and rng.random() < 0.25:
            identifiers = rng.choice(told).identifiers
        else:
            kinds = rng.choices(list(spec.identifiers), k=rng.randint(1, 4))
            identifiers = tuple({(kind, f"{kind[0]}{rng.randrange(values)}w{seed}") for kind in kinds})
            singles = {"user_id", "anonymous_id"}
            identifiers = tuple(
                (k, v) for i, (k, v) in enumerate(identifiers) if k not in singles or k not in dict(identifiers[:i])
            )
        message_id = f"w{seed}-{rng.randrange(1000):03d}-{number}"
        told.append(Told(rng.randrange(6), rng.choice(["crm", "web"]), message_id, identifiers))
    return told


@dataclass(frozen=True)
class Outcome:
    """Groups of identifiers and groups of events (source, message_id), one pair per profile."""

    profiles: frozenset[tuple[frozenset[Identifier], frozenset[tuple[str, str]]]]
    demoted: frozenset[tuple[str, str, Identifier]]


def one_by_one(world: Iterable[Told], spec: IdentitySpec) -> Outcome:
    """Segment's steps as they are written down, event by event, repetitions and all."""
    priority = list(spec.identifiers)
    held: dict[int, set[Identifier]] = {}
    merges: dict[int, int] = {}
    owner: dict[tuple[str, str], int] = {}
    demoted = set()
    created = 0
    for told in sorted(world, key=lambda t: (t.minute, t.source, t.message_id)):
        left = sorted(set(told.identifiers), key=lambda i: (priority.index(i[0]), i))
        while True:
            candidates = sorted(p for p, has in held.items() if has & set(left))
            union = set(left).union(*(held[p] for p in candidates))
            count = sum(merges[p] for p in candidates) + max(len(candidates) - 1, 0)
            kinds = [kind for kind, _ in union]
            fits = all(kinds.count(k) <= spec.limit(k) for k in kinds)
            if len(left) == 1 or (fits and len(union) <= spec.max_mappings and count <= spec.max_merges):
                break
            demoted.add((told.source, told.message_id, left.pop()))
        created += not candidates
        survivor = candidates[0] if candidates else created
        for gone in candidates[1:]:
            del held[gone], merges[gone]
            owner = {e: survivor if p == gone else p for e, p in owner.items()}
        held[survivor], merges[survivor] = union, count
        owner[told.source, told.message_id] = survivor
    events = {p: frozenset(e for e, q in owner.items() if q == p) for p in held}
    return Outcome(frozenset((frozenset(has), events[p]) for p, has in held.items()), frozenset(demoted))


def outcome(identifiers: pl.DataFrame, event_profiles: pl.DataFrame) -> frozenset[Any]:
    """Published tables in the shape of `Outcome.profiles`."""
    held: dict[str, set[Identifier]] = {}
    events: dict[str, set[tuple[str, str]]] = {}
    for type_, value, profile in identifiers.select("type", "value", "profile_id").iter_rows():
        held.setdefault(profile, set()).add((type_, value))
    for source, message_id, profile in event_profiles.select("source", "message_id", "profile_id").iter_rows():
        events.setdefault(profile, set()).add((source, message_id))
    assert set(events) == set(held)
    return frozenset((frozenset(has), frozenset(events[p])) for p, has in held.items())


def resolver(engine: Engine) -> Resolve:
    """Resolve events given as dicts or as a frame; `after` is an earlier resolution."""

    def run(events: Any, spec: IdentitySpec | None = None, *, after: Resolution | None = None) -> Resolution:
        rows = events if isinstance(events, pl.DataFrame) else frame(events)
        previous = (after.user_identifiers, after.profile_merges) if after else (None, None)
        return resolve(
            engine, engine.frame(rows), spec or IdentitySpec(), previous=previous[0], merges=previous[1], now=NOW
        )

    return run
