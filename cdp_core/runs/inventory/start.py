"""What reads a field itself: identifiers, traits, audiences and syncs of events."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from cdp_core.audiences.spec import EventCondition, leaves
from cdp_core.destinations.functions.columns import columns_read
from cdp_core.destinations.spec import EventChoice, EventsModel, SqlModel, SyncSpec
from cdp_core.engine.sql_reads import Reads, sql_reads
from cdp_core.profiles.spec import ComputedTrait, PickedTrait, SqlTrait, columns_of

if TYPE_CHECKING:
    from cdp_core.config import Config
    from cdp_core.tracking import Step

Told = tuple[str, str, Literal["value", "condition"], str]
_OWN = ("user_id", "anonymous_id", "group_id")
_CONSENT = "context.consent.categoryPreferences."
_EXTERNAL = "context.externalIds."
_JSON = ("properties", "traits", "context", "extra")


def starts(config: Config, source: str, place: str, said: tuple[str, ...]) -> Iterator[Told]:
    """Edges (left, right, carries, by) that begin at the field."""
    field = f"field:{source}.{place}"
    head, _, rest = place.partition(".")
    if source == "profiles" and source not in config.sources:
        yield field, f"trait:{place}", "value", "golden value"
    elif source == "user_identifiers" and source not in config.sources:
        yield field, f"identifier:{head}", "value", ""
    elif source == "sync_ledger" and source not in config.sources:
        if head in config.syncs:
            yield field, f"sync:{head}", "value", rest
    elif head != "quarantine":
        yield from _of_event(config, field, source, place, said)


def _of_event(config: Config, field: str, source: str, place: str, said: tuple[str, ...]) -> Iterator[Told]:
    for name in _identifiers(config, place):
        yield field, f"identifier:{name}", "value", "identity"
    if place.startswith(_CONSENT):
        yield field, f"consent:{place.removeprefix(_CONSENT)}", "value", "consent"
    yield from _traits(config, field, source, place, said)
    yield from _audiences(config, field, place, said)
    yield from _syncs(config, field, source, place, said)


def _identifiers(config: Config, place: str) -> Iterator[str]:
    known = config.identity.identifiers
    if place in _OWN:
        yield from (place,) if place in known or place != "group_id" else ()
    elif place == "previous_id":
        yield from ("user_id", "anonymous_id")
    elif place.startswith(_EXTERNAL):
        yield place.removeprefix(_EXTERNAL)
    found = re.fullmatch(r"(?:traits|properties|context\.traits)\.([^.]+)", place)
    if found:
        yield from (name for name in known if name not in _OWN and found[1] in (name, _camel(name)))


def _camel(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda m: m[1].upper(), name)


def _traits(config: Config, field: str, source: str, place: str, said: tuple[str, ...]) -> Iterator[Told]:
    head, key = (*place.split("."), "")[:2]
    for name, trait in config.traits.items():
        node = f"trait:{name}"
        if isinstance(trait, PickedTrait):
            stated = head == "traits" and key == (trait.from_ or name) and _calls(said, "identify")
            if stated and (trait.sources is None or source in trait.sources):
                yield field, node, "value", f"pick {trait.pick}"
        elif isinstance(trait, ComputedTrait):
            if head == "properties" and _happens(said, trait.event):
                if key == trait.property_name:
                    carries: Any = "condition" if trait.how == "unique_count" else "value"
                    yield field, node, carries, trait.how.replace("_", " ")
                if key in trait.where:
                    yield field, node, "condition", "where"
        elif isinstance(trait, SqlTrait) and _read_by(sql_reads(trait.sql), place):
            yield from ((field, f"trait:{column}", "value", "sql") for column in columns_of(name, trait))


def _audiences(config: Config, field: str, place: str, said: tuple[str, ...]) -> Iterator[Told]:
    head, key = (*place.split("."), "")[:2]
    for name, audience in config.audiences.items():
        for leaf in leaves(audience.where):
            asked = isinstance(leaf, EventCondition) and head == "properties" and key in leaf.where
            if asked and _happens(said, leaf.event):  # type: ignore[union-attr]
                yield field, f"audience:{name}", "condition", "where"


def _syncs(config: Config, field: str, source: str, place: str, said: tuple[str, ...]) -> Iterator[Told]:
    for name, sync in config.syncs.items():
        if isinstance(sync.model, SqlModel):
            if _read_by(sql_reads(sync.model.sql), place):
                yield field, f"sync:{name}", "value", "sql"
        elif sync.of_events:
            choice = sync.model.events if isinstance(sync.model, EventsModel) else EventChoice.model_validate({})
            steps = config.destinations[sync.destination].transform if sync.destination in config.destinations else ()
            sent = _after(place, steps, said)
            if sent is not None and _chosen(choice, source, said):
                yield from ((field, f"sync:{name}", "value", to) for to in _mapped(sync, sent))


def _mapped(sync: SyncSpec, place: str) -> Iterator[str]:
    """Fields of a mapping that read a place of the event."""
    for to, source in sync.mapping.items():
        for inside, field in columns_read(source, to):
            if _within(place, str(field.column)):
                yield to + (", hashed" if ".hash" in inside else "")


def _chosen(choice: EventChoice, source: str, said: tuple[str, ...]) -> bool:
    if choice.source and source not in choice.source:
        return False
    calls = [one.partition(" ") for one in said]
    return not calls or any(
        (not choice.type or type_ in choice.type) and (not choice.event or event in choice.event)
        for type_, _, event in calls
    )


def _after(place: str, steps: Sequence[Step], said: tuple[str, ...]) -> str | None:
    """Where a field stands when a destination has changed events that all carry it; None when it is taken out."""
    for step in steps:
        if step.kind == "rename_event" or not _within(place, ".".join(step.place)):
            continue
        if any(not _concerned(step, one) for one in said):
            continue
        if step.kind == "drop":
            return None
        if step.kind in ("rename", "move"):
            place = ".".join((*step.target, *place.split(".")[len(step.place) :]))
    return place


def _concerned(step: Step, said: str) -> bool:
    type_, _, event = said.partition(" ")
    return step.type in (None, type_) and step.event in (None, event)


def _within(place: str, column: str) -> bool:
    """Whether a column or path holds a place, or is inside it."""
    left, right = place.split("."), column.split(".")
    return all(a == b for a, b in zip(left, right, strict=False))


def _calls(said: tuple[str, ...], type_: str) -> bool:
    return not said or any(one.partition(" ")[0] == type_ for one in said)


def _happens(said: tuple[str, ...], event: str) -> bool:
    return not said or any(one.partition(" ")[2] == event for one in said)


def _read_by(reads: Reads, place: str) -> bool:
    """Whether a SELECT reads a field of the events: its column, and inside JSON its key, where any key is named."""
    head, *keys = place.split(".")
    if not reads.reads("events", head):
        return False
    return not keys or head not in _JSON or not reads.texts or reads.speaks_of(keys[0])
