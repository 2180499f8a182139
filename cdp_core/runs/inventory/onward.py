"""What leads from identifiers, traits and consent to audiences, syncs and destinations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from cdp_core.audiences.spec import AudienceCondition, ConsentCondition, TraitCondition, leaves
from cdp_core.destinations.functions.columns import columns_read
from cdp_core.destinations.spec import AudienceModel, SqlModel, SyncSpec
from cdp_core.engine.sql_reads import Reads, sql_reads
from cdp_core.profiles.spec import SqlTrait, columns_of

if TYPE_CHECKING:
    from cdp_core.config import Config

Told = tuple[str, str, Literal["value", "condition"], str]


def onward(config: Config) -> Iterator[Told]:
    """Edges (left, right, carries, by) between everything that is no field."""
    for name, derived in config.identity.derived().items():
        yield f"identifier:{derived.from_}", f"identifier:{name}", "value", derived.how
    for name, trait in config.traits.items():
        if isinstance(trait, SqlTrait):
            made = columns_of(name, trait)
            for left in _read(config, sql_reads(trait.sql)):
                yield from ((left, f"trait:{column}", "value", "sql") for column in made if left != f"trait:{column}")
    for name, audience in config.audiences.items():
        for leaf in leaves(audience.where):
            if isinstance(leaf, TraitCondition):
                yield f"trait:{leaf.trait}", f"audience:{name}", "condition", "trait"
            elif isinstance(leaf, AudienceCondition):
                yield f"audience:{leaf.audience}", f"audience:{name}", "condition", "audience"
            elif isinstance(leaf, ConsentCondition):
                yield f"consent:{leaf.consent}", f"audience:{name}", "condition", "consent"
    for name, sync in config.syncs.items():
        yield from _sync(config, name, sync)


def _sync(config: Config, name: str, sync: SyncSpec) -> Iterator[Told]:
    node = f"sync:{name}"
    yield node, f"destination:{sync.destination}", "value", ""
    destination = config.destinations.get(sync.destination)
    for category in destination.consent if destination is not None else ():
        yield f"consent:{category}", node, "condition", "consent"
    if isinstance(sync.model, SqlModel):
        yield from ((left, node, "value", "sql") for left in _read(config, sql_reads(sync.model.sql)))
        return
    if isinstance(sync.model, AudienceModel):
        yield f"audience:{sync.model.audience}", node, "condition", "members"
    if sync.of_events:
        return
    traits = config.trait_types()
    for to, source in sync.mapping.items():
        for place, field in columns_read(source, to):
            if field.column in traits:
                yield f"trait:{field.column}", node, "value", to + (", hashed" if ".hash" in place else "")


def _read(config: Config, reads: Reads) -> Iterator[str]:
    """Nodes whose values a SELECT reads, as far as the names in it say."""
    for column in config.trait_types():
        picked = {"profile_traits"} & reads.tables and (reads.speaks_of(column) or not reads.texts)
        if reads.reads("profiles", column) or picked:
            yield f"trait:{column}"
    if "user_identifiers" in reads.tables:
        for name in config.identity.identifiers:
            if reads.speaks_of(name) or not any(map(reads.speaks_of, config.identity.identifiers)):
                yield f"identifier:{name}"
    if "audience_members" in reads.tables:
        for name in config.audiences:
            if reads.speaks_of(name) or not any(map(reads.speaks_of, config.audiences)):
                yield f"audience:{name}"
