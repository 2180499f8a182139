"""How a profile came to be: every identifier that joined, every merge, everything that was held back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from cdp_core.identity.links import SOURCE
from cdp_core.identity.spec import IdentitySpec
from cdp_core.identity.statements import said_by

if TYPE_CHECKING:
    from cdp_core.engine import Engine

Identifier = tuple[str, str]
_LATE = datetime.max


@dataclass
class _Parts:
    """Groups of identifiers so far, each with the time at which it was first seen."""

    group: dict[Identifier, int] = field(default_factory=dict)
    members: dict[int, list[Identifier]] = field(default_factory=dict)

    def join(self, identifiers: list[Identifier]) -> tuple[list[list[Identifier]], list[Identifier]]:
        """Put them together; gives the groups that became one (as they were) and the identifiers that are new."""
        groups = sorted({self.group[i] for i in identifiers if i in self.group})
        new = [i for i in identifiers if i not in self.group]
        before = [list(self.members[g]) for g in groups]
        target = groups[0] if groups else len(self.group) + len(self.members)
        everyone = [i for g in groups for i in self.members.pop(g)] + new
        self.members[target] = everyone
        self.group.update(dict.fromkeys(everyone, target))
        return before, new


def profile_history(engine: Engine, spec: IdentitySpec, profile_id: str) -> list[dict[str, Any]]:
    """Steps in time, each with at (UTC), what (created, added, merged, linked, demoted, held), identifiers
    (`type:value`; in a merge those of the part that came in), because (what it hung on), source, message_id, detail.

    Example: `[s["what"] for s in profile_history(engine, spec, "p_0123")]`
    """
    links = engine.table("event_profiles")
    own = links.filter(links.profile_id == profile_id).select("source", "message_id")
    said = said_by(engine, spec, engine.table("events").semi_join(own, ["source", "message_id"]), derived=True)
    known = engine.table("user_identifiers")
    kept = engine.polars(known.filter(known.profile_id == profile_id).select("type", "value"))
    said = said.join(kept, on=["type", "value"], how="semi", maintain_order="left")
    steps = _grown(said, _decisions(engine, kept)) + _conflicts(engine, profile_id)
    return sorted(steps, key=lambda step: step["at"] or _LATE)


def _decisions(engine: Engine, kept: pl.DataFrame) -> list[tuple[Identifier, Identifier, datetime]]:
    links = engine.table("identity_links")
    rows = engine.polars(links.filter(links.source == SOURCE))
    rows = rows.join(kept, left_on=["left_type", "left_value"], right_on=["type", "value"], how="semi")
    shown = rows.select("left_type", "left_value", "right_type", "right_value", "first_seen")
    return [((a, b), (c, d), at) for a, b, c, d, at in shown.iter_rows()]


def _grown(said: pl.DataFrame, decided: list[tuple[Identifier, Identifier, datetime]]) -> list[dict[str, Any]]:
    """What each event, and each decision of a person, added. Decisions hold from the beginning."""
    parts = _Parts()
    steps = []
    for left, right, at in decided:
        parts.join([left, right])
        steps.append(_step("linked", at, [right], because=[left], source=SOURCE, detail="by decision"))
    events = said.group_by("source", "message_id", "at", maintain_order=True).agg(pl.struct("type", "value").alias("i"))
    for source, message_id, at, carried in events.iter_rows():
        identifiers = [(i["type"], i["value"]) for i in carried]
        before, new = parts.join(identifiers)
        more = {"source": source, "message_id": message_id}
        because = [i for i in identifiers if i not in new]
        for part in before[1:]:
            tied = [i for i in identifiers if i in before[0]]
            steps.append(_step("merged", at, part, because=tied + [i for i in identifiers if i in part], **more))
        if new:
            steps.append(_step("added" if before else "created", at, new, because=because, **more))
    return steps


def _conflicts(engine: Engine, profile_id: str) -> list[dict[str, Any]]:
    table = engine.table("identity_conflicts")
    mine = (table.profile_id == profile_id) | table.candidates.contains(f'"{profile_id}"')
    rows = engine.polars(table.filter(mine))
    return [
        _step(
            row["action"],
            row["at"],
            [(row["type"], row["value"])],
            source=row["source"],
            message_id=row["message_id"],
            detail=f"{row['rule']}: {row['detail']}",
            profiles=sorted({row["profile_id"], *json.loads(row["candidates"] or "[]")} - {None}),
        )
        for row in rows.iter_rows(named=True)
    ]


def _step(what: str, at: datetime | None, identifiers: list[Identifier], **more: Any) -> dict[str, Any]:
    because = [":".join(i) for i in more.pop("because", [])]
    shown = {"source": None, "message_id": None, "detail": None, "profiles": []} | more
    return {"at": at, "what": what, "identifiers": [":".join(i) for i in identifiers], "because": because, **shown}
