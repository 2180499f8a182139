"""People who were erased and are there again: a lake was restored from before, or held what was not resolved yet."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cdp_core.identity.overrides import in_force
from cdp_core.privacy import suppression
from cdp_core.privacy.store import known_key, read_suppressions
from cdp_core.runs import suppressing
from cdp_core.runs.decisions import read_decisions
from cdp_core.runs.erasure.clear import clear_lake
from cdp_core.runs.erasure.find import Person, whole_person
from cdp_core.runs.erasure.take import take_out

if TYPE_CHECKING:
    from cdp_core.config import Config
    from cdp_core.engine import Engine


def take_out_returned(engine: Engine, config: Config, root: Path, now: datetime) -> int:
    """Take everybody out again who was erased; how many profiles that were. Hold the run lock meanwhile."""
    ids = _returned(engine, root)
    if not ids:
        return 0
    people = [whole_person(engine, config, profile_id, ()) for profile_id in ids]
    person = Person(
        identifiers=frozenset().union(*(each.identifiers for each in people)),
        spellings=frozenset().union(*(each.spellings for each in people)),
        profile_ids=frozenset().union(*(each.profile_ids for each in people)),
    )
    take_out(engine, config, person, decisions=in_force(read_decisions(root)), now=now)
    clear_lake(engine)
    suppressing.publish(engine, root)
    return len(ids)


def _returned(engine: Engine, root: Path) -> list[str]:
    active = suppression.in_force(read_suppressions(root))
    erased = [each for each in active if each.erased]
    if not erased:
        return []
    if not suppressing.is_published(engine, active):
        suppressing.publish(engine, root)
    barred = engine.table("suppressed_profiles")
    near = engine.keep(engine.table("user_identifiers").semi_join(barred, "profile_id"))
    found = suppression.suppressed_profiles(engine, erased, known_key(root), near)
    return sorted(engine.polars(found)["profile_id"].to_list())
