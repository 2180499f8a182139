"""Fields that hold what others hold: columns of tables, what is held back, and what was sent follow their sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from cdp_core.privacy.names import words
from cdp_core.runs.inventory.flow import Flow
from cdp_core.runs.inventory.read import OWN, QUARANTINE, TABLES
from cdp_core.runs.inventory.scan import Field

if TYPE_CHECKING:
    from cdp_core.config import Config
    from cdp_core.sources.spec import MapSpec

UNSTORED = "columns"
"""Before the columns of a source that its mapping leaves out: they are named, and not stored."""


def feeders(config: Config, fields: Sequence[Field], flows: Mapping[str, Flow]) -> dict[str, list[str]]:
    """Field → the fields whose values it holds; nothing for those that sources bring."""
    known = {field.name for field in fields}
    found: dict[str, list[str]] = {}
    for field in fields:
        if is_own(config, field):
            for name in _fed(flows[field.name]):
                if name in known:
                    found.setdefault(name, []).append(field.name)
        elif field.place.startswith(f"{QUARANTINE}."):
            spec = config.sources.get(field.source)
            inside = field.place.partition(".")[2]
            places = _mapped(spec.map, inside) if spec and spec.map else [_as_stored(inside)]
            if origin := [f"{field.source}.{place}" for place in places if f"{field.source}.{place}" in known]:
                found[field.name] = origin
    return found


def is_own(config: Config, field: Field) -> bool:
    """Whether a source brought the field, and it passed."""
    if field.source in TABLES and field.source not in config.sources:
        return False
    return field.place.split(".")[0] not in (QUARANTINE, UNSTORED)


def _fed(flow: Flow) -> Iterator[str]:
    """Fields of tables that the value of a field reaches."""
    for name in flow.names("trait", "value"):
        yield f"profiles.{name}"
    for name in flow.names("identifier", "value"):
        yield f"user_identifiers.{name}"
    for edge in flow.edges:
        if edge.right.startswith("sync:") and edge.carries == "value":
            yield f"sync_ledger.{edge.right.partition(':')[2]}.{edge.by.partition(',')[0]}"


def _mapped(spec: MapSpec, column: str) -> Iterator[str]:
    """Places that a column of a row goes to."""
    if column == (spec.record or (spec.key[0] if len(spec.key) == 1 else None)):
        yield "record_id"
    for name, of in spec.identifiers.items():
        if of == column:
            yield name if name in OWN else f"context.externalIds.{name}"
    for name, of in spec.consent.items():
        if of == column:
            yield f"context.consent.categoryPreferences.{name}"
    for bucket in ("traits", "properties"):
        for name, value in (getattr(spec, bucket) or {column: column}).items():
            if getattr(value, "column", value) == column:
                yield f"{bucket}.{name}"


def _as_stored(place: str) -> str:
    """The place of an event that came in Segment's spelling."""
    head, _, rest = place.partition(".")
    return f"{words(head)}.{rest}" if rest else words(head)
