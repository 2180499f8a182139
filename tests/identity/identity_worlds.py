"""Small worlds of events, and who is who in them by the plainest reading of the rules: one event after the other."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from cdp_core import tables
from cdp_core.engine import Engine
from cdp_core.errors import UsageError
from cdp_core.identity.overrides import ALWAYS, NEVER, Override, in_force, override, with_decision
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


def random_world(
    seed: int, spec: IdentitySpec, *, events: int = 14, values: int = 5, minutes: Sequence[int] = range(6)
) -> list[Told]:
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
            identifiers = tuple(sorted({(kind, f"{kind[0]}{rng.randrange(values)}w{seed}") for kind in kinds}))
            singles = {"user_id", "anonymous_id"}
            identifiers = tuple(
                (k, v) for i, (k, v) in enumerate(identifiers) if k not in singles or k not in dict(identifiers[:i])
            )
        message_id = f"w{seed}-{rng.randrange(1000):03d}-{number}"
        told.append(Told(rng.choice(minutes), rng.choice(["crm", "web"]), message_id, identifiers))
    return told


@dataclass(frozen=True)
class Outcome:
    """Groups of identifiers and groups of events (source, message_id), one pair per profile."""

    profiles: frozenset[tuple[frozenset[Identifier], frozenset[tuple[str, str]]]]
    demoted: frozenset[tuple[str, str, Identifier]]


def random_decisions(seed: int, world: Sequence[Told]) -> list[Override]:
    """A few pairs of the world's identifiers that are never or always to be linked, without contradiction."""
    rng = random.Random(f"decisions {seed}")
    known = sorted({i for told in world for i in told.identifiers})
    history: list[Override] = []
    for _ in range(rng.randint(0, 3) if len(known) > 1 else 0):
        left, right = rng.sample(known, 2)
        action = rng.choice([NEVER, ALWAYS])
        with contextlib.suppress(UsageError):
            history = with_decision(history, override(action, left, right, reason="test", at=START))
    return in_force(history)


DAYS_OF = {"week": 7, "month": 30, "year": 365}


def one_by_one(world: Sequence[Told], spec: IdentitySpec, decisions: Sequence[Override] = ()) -> Outcome:
    """Segment's steps as they are written down, event by event, repetitions and all; decisions of people come first."""
    priority = list(spec.identifiers)

    def rank(identifier: Identifier) -> tuple[int, Identifier]:
        return priority.index(identifier[0]), identifier

    world = _without_shared(world, spec, rank)
    present = {i for told in world for i in told.identifiers}
    pairs = [(d.action, d.left, d.right) for d in decisions if d.left in present and d.right in present]
    groups: list[set[Identifier]] = []
    for _, left, right in (p for p in pairs if p[0] == ALWAYS):
        touched = [g for g in groups if left in g or right in g]
        groups = [g for g in groups if g not in touched] + [{left, right}.union(*touched)]
    doubles = {i for g in groups for i in g if any(rank(o) < rank(i) and o[0] == i[0] for o in g)}
    first = {i: min(t.minute for t in world if i in t.identifiers) for i in present}

    def breaks(union: set[Identifier], merged: int) -> bool:
        counted = [i for i in union if i not in doubles]
        for kind in priority:
            times = sorted(first[i] for i in counted if i[0] == kind)
            limit, width = spec.limit(kind), DAYS_OF.get(spec.window(kind), 10**9) * 24 * 60
            if any(sum(start <= t < start + width for t in times) > limit for start in times):
                return True
        users = sum(kind == "user_id" for kind, _ in counted)
        return (
            any(left in union and right in union for action, left, right in pairs if action == NEVER)
            or (spec.hold.user_ids and users > 1)
            or len(union) > min(spec.max_mappings, spec.hold.size or spec.max_mappings)
            or merged > spec.max_merges
        )

    held: dict[int, set[Identifier]] = dict(enumerate(map(set, groups)))
    merges: dict[int, int] = dict.fromkeys(held, 0)
    owner: dict[tuple[str, str], int] = {}
    demoted = set()
    created = len(held)
    for told in sorted(world, key=lambda t: (t.minute, t.source, t.message_id)):
        left = sorted(set(told.identifiers), key=rank)
        while True:
            candidates = sorted(p for p, has in held.items() if has & set(left))
            union = set(left).union(*(held[p] for p in candidates))
            count = sum(merges[p] for p in candidates) + max(len(candidates) - 1, 0)
            if len(left) == 1 or not breaks(union, count):
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
    profiles = frozenset((frozenset(has), events[p]) for p, has in held.items() if events[p])
    return Outcome(profiles, frozenset(demoted))


def _without_shared(world: Sequence[Told], spec: IdentitySpec, rank: Callable[[Identifier], Any]) -> list[Told]:
    """Identifiers that meet more user_ids than allowed are taken out of every event that has another one."""
    met: dict[Identifier, set[Identifier]] = {}
    for told in world:
        users = {i for i in told.identifiers if i[0] == "user_id"}
        for identifier in set(told.identifiers) - users:
            met.setdefault(identifier, set()).update(users)
    shared = {i for i, users in met.items() if spec.shared is not None and len(users) > spec.shared}
    left = []
    for told in world:
        kept = tuple(i for i in told.identifiers if i not in shared) or (min(told.identifiers, key=rank),)
        left.append(replace(told, identifiers=kept))
    return left


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

    def run(
        events: Any,
        spec: IdentitySpec | None = None,
        *,
        after: Resolution | None = None,
        overrides: Sequence[Override] = (),
    ) -> Resolution:
        rows = events if isinstance(events, pl.DataFrame) else frame(events)
        previous = (after.user_identifiers, after.profile_merges) if after else (None, None)
        return resolve(
            engine,
            engine.frame(rows),
            spec or IdentitySpec(),
            previous=previous[0],
            merges=previous[1],
            now=NOW,
            overrides=overrides,
        )

    return run
