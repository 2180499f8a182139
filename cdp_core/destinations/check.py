"""What can be said about a sync before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import get_args

from cdp_core.destinations.base import ReplacesWhole, SupportsPlace
from cdp_core.destinations.fields import PATHS, FieldSpec
from cdp_core.destinations.functions.columns import columns_read
from cdp_core.destinations.model import EVENT_COLUMNS
from cdp_core.destinations.open import delivery_for, destination_class, open_destination, parsed
from cdp_core.destinations.spec import AudienceModel, DestinationSpec, EventsModel, Mode, SqlModel, SyncSpec
from cdp_core.errors import SpecError

REMOVING = frozenset({"mirror", "remove"})
MODE_WORDS: dict[str, str] = {
    "mirror": "Adds and changes what is in the model, and removes what has left it",
    "upsert": "Adds and changes; removes nothing",
    "insert": "Sends every row once and never again",
    "update": "Changes what is there already; adds nothing",
    "full": "Sends every row in every run, changed or not",
    "remove": "Takes the rows of the model out of the destination",
}
"""What a mode does, in the order in which people choose."""


def check_destination(name: str, spec: DestinationSpec, root: Path | None = None) -> None:
    """Raises SpecError when the type is unknown or its options are wrong; nothing is connected."""
    parsed(destination_class(name, spec, root).Options, spec.options, where=f"destinations.{name}")


def check_sync(
    name: str,
    sync: SyncSpec,
    destinations: Mapping[str, DestinationSpec],
    audiences: Iterable[str],
    profile_columns: Iterable[str] | None,
    sources: Iterable[str] | None = None,
    root: Path | None = None,
) -> None:
    """Raises SpecError, with the nearest valid name, for anything a sync refers to that is not there.

    `profile_columns` are the columns of `profiles`; None leaves them unchecked, as do sql models, whose columns are
    known when the plan is made. `sources` are those of cdp.yaml; None leaves a choice of events unchecked. `root` is
    the workspace's folder, for destination types of its own.
    """
    where = f"syncs.{name}"
    if sync.destination not in destinations:
        raise SpecError.unknown("destination", sync.destination, destinations, where=f"{where}.destination")
    if isinstance(sync.model, AudienceModel) and sync.model.audience not in (known := set(audiences)):
        raise SpecError.unknown("audience", sync.model.audience, known, where=f"{where}.model.audience")
    if isinstance(sync.model, EventsModel):
        _check_events(sync, sync.model, sources, where)
    elif not isinstance(sync.model, SqlModel) and profile_columns is not None:
        columns = set(profile_columns)
        for place, spec in _columns(sync, where):
            if spec.column not in columns:
                raise SpecError.unknown("trait", str(spec.column), columns, where=place)
    _check_abilities(name, sync, destinations[sync.destination], root)


def _check_events(sync: SyncSpec, model: EventsModel, sources: Iterable[str] | None, where: str) -> None:
    known = set(model.events.source if sources is None else sources)
    for source in model.events.source:
        if source not in known:
            raise SpecError.unknown("source", source, known, where=f"{where}.model.events.source")
    for place, spec in _columns(sync, where):
        if spec.column not in EVENT_COLUMNS and spec.path is None:
            error = SpecError.unknown("column", str(spec.column), EVENT_COLUMNS, where=place)
            hint = error.hint or f"inside JSON a value is named by its place: {', '.join(PATHS)}, a dot, its name"
            raise SpecError(error.what, where=error.where, choices=error.choices, hint=hint)


def _columns(sync: SyncSpec, where: str) -> Iterator[tuple[str, FieldSpec]]:
    for field, source in sync.mapping.items():
        yield from columns_read(source, f"{where}.mapping.{field}")


def check_places(
    syncs: Mapping[str, SyncSpec], destinations: Mapping[str, DestinationSpec], root: Path | None = None
) -> None:
    """Raises SpecError when two syncs would keep the same file: each would overwrite the other's rows.

    To be called when every sync has passed `check_sync`.
    """
    taken: dict[str, str] = {}
    for name, sync in syncs.items():
        destination = open_destination(sync.destination, destinations[sync.destination], root=root or Path())
        if not (isinstance(destination, ReplacesWhole) and isinstance(destination, SupportsPlace)):
            continue
        place = destination.place(delivery_for(name, sync, destination, {})).partition("?")[0]
        if place in taken:
            raise SpecError(
                f"the syncs {taken[place]!r} and {name!r} write the same file",
                where=f"syncs.{name}.options",
                hint="give each a file of its own",
            )
        taken[place] = name


def _check_abilities(name: str, sync: SyncSpec, destination: DestinationSpec, root: Path | None) -> None:
    cls = destination_class(sync.destination, destination, root)
    parsed(cls.SyncOptions, sync.options, where=f"syncs.{name}.options")
    allowed = modes(cls)
    if sync.mode not in allowed:
        what = "cannot remove rows, which" if sync.mode in REMOVING and not can_remove(cls) else "has no meaning for"
        tail = f"mode {sync.mode} does" if what.startswith("cannot") else f"mode {sync.mode}"
        raise SpecError(
            f"destination {sync.destination!r} ({destination.type}) {what} {tail}",
            where=f"syncs.{name}.mode",
            choices=[mode for mode in get_args(Mode) if mode in allowed],
        )


def can_remove(cls: type) -> bool:
    """Whether a destination class can take rows away: by key, or by being written whole."""
    return hasattr(cls, "remove") or hasattr(cls, "remove_rows") or bool(getattr(cls, "whole", False))


def modes(cls: type) -> frozenset[str]:
    """The modes of a sync that a destination class has a meaning for, from what it says or from its methods."""
    said = getattr(cls, "modes", None)
    if said is not None:
        return frozenset(said)
    found = {"upsert", "insert", "full"}
    if can_remove(cls):
        found |= {"mirror"} if getattr(cls, "whole", False) else REMOVING
    return frozenset(found)
