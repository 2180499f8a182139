"""Why two identifiers are one person, or why they are not."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from cdp_core.identity.evidence_path import Link, chain
from cdp_core.identity.spec import IdentitySpec
from cdp_core.identity.statements import first_statements

if TYPE_CHECKING:
    from cdp_core.engine import Engine

Identifier = tuple[str, str]
SHARED, IGNORED = "set_aside", "ignored"


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """`path` is the shortest chain of evidence from one identifier to the other, whether or not they are one; empty
    when nothing ties them. `held_back` lists what a rule or a person kept from joining on the way (rows of
    tables.IDENTITY_CONFLICTS in short). The profile ids are None for an identifier that no profile holds.
    """

    left: Identifier
    right: Identifier
    connected: bool
    left_profile_id: str | None
    right_profile_id: str | None
    path: list[dict[str, Any]] = field(default_factory=list)
    held_back: list[dict[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """What `cdp identity explain --output json` prints."""
        return {
            "connected": self.connected,
            "left": ":".join(self.left),
            "right": ":".join(self.right),
            "left_profile_id": self.left_profile_id,
            "right_profile_id": self.right_profile_id,
            "path": self.path,
            "held_back": self.held_back,
        }


def explain(engine: Engine, spec: IdentitySpec, left: Identifier, right: Identifier) -> Explanation:
    """Explain two identifiers, each (type, value) as tables spell them.

    A step of `path` has left, right (`type:value`), rule, source, event (the first one that says so: source,
    message_id, name, at), first_seen, last_seen (UTC), events, and the profile_id of its right end.

    Example: `explain(engine, spec, ("email", "a@x.org"), ("user_id", "7")).path[0]["events"]`
    """
    owners = _owners(engine, [left, right])
    within = owners.get(left) if left in owners and owners[left] == owners.get(right) else None
    links = chain(engine, left, right, profile_id=within)
    owners |= _owners(engine, [link.right for link in links])
    statements = first_statements(engine, spec, links)
    return Explanation(
        left=left,
        right=right,
        connected=within is not None,
        left_profile_id=owners.get(left),
        right_profile_id=owners.get(right),
        path=[_step(link, statements.get((link.left, link.right)), owners) for link in links],
        held_back=[] if within else _held_back(engine, left, right, links, owners),
    )


def _step(link: Link, event: dict[str, Any] | None, owners: dict[Identifier, str]) -> dict[str, Any]:
    best = max(link.evidence, key=lambda e: (e["events"], e["last_seen"] or datetime.min))
    firsts = [e["first_seen"] for e in link.evidence if e["first_seen"]]
    lasts = [e["last_seen"] for e in link.evidence if e["last_seen"]]
    return {
        "left": ":".join(link.left),
        "right": ":".join(link.right),
        "rule": best["rule"],
        "source": best["source"],
        "event": event,
        "first_seen": min(firsts, default=None),
        "last_seen": max(lasts, default=None),
        "events": sum(e["events"] for e in link.evidence),
        "sources": sorted({e["source"] for e in link.evidence}),
        "profile_id": owners.get(link.right),
    }


def _owners(engine: Engine, identifiers: list[Identifier]) -> dict[Identifier, str]:
    table = engine.table("user_identifiers")
    asked = engine.frame(pl.DataFrame(identifiers, schema={"type": pl.String, "value": pl.String}, orient="row"))
    rows = engine.polars(table.semi_join(asked, ["type", "value"]).select("type", "value", "profile_id"))
    return {(type_, value): profile for type_, value, profile in rows.iter_rows()}


def _held_back(
    engine: Engine, left: Identifier, right: Identifier, links: list[Link], owners: dict[Identifier, str]
) -> list[dict[str, Any]]:
    """Conflicts between the two profiles, of identifiers on the way between them, and of the two themselves."""
    table = engine.table("identity_conflicts")
    on_the_way = list(dict.fromkeys([left, right, *(link.right for link in links)]))
    asked = engine.frame(pl.DataFrame(on_the_way, schema={"type": pl.String, "value": pl.String}, orient="row"))
    rows = engine.polars(table.semi_join(asked, ["type", "value"]))
    mine, other = owners.get(left), owners.get(right)
    if mine and other:
        for one, two in ((mine, other), (other, mine)):
            between = table.filter(table.profile_id == one, table.candidates.contains(f'"{two}"'))
            rows = pl.concat([rows, engine.polars(between)])
    concerned = {mine, other, *(owners.get(link.right) for link in links)} - {None}
    found = []
    for row in rows.unique(maintain_order=True).sort("at", "type", "value", nulls_last=True).iter_rows(named=True):
        candidates = set(json.loads(row["candidates"] or "[]")) | {row["profile_id"]}
        if row["action"] in (SHARED, IGNORED) or len(candidates & concerned) > 1:
            found.append(_short(row))
    return found


def _short(row: dict[str, Any]) -> dict[str, Any]:
    shown = ("rule", "action", "detail", "source", "message_id", "at", "profile_id")
    return {
        "identifier": f"{row['type']}:{row['value']}",
        **{name: row[name] for name in shown},
        "candidates": json.loads(row["candidates"] or "[]"),
    }
