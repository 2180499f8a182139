"""Everything that is held about one person, table by table (GDPR 15): theirs alone, and nothing of anybody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core.privacy.sections import Section, of_frame, of_rows
from cdp_core.runs import access_more
from cdp_core.runs.naming import naming

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.config import Config
    from cdp_core.engine import Engine
    from cdp_core.privacy.tombstones import Identifier

KEY = ["source", "message_id"]


@dataclass(frozen=True, kw_only=True)
class Person:
    """Whom it is about; `profile_ids` are the profile and those that went into it, none when no profile has them."""

    profile_id: str | None
    profile_ids: tuple[str, ...]
    identifiers: tuple[Identifier, ...]


def person(engine: Engine, profile_id: str | None, identifiers: Sequence[Identifier]) -> Person:
    merges = engine.table("profile_merges")
    old = engine.polars(merges.filter(merges.profile_id == (profile_id or "")).select("from_profile_id").distinct())
    ids = (*([profile_id] if profile_id else []), *sorted(old["from_profile_id"]))
    return Person(profile_id=profile_id, profile_ids=ids, identifiers=tuple(identifiers))


def sections(engine: Engine, config: Config, root: Path, who: Person) -> Iterator[Section]:
    """What is held, in the order in which a person would ask for it; empty sections too."""
    own = partial(_own, engine, who)
    known = engine.frame(_identifier_frame(who))
    rows = partial(of_rows, engine)
    yield rows("profile", "Profile", "What is concluded about you, as one record.", own("profiles"))
    yield rows(
        "traits",
        "Where each value comes from",
        "The source, the event and the rule that gave it.",
        own("profile_traits"),
        order=["trait"],
    )
    yield rows(
        "identifiers", "Identifiers", "By what you are recognised.", own("user_identifiers"), order=["type", "value"]
    )
    yield rows(
        "evidence", "Why they are taken to be yours", "Identifiers that were seen together.", _evidence(engine, known)
    )
    yield rows(
        "events",
        "Events",
        "What you did and stated, as it was received. Those that do not count are older versions, or were of no use.",
        _events(engine, config, who),
        order=["timestamp", *KEY],
        json=("properties", "traits", "context", "extra"),
    )
    yield rows(
        "held",
        "Held back",
        "Rows that were not taken over, with the reason.",
        _held(engine, config, who),
        order=["received_at", *KEY],
        json=("payload", "reasons", "fixed"),
    )
    yield of_frame(
        "waiting",
        "Received and not loaded yet",
        "What waits to be taken over.",
        access_more.waiting(engine, config, root, who.identifiers),
        json=("payload",),
    )
    yield rows(
        "corrections",
        "Corrections",
        "Values that you have had corrected.",
        access_more.corrected(engine, who.profile_id),
    )
    yield rows("consents", "Consent", "What you have consented to.", own("consents"), order=["category"])
    yield of_frame(
        "consent_history",
        "Who said what about consent",
        "Every statement, newest first.",
        access_more.consent_history(engine, config, root, who.profile_id, who.identifiers),
    )
    yield rows("audiences", "Audiences", "Groups that you are in now.", own("audience_members"), order=["audience"])
    yield rows(
        "audience_history",
        "Audiences, history",
        "When you entered and left.",
        own("audience_changes"),
        order=["at", "audience"],
    )
    sent = partial(_sent, engine, config, who)
    yield rows(
        "sent",
        "Sent to recipients",
        "What recipients have been given about you, or could not be.",
        sent("sync_ledger"),
        order=["sync", "key"],
        json=("payload", "before"),
    )
    yield rows(
        "sent_history",
        "Sent, history",
        "Every delivery, removal and refusal.",
        sent("sync_log"),
        order=["sent_at", "sync", "key"],
    )
    yield of_frame(
        "suppressions",
        "Suppressions",
        "Decisions that nothing about you is sent.",
        access_more.suppressions(root, who.identifiers),
    )
    yield rows(
        "merges",
        "Profiles that became one",
        "Earlier profiles that went into this one.",
        own("profile_merges"),
        order=["at"],
    )
    yield of_frame(
        "decisions",
        "Decisions about who is who",
        "Made by a person. Of another person's identifier only that there is one.",
        access_more.decisions(root, who.identifiers),
    )
    yield rows(
        "conflicts",
        "What was held back in recognising you",
        "Identifiers that rules did not take to be yours alone.",
        access_more.conflicts(engine, who.profile_id, known),
    )
    yield rows(
        "alike",
        "Profiles that look like yours",
        "How likely another profile is you too.",
        access_more.alike(engine, known),
    )


def _identifier_frame(who: Person) -> Any:
    import polars as pl

    return pl.DataFrame(list(who.identifiers), schema={"type": pl.String, "value": pl.String}, orient="row")


def _own(engine: Engine, who: Person, name: str) -> ir.Table:
    rows = engine.table(name)
    return rows.filter(rows.profile_id.isin(who.profile_ids)) if who.profile_ids else rows.limit(0)


def _evidence(engine: Engine, known: ir.Table) -> ir.Table:
    """Links of which both ends are theirs."""
    links = engine.table("identity_links")
    for side in ("left", "right"):
        links = links.semi_join(
            known.rename({f"{side}_type": "type", f"{side}_value": "value"}), [f"{side}_type", f"{side}_value"]
        )
    return links


def _events(engine: Engine, config: Config, who: Person) -> ir.Table:
    """Events of the profile, older versions of their rows, and events of no profile that name them."""
    import ibis

    events, links = engine.table("events"), engine.table("event_profiles")
    mine = _own(engine, who, "event_profiles").select(KEY)
    counted = engine.keep(events.semi_join(mine, KEY))
    nobodys = engine.keep(events.anti_join(links, KEY))
    rows = counted.filter(counted.row_key.notnull()).select("source", "row_key").distinct()
    older = nobodys.semi_join(rows, ["source", "row_key"]).select(KEY)
    text = ibis.literal("{") + _member("userId", engine.json_quoted(nobodys.user_id))
    text += ibis.literal(",") + _member("anonymousId", engine.json_quoted(nobodys.anonymous_id))
    for name in ("traits", "properties", "context"):
        text += ibis.literal(",") + _member(name, nobodys[name])
    said = nobodys.mutate(said=text + ibis.literal("}"))
    named = naming(engine, config, said, "said", who.identifiers).select(KEY)
    rest = nobodys.semi_join(engine.keep(older.union(named).distinct()), KEY)
    return counted.mutate(counts=True).union(rest.mutate(counts=False))


def _member(name: str, value: ir.Value) -> ir.Value:
    import ibis

    return ibis.literal(f'"{name}":') + value.fill_null("null")


def _held(engine: Engine, config: Config, who: Person) -> ir.Table:
    return naming(engine, config, engine.table("quarantine"), "payload", who.identifiers)


def _sent(engine: Engine, config: Config, who: Person, name: str) -> ir.Table:
    """Rows of their profiles, and rows of no profile that name them, with the recipient."""
    import ibis

    rows = engine.table(name)
    if "payload" in rows.columns:
        nobodys = rows.filter(rows.profile_id.isnull()).mutate(source=ibis.literal(""))
        named = naming(engine, config, nobodys, "payload", who.identifiers).drop("source")
        rows = _own(engine, who, name).union(named)
    else:
        rows = _own(engine, who, name)
    to = [(sync, spec.destination) for sync, spec in config.syncs.items()]
    recipient: Callable[[int], Any] = lambda place: (  # noqa: E731
        ibis.cases(*((rows.sync == sync, d if place else config.destinations[d].type) for sync, d in to), else_=None)
        if to
        else ibis.null("string")
    )
    return rows.mutate(destination=recipient(1), destination_type=recipient(0))
