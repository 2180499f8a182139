"""Which events identity has not seen yet, and what they change."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from cdp_core.identity.batch import PLACED, Published
from cdp_core.identity.incremental import Update, update

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.config import Config
    from cdp_core.engine import Engine
    from cdp_core.identity.overrides import Override

STAGE = "identity_rules"
"""The row of stage_state that says by which rules, and of how many events, the published identity is."""
IDENTITY_TABLES = ("identity_links", "user_identifiers", "event_profiles", "profile_merges", "identity_conflicts")
_MOST = 0.2
"""Beyond this share of new events, looking at everything costs less."""


def rules_state(rules: str, events: int) -> str:
    """What is stored: a fingerprint of rules and decisions, and the number of events."""
    return f"{rules} {events}"


def update_identity(
    engine: Engine, config: Config, rules: str, decisions: Sequence[Override], now: datetime
) -> Update | None:
    """What new events change, where the published identity is by the same `rules` and no event has gone; else None."""
    matching = config.identity.matching
    if not engine.local or (matching and matching.auto is not None):
        return None
    fresh = _fresh(engine, rules)
    if fresh is None:
        return None
    asked = {name: engine.placed(name) if name in PLACED else engine.table(name) for name in IDENTITY_TABLES}
    published = Published(**asked)
    return update(engine, engine.table("events"), fresh, config.identity, published, now=now, overrides=decisions)


def _fresh(engine: Engine, rules: str) -> ir.Table | None:
    """Events of runs that started after the one whose identity is published."""
    state, runs, events = engine.table("stage_state"), engine.table("runs"), engine.table("events")
    rows = engine.polars(state.filter(state.stage == STAGE).select("fingerprint", "run_id"))
    if rows.is_empty():
        return None
    stored, run_id = rows.row(0)
    since = runs.filter(runs.run_id == run_id).select(since="started_at")
    seen = engine.keep(runs.cross_join(since).filter(lambda t: t.started_at <= t.since).select("run_id"))
    fresh = events.anti_join(seen, "run_id")
    every, new = (int(engine.polars(t.count().name("n").as_table()).item()) for t in (events, fresh))
    known = stored == rules_state(rules, every - new)
    return engine.keep(fresh) if known and new <= _MOST * every else None
