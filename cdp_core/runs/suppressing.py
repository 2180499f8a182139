"""Who is suppressed: decisions in data/privacy/suppressions.jsonl, and the profiles that they are of in the lake.

The file counts, whatever the lake says: one that was deleted, or restored from before a decision, forgets nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cdp_core import tables
from cdp_core.journal import append
from cdp_core.privacy import suppression
from cdp_core.privacy.store import PATH, known_key, read_suppressions
from cdp_core.privacy.suppression import Suppression

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine
    from cdp_core.runs.derive import Derived

STAGE = "suppression"
"""The row of stage_state that says of which decisions the published tables are."""


def decide(root: Path, make: Callable[[Sequence[Suppression]], Suppression]) -> Suppression:
    """Add the decision that `make` makes of those in force; what it raises writes nothing."""
    made: list[Suppression] = []

    def line() -> str:
        made.append(make(suppression.in_force(read_suppressions(root))))
        return suppression.to_line(made[0])

    append(root / PATH, line)
    return made[0]


def bar(root: Path, identifiers: Iterable[tuple[str, str]], *, reason: str) -> None:
    """Suppress people who are erased; those who are barred already by the same identifiers stay so."""
    key, now = known_key(root), datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    made = suppression.suppression(
        suppression.SUPPRESS, identifiers, key, reason=reason, at=now, door=True, erased=True
    )
    for each in suppression.in_force(read_suppressions(root)):
        if each.erased and set(made.tombstones) <= set(each.tombstones):
            return
    decide(root, lambda _: made)


def suppressed(engine: Engine, root: Path) -> ir.Table | None:
    """profile_id of everybody who may not be sent anything, as decided up to now; None while nobody is suppressed."""
    active = suppression.in_force(read_suppressions(root))
    if not active:
        return None
    if _published(engine) == suppression.fingerprint(active):
        return engine.table("suppressed_profiles").select("profile_id")
    return suppression.suppressed_profiles(engine, active, known_key(root), engine.table("user_identifiers"))


def is_published(engine: Engine, active: Sequence[Suppression]) -> bool:
    """Whether the lake's tables are of these decisions."""
    return _published(engine) == suppression.fingerprint(active)


def add_to(engine: Engine, made: Derived, root: Path) -> None:
    """What is published with a new identity: the same people, whatever their profiles are called now."""
    active = suppression.in_force(read_suppressions(root))
    if not active and _published(engine) is None:
        return
    identifiers = made.replaced.get("user_identifiers")
    found = _tables(engine, active, root, engine.table("user_identifiers") if identifiers is None else identifiers)
    made.replaced.update(found)
    made.stages[STAGE] = suppression.fingerprint(active)


def publish(engine: Engine, root: Path) -> None:
    """Bring the lake's tables up to the decisions; a run may do it as well, and neither need wait for the other."""
    import polars as pl

    active = suppression.in_force(read_suppressions(root))
    now = datetime.now(UTC).replace(tzinfo=None)
    state = {"stage": STAGE, "fingerprint": suppression.fingerprint(active), "run_id": "", "at": now}
    found = _tables(engine, active, root, engine.table("user_identifiers"))
    with engine.transaction():
        for name, rows in found.items():
            engine.replace(name, rows)
        frame = pl.DataFrame([state], schema=tables.STAGE_STATE.polars_schema())
        engine.upsert("stage_state", engine.frame(frame), ("stage",))


def _tables(engine: Engine, active: Sequence[Suppression], root: Path, identifiers: ir.Table) -> dict[str, ir.Table]:
    import polars as pl

    stones = pl.DataFrame(suppression.rows(active), schema=tables.SUPPRESSIONS.polars_schema())
    people = tables.SUPPRESSED_PROFILES.empty()
    found = engine.frame(people)
    if active:
        found = engine.keep(suppression.suppressed_profiles(engine, active, known_key(root), identifiers))
    return {"suppressions": engine.frame(stones), "suppressed_profiles": found}


def _published(engine: Engine) -> str | None:
    state = engine.table("stage_state")
    found = engine.polars(state.filter(state.stage == STAGE).select("fingerprint"))["fingerprint"]
    return str(found[0]) if len(found) else None
