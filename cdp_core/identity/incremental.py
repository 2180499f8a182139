"""Identity after new events: what they touch is resolved again, everything else stays as it is.

What a resolution says of a component (identifiers that hang together by events and decisions) depends on the events of
that component alone. So it is enough to look again at all events of the components that new events change, and to count
the others on; the result equals that of looking at everything. What would not (see `update`) is left to `resolve`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from cdp_core.engine import PLACE
from cdp_core.identity.affected import Affected, affected
from cdp_core.identity.batch import ID, Batch, Published, read_batch
from cdp_core.identity.identifiers import KEY, know, see
from cdp_core.identity.ids import Elsewhere
from cdp_core.identity.links import FACT, evidence, named_links
from cdp_core.identity.onwards import conflicts_onwards, identifiers_onwards, links_onwards, shared_anew
from cdp_core.identity.overrides import Override
from cdp_core.identity.resolve import Resolution, Rest, settled
from cdp_core.identity.spec import IdentitySpec

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine


@dataclass(frozen=True, kw_only=True)
class Change:
    """Rows of a table that go (`gone`: in the column PLACE, see `Engine.placed`), and rows that come."""

    gone: ir.Table
    rows: ir.Table

    def applied(self, placed: ir.Table) -> ir.Table:
        """The whole table afterwards."""
        return placed.anti_join(self.gone, PLACE).drop(PLACE).union(self.rows.select(placed.drop(PLACE).columns))


@dataclass(frozen=True, kw_only=True)
class Update:
    """`changes` of identity_links, user_identifiers and event_profiles; the other two tables whole. `profiles` is how
    many published profiles were resolved again.
    """

    changes: dict[str, Change]
    profile_merges: ir.Table
    identity_conflicts: ir.Table
    profiles: int


def update(
    engine: Engine,
    events: ir.Table,
    fresh: ir.Table,
    spec: IdentitySpec,
    published: Published,
    *,
    now: datetime,
    overrides: Sequence[Override] = (),
) -> Update | None:
    """What `fresh`, the new ones of `events`, change about what is published.

    `published` must be what the same `spec` and `overrides` gave on the other events. None where that cannot be told
    from the new events and the profiles they touch: with holds on bridges, with another identifier than user_id first
    while shared ones are learned, and when an identifier appears that an older alias meant, or a row is corrected that
    bears a value to be ignored or set aside.
    """
    first = next(iter(spec.identifiers))
    if spec.hold.bridge or (spec.shared is not None and spec.rules("user_id") and first != "user_id"):
        return None
    batch = read_batch(engine, events, fresh, spec, published, overrides)
    return None if batch is None else _Work(engine, events, spec, published, batch, overrides, now).update()


@dataclass
class _Work:
    engine: Engine
    events: ir.Table
    spec: IdentitySpec
    published: Published
    batch: Batch
    overrides: Sequence[Override]
    now: datetime

    def update(self) -> Update | None:
        engine, batch, published = self.engine, self.batch, self.published
        uses = engine.polars(batch.seen.uses)
        first = uses.group_by("tuple").agg(at=pl.col("first_seen").min())
        lost, shared = self._lost_facts(), shared_anew(engine, batch, published, self.spec)
        if lost is None or shared is None:
            return None
        found = affected(batch, first, self.spec, self.overrides)
        ids = engine.frame(found.profiles.to_frame())
        inside = engine.keep(batch.near.semi_join(ids, "profile_id"))
        again, before = self._again(found, ids, inside)
        counted = identifiers_onwards(batch, found.settled, uses)
        links = links_onwards(batch.links, batch.known_links, lost, engine.polars(again.identity_links))
        conflicts = conflicts_onwards(
            engine, batch, shared, self.spec, found.profiles, engine.polars(again.identity_conflicts)
        )
        rows, own = engine.frame(counted), engine.frame(batch.held.join(counted, on=ID, how="semi").select(PLACE))
        return Update(
            changes={
                "identity_links": Change(gone=self._old_links(links, lost), rows=engine.frame(links)),
                "user_identifiers": Change(
                    gone=engine.keep(inside.select(PLACE).union(own)),
                    rows=engine.keep(rows.union(again.user_identifiers.select(rows.columns))),
                ),
                "event_profiles": self._moved(found, again, before),
            },
            profile_merges=again.profile_merges,
            identity_conflicts=engine.frame(conflicts),
            profiles=len(found.profiles),
        )

    def _lost_facts(self) -> pl.DataFrame | None:
        """Keys of the links that events stated which no longer count; None when they bear values to be ignored or set
        aside, the counts of which cannot be taken back.
        """
        engine, batch = self.engine, self.batch
        none = batch.links.select(FACT).clear()
        if batch.dropped is None:
            return none
        seen = see(engine, self.events.semi_join(batch.dropped, KEY), self.spec, all_count=True)
        known = know(engine, seen, self.spec)
        if known.values["problem"].is_not_null().any() or known.frame.join(batch.aside, on=ID, how="semi").height:
            return None
        return pl.concat([none, engine.polars(named_links(evidence(engine, seen, known), known)).select(FACT)])

    def _old_links(self, links: pl.DataFrame, lost: pl.DataFrame) -> ir.Table:
        engine, published = self.engine, self.published.identity_links
        counted = engine.frame(self.batch.known_links.join(links, on=FACT, how="semi").select(PLACE))
        if lost.is_empty():
            return counted
        return engine.keep(counted.union(published.semi_join(engine.frame(lost), FACT).select(PLACE)))

    def _again(self, found: Affected, ids: ir.Table, inside: ir.Table) -> tuple[Resolution, ir.Table]:
        """The affected profiles (`ids`, their identifiers `inside`) resolved from all their events, and what was
        published about these events.
        """
        engine, batch, published = self.engine, self.batch, self.published
        before = published.event_profiles.semi_join(ids, "profile_id")
        if batch.dropped is not None:
            before = before.anti_join(batch.dropped, KEY)
        before = engine.keep(before)
        moving = batch.seen.events.anti_join(engine.frame(found.settled), "tuple")
        keys = engine.keep(before.select(KEY).union(moving.select(KEY)))
        again = settled(
            engine,
            see(engine, self.events.semi_join(keys, KEY), self.spec, all_count=True),
            self.spec,
            previous=inside,
            merges=published.profile_merges,
            now=self.now,
            overrides=self.overrides,
            rest=Rest(ids=Elsewhere(published.user_identifiers, ids), aside=batch.aside),
        )
        return again, before

    def _moved(self, found: Affected, again: Resolution, before: ir.Table) -> Change:
        """New events, and old ones that now belong to another profile."""
        engine, batch = self.engine, self.batch
        own = batch.seen.events.join(engine.frame(found.settled), "tuple").select(*KEY, "profile_id")
        columns = [*KEY, "profile_id"]
        rows = engine.keep(own.union(again.event_profiles.select(columns).anti_join(before.select(columns), columns)))
        gone = before.semi_join(rows, KEY).select(PLACE)
        if batch.dropped is not None:
            gone = gone.union(self.published.event_profiles.semi_join(batch.dropped, KEY).select(PLACE))
        return Change(gone=engine.keep(gone), rows=rows)
