"""Conditions as Ibis expressions: one scan of the events answers all event conditions of all audiences at once."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from cdp_core.audiences.spec import (
    AllOf,
    AnyOf,
    AudienceCondition,
    AudienceSpec,
    Condition,
    ConsentCondition,
    EventCondition,
    Not,
    TraitCondition,
    leaves,
)
from cdp_core.errors import SpecError
from cdp_core.operators import Between, as_operators, check_operators, kind_of, matches, span
from cdp_core.operators.compile import time_literal

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine

TIME = "timestamp"
"""The property name that means the event's own time."""


@dataclass(frozen=True)
class AudienceTables:
    """What audiences read. Audiences inside conditions come from `definitions` when they are there, computed anew;
    else from `members` (the shape of audience_members)."""

    profiles: ir.Table
    events: ir.Table
    event_profiles: ir.Table
    consents: ir.Table
    members: ir.Table | None = None
    definitions: Mapping[str, AudienceSpec] = field(default_factory=dict)


def compile_audience(engine: Engine, condition: Condition, tables: AudienceTables, now: datetime) -> ir.Table:
    """The profile_id of every profile that matches, as one expression. `now` is naive UTC.

    A condition is true or false for a profile, never unknown: a missing trait, property, event, consent or membership
    does not match, and `not` turns that round. So `not_equals: Rock` and `not: {equals: Rock}` both hold for a
    profile without the trait. Windows are half-open: after now - window, up to and including now.
    Raises SpecError for a trait or audience that does not exist or an operator that does not fit.

    >>> compile_audience(engine, condition_from_dict({"event": "Order Completed", "window": "30d"}), tables,
    ...                  now=datetime(1998, 7, 1))  # doctest: +SKIP
    """
    marked = Marked(engine, [condition], tables, now)
    return marked.table.filter(marked.holds(condition)).select("profile_id")


