"""Consent per profile and category, from `context.consent.categoryPreferences` of the events and from the desk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cdp_core.operators.values import boolean
from cdp_core.profiles.facts import source_rank
from cdp_core.tables import CONSENTS, DESK

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine

_PATH = ("consent", "categoryPreferences")
_DEVICE, _RECORD, _PERSON = 0, 1, 2
"""Levels: what stands on a higher one supersedes what was said before it on a lower one."""


def consents(
    engine: Engine,
    events: ir.Table,
    event_profiles: ir.Table,
    source_order: Sequence[str],
    desk: ir.Table | None = None,
) -> ir.Table:
    """The state of every category that a profile has spoken about, in the shape of the table `consents`.

    1. Who speaks is a device (anonymous_id); in an event without one, the source's record (record_id), else the user;
       and at the desk, the person.
    2. Each speaker's latest statement counts, as in Segment's Unify ("latest per device wins").
    3. A record (a row of a contact list, say) states a decision about the person, not about a device: it supersedes
       what devices stated before it. What a person says at the desk supersedes all that devices and records stated
       before. What is stated after stands beside it.
    4. If what is left agrees, that is the state, granted or denied; if not, it is `conflict`, which grants nothing.

    source and updated_at are those of the newest statement that is left; the desk's source is `desk`. Latest is by
    time, arrival, the source's rank and message id, so that the load order does not matter. `desk` has profile_id,
    category, granted, at, decision_id and person (equal for what the same person said).
    """
    rows = statements(engine, events, event_profiles, source_order, desk)
    if rows is None:
        return engine.frame(CONSENTS.empty())
    rows = engine.keep(rows)
    left = standing(rows)
    states = left.group_by("profile_id", "category").agg(
        seq=left.seq.max(), grants=left.granted.sum(), speakers=left.count()
    )
    return engine.keep(_shaped(states, rows))


def standing(rows: ir.Table) -> ir.Table:
    """Of `statements` what counts now: profile_id, category, speaker, level, seq and granted, one row per speaker."""
    who = ["profile_id", "category", "speaker", "level"]
    latest = rows.group_by(who).agg(seq=rows.seq.max(), granted=rows.granted.argmax(rows.seq))
    decided = latest.group_by("profile_id", "category").agg(
        by_record=latest.seq.max(where=latest.level >= _RECORD), by_person=latest.seq.max(where=latest.level == _PERSON)
    )
    left = latest.left_join(decided, ["profile_id", "category"])
    left = left.filter(
        (left.level == _PERSON)
        | ((left.level == _RECORD) & (left.seq > left.by_person.fill_null(0)))
        | (left.seq > left.by_record.fill_null(0))
    )
    return left.select(*who, "seq", "granted")


def statements(
    engine: Engine,
    events: ir.Table,
    event_profiles: ir.Table,
    source_order: Sequence[str],
    desk: ir.Table | None = None,
) -> ir.Table | None:
    """Everything that was ever said: profile_id, category, granted (1 or 0), at, source, message_id (at the desk the
    decision's id), run_id, received_at, speaker, level, and seq, which numbers what is said of a profile and category
    from the oldest. None when nobody has said anything.
    """
    spoken = _spoken(engine, events, event_profiles)
    parts = _of_events(engine, spoken, _categories(engine, spoken))
    if desk is not None:
        parts.append(_of_desk(desk))
    if not parts:
        return None
    import ibis

    rows = ibis.union(*parts) if len(parts) > 1 else parts[0]
    return _numbered(rows.filter(rows.granted.notnull()), source_order)


def _spoken(engine: Engine, events: ir.Table, event_profiles: ir.Table) -> ir.Table:
    preferences = events.select(
        "source",
        "message_id",
        "anonymous_id",
        "record_id",
        "user_id",
        "received_at",
        "run_id",
        at=events.timestamp.coalesce(events.received_at),
        preferences=engine.json_text(events.context, *_PATH),
    )
    preferences = preferences.filter(preferences.preferences.notnull() & preferences["at"].notnull())
    links = event_profiles.select("source", "message_id", "profile_id")
    return engine.keep(preferences.inner_join(links, ["source", "message_id"]))


def _categories(engine: Engine, spoken: ir.Table) -> list[str]:
    """Every category that any distinct set of preferences names."""
    found = engine.polars(spoken.select("preferences").distinct())["preferences"].to_list()
    names: set[str] = set()
    for text in found:
        try:
            value = json.loads(text)
        except ValueError:
            continue
        names |= set(value) if isinstance(value, dict) else set()
    return sorted(names)


_SAID = ["profile_id", "source", "message_id", "run_id", "received_at", "at", "speaker", "level", "category", "granted"]


def _of_events(engine: Engine, spoken: ir.Table, categories: Sequence[str]) -> list[ir.Table]:
    import ibis

    device = ibis.literal("device ") + spoken.anonymous_id.nullif("")
    record = ibis.literal("record ") + spoken.source + " " + spoken.record_id.nullif("")
    user = ibis.literal("user ") + spoken.user_id.nullif("")
    is_record = spoken.anonymous_id.nullif("").isnull() & spoken.record_id.nullif("").notnull()
    base = spoken.mutate(
        speaker=ibis.coalesce(device, record, user, ibis.literal("source ") + spoken.source),
        level=is_record.ifelse(ibis.literal(_RECORD, "int64"), ibis.literal(_DEVICE, "int64")),
    )
    return [
        base.mutate(
            category=ibis.literal(name, "string"), granted=boolean(engine.json_text(base.preferences, name))
        ).select(_SAID)
        for name in categories
    ]


def _of_desk(desk: ir.Table) -> ir.Table:
    import ibis

    return desk.mutate(
        source=ibis.literal(DESK, "string"),
        message_id=desk.decision_id,
        run_id=ibis.null("string"),
        received_at=desk["at"],
        speaker=ibis.literal("person ") + desk.person,
        level=ibis.literal(_PERSON, "int64"),
    ).select(_SAID)


def _numbered(rows: ir.Table, source_order: Sequence[str]) -> ir.Table:
    import ibis

    ranked = rows.mutate(
        order_received=rows.received_at.coalesce(rows["at"]), order_rank=source_rank(rows.source, source_order)
    )
    order = [
        ranked["at"],
        ranked.order_received,
        ranked.order_rank,
        ranked.source,
        ranked.run_id.coalesce(""),
        ranked.message_id,
    ]
    number = ibis.row_number().over(group_by=[ranked.profile_id, ranked.category], order_by=order)
    return ranked.mutate(seq=number + 1, granted=ranked.granted.cast("int64")).drop("order_received", "order_rank")


def _shaped(states: ir.Table, rows: ir.Table) -> ir.Table:
    import ibis

    newest = rows.select("profile_id", "category", "seq", "source", updated_at=rows["at"])
    joined = states.inner_join(newest, ["profile_id", "category", "seq"])
    state = ibis.cases((joined.grants == joined.speakers, "granted"), (joined.grants == 0, "denied"), else_="conflict")
    return joined.select("profile_id", "category", state=state, source=joined.source, updated_at=joined.updated_at)
