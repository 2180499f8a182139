"""Who is in which audience now, and who entered or left since the last time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from cdp_core.audiences.check import order_of, references
from cdp_core.audiences.compile import AudienceTables, Marked
from cdp_core.audiences.spec import AudienceSpec
from cdp_core.operators.compile import time_literal

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine


@dataclass(frozen=True)
class Refreshed:
    """Scratch tables: `members` in the shape of audience_members, `changes` (new rows only) of audience_changes."""

    members: ir.Table
    changes: ir.Table


def refresh(
    engine: Engine,
    specs: Mapping[str, AudienceSpec],
    tables: AudienceTables,
    *,
    before: ir.Table,
    now: datetime,
    run_id: str,
) -> Refreshed:
    """Compute all enabled audiences in one pass and compare them with `before` (audience_members).

    entered_at is kept for those who stay. Members of audiences that are no longer defined leave; those of disabled
    ones stay as they are. Raises SpecError for cycles and references that do not resolve.
    """
    before = before.select("audience", "profile_id", "entered_at")
    disabled = [name for name, spec in specs.items() if not spec.enabled]
    frozen = before.filter(before.audience.isin(disabled)) if disabled else None
    found = _memberships(engine, specs, replace(tables, members=before), now)
    fresh = engine.keep(_compared(found, before, disabled, now))
    members = fresh.filter(fresh.inside).select("audience", "profile_id", "entered_at")
    return Refreshed(
        members=engine.keep(members if frozen is None else members.union(frozen)),
        changes=engine.keep(_changes(fresh, now, run_id)),
    )


def _memberships(
    engine: Engine, specs: Mapping[str, AudienceSpec], tables: AudienceTables, now: datetime
) -> ir.Table | None:
    """Rows (audience, profile_id). Audiences that build on others are computed after them and read their result."""
    import ibis

    enabled = {name: specs[name] for name in order_of(specs) if specs[name].enabled}
    if not enabled:
        return None
    marked = Marked(engine, [s.where for s in enabled.values()], replace(tables, definitions=enabled), now)
    for names in _levels(enabled):
        marked.settle({name: enabled[name].where for name in names})
    parts = [
        marked.table.filter(marked.member(name)).select("profile_id", audience=ibis.literal(name, "string"))
        for name in enabled
    ]
    return ibis.union(*parts) if len(parts) > 1 else parts[0]


def _levels(specs: Mapping[str, AudienceSpec]) -> list[list[str]]:
    """Names in groups; a group refers to groups before it only. `specs` is in the order of `order_of`."""
    level: dict[str, int] = {}
    for name, spec in specs.items():
        level[name] = 1 + max((level[other] for other in references(spec.where) if other in level), default=-1)
    return [[name for name in specs if level[name] == n] for n in range(max(level.values()) + 1)]


def _compared(found: ir.Table | None, before: ir.Table, disabled: Sequence[str], now: datetime) -> ir.Table:
    """Rows (audience, profile_id, entered_at, inside, was): each pair that is a member now, was one before, or both."""
    import ibis

    old = before.filter(~before.audience.isin(disabled)) if disabled else before
    rows = old.select("audience", "profile_id", "entered_at", inside=ibis.literal(0), was=ibis.literal(1))
    if found is not None:
        missing = ibis.null(before.entered_at.type())
        new = found.select("audience", "profile_id", entered_at=missing, inside=ibis.literal(1), was=ibis.literal(0))
        rows = rows.union(new)
    pairs = rows.group_by("audience", "profile_id").agg(
        entered_at=rows.entered_at.min(), inside=rows.inside.max() == 1, was=rows.was.max() == 1
    )
    return pairs.mutate(entered_at=pairs.entered_at.coalesce(time_literal(now)))


def _changes(fresh: ir.Table, now: datetime, run_id: str) -> ir.Table:
    import ibis

    moved = fresh.filter(fresh.inside != fresh.was)
    return moved.select(
        "audience",
        "profile_id",
        change=moved.inside.ifelse("entered", "exited"),
        at=time_literal(now),
        run_id=ibis.literal(run_id, "string"),
    )