class Marked:
    """Profiles with a column for everything that the conditions ask beyond the profile itself.

    `table` is profiles with these columns; `holds(condition)` is a condition over that table.
    """

    def __init__(self, engine: Engine, conditions: Sequence[Condition], tables: AudienceTables, now: datetime) -> None:
        self._engine = engine
        self._tables = tables
        self._now = now
        self._marks: dict[str, str] = {}
        self._settled: dict[str, str] = {}
        every = list(self._with_nested(conditions))
        table = tables.profiles
        for part in (self._events(every), self._consents(every), self._members(every)):
            if part is not None:
                table = table.left_join(part, "profile_id").drop("profile_id_right")
        self.table: ir.Table = table

    def settle(self, audiences: Mapping[str, Condition]) -> None:
        """Compute membership of these audiences into columns; from then on conditions on them read the columns."""
        columns = {name: f"_member_{len(self._settled) + i}" for i, name in enumerate(audiences)}
        flags = {columns[name]: self.holds(condition) for name, condition in audiences.items()}
        self.table = self._engine.keep(self.table.mutate(**flags))
        self._settled.update(columns)

    def member(self, audience: str) -> ir.BooleanValue:
        """The column of a settled audience."""
        return self.table[self._settled[audience]]

    def holds(self, condition: Condition) -> ir.BooleanValue:
        """True or false for each row of `table`."""
        if isinstance(condition, AllOf):
            return functools.reduce(operator.and_, [self.holds(c) for c in condition.and_])
        if isinstance(condition, AnyOf):
            return functools.reduce(operator.or_, [self.holds(c) for c in condition.or_])
        if isinstance(condition, Not):
            return ~self.holds(condition.not_)
        if isinstance(condition, TraitCondition):
            return self._trait(condition)
        if isinstance(condition, EventCondition):
            return self._count(condition)
        if isinstance(condition, AudienceCondition) and condition.audience in self._settled:
            return self.member(condition.audience)
        if isinstance(condition, AudienceCondition) and condition.audience in self._tables.definitions:
            return self.holds(self._tables.definitions[condition.audience].where)
        return self.table[self._marks[_key(condition)]].fill_null(False)

    def _trait(self, condition: TraitCondition) -> ir.BooleanValue:
        if condition.trait not in self._tables.profiles.columns:
            raise SpecError.unknown("trait", condition.trait, self._tables.profiles.columns)
        column = self.table[condition.trait]
        check_operators(condition.operators(), kind_of(column.type()), f"trait {condition.trait!r}")
        return matches(column, condition.operators(), now=self._now)

    def _count(self, condition: EventCondition) -> ir.BooleanValue:
        count = self.table[self._marks[_key(condition)]].fill_null(0)
        low, high = condition.bounds()
        within = count >= low
        return within if high is None else within & (count <= high)

    def _with_nested(self, conditions: Sequence[Condition]) -> list[Condition]:
        found: dict[str, Condition] = {}
        waiting = [leaf for c in conditions for leaf in leaves(c)]
        while waiting:
            leaf = waiting.pop()
            if _key(leaf) in found:
                continue
            found[_key(leaf)] = leaf
            if isinstance(leaf, AudienceCondition) and leaf.audience in self._tables.definitions:
                waiting += leaves(self._tables.definitions[leaf.audience].where)
        return list(found.values())

    def _mark(self, condition: Condition) -> str:
        return self._marks.setdefault(_key(condition), f"_mark_{len(self._marks)}")

    def _events(self, conditions: Sequence[Condition]) -> ir.Table | None:
        """Per profile, how often each event condition's event happened."""
        mine = [c for c in conditions if isinstance(c, EventCondition)]
        if not mine:
            return None
        events = self._tables.events
        events = events.filter(events.event.isin(sorted({c.event for c in mine})))
        flags = {self._mark(c): self._event_holds(events, c) for c in mine}
        slim = events.select("source", "message_id", **flags)
        slim = slim.filter(functools.reduce(operator.or_, [slim[f] for f in flags]))
        joined = slim.inner_join(
            self._tables.event_profiles.select("source", "message_id", "profile_id"), ["source", "message_id"]
        )
        return joined.group_by("profile_id").agg(**{f: joined.count(where=joined[f]) for f in flags})

    def _event_holds(self, events: ir.Table, condition: EventCondition) -> ir.BooleanValue:
        at = events.timestamp.coalesce(events.received_at)
        parts = [events.event == condition.event]
        if condition.window is not None:
            start, end = _limits(condition, self._now)
            parts.append(((at > time_literal(start)) & (at <= time_literal(end))).fill_null(False))
        for name, written in condition.where.items():
            value = at if name == TIME else self._engine.json_text(events.properties, name)
            operators = as_operators(written)
            if name == TIME:
                check_operators(operators, "datetime", "property 'timestamp'")
            parts.append(matches(value, operators, now=self._now, is_property=name != TIME))
        return functools.reduce(operator.and_, parts)

    def _consents(self, conditions: Sequence[Condition]) -> ir.Table | None:
        mine = [c for c in conditions if isinstance(c, ConsentCondition)]
        if not mine:
            return None
        rows = self._tables.consents
        flags = {
            self._mark(c): ((rows.category == c.consent) & (rows.state == c.equals)).fill_null(False).any()
            for c in mine
        }
        return rows.group_by("profile_id").agg(**flags)

    def _members(self, conditions: Sequence[Condition]) -> ir.Table | None:
        known = self._tables.definitions
        mine = [c for c in conditions if isinstance(c, AudienceCondition) and c.audience not in known]
        if not mine:
            return None
        rows = self._tables.members
        if rows is None:
            raise SpecError.unknown("audience", mine[0].audience, known)
        return rows.group_by("profile_id").agg(**{self._mark(c): (rows.audience == c.audience).any() for c in mine})


def _limits(condition: EventCondition, now: datetime) -> tuple[datetime, datetime]:
    if isinstance(condition.window, Between):
        older, newer = condition.window.between
        return now - span(older), now - span(newer)
    return now - span(str(condition.window)), now


def _key(condition: Condition) -> str:
    return repr(condition)
