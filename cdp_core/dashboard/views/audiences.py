"""Audiences: the list, one audience's members and history, and what the builder's pickers offer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cdp_core as cdp
from cdp_core.dashboard.views import tree
from cdp_core.privacy import masking

if TYPE_CHECKING:
    import polars as pl

SAMPLE = 500
CHOICES = 60


@dataclass(frozen=True)
class Preview:
    """A condition's answer: how many now, of how many, how the count came about, and a few of them."""

    count: int
    total: int
    funnel: list[tuple[str, int, int]]
    sample: pl.DataFrame
    seconds: float


def listing(ws: cdp.Workspace) -> pl.DataFrame:
    """`ws.audiences()` with the number of syncs that send each, and when it last changed."""
    import polars as pl

    frame = ws.audiences()
    changes = ws.table("audience_changes")
    last = ws.polars(changes.group_by("audience").agg(changed_at=changes["at"].max()))
    uses = Counter(getattr(sync.model, "audience", None) for sync in ws.config.syncs.values())
    names = frame["audience"].to_list()
    return frame.join(last, on="audience", how="left").with_columns(
        syncs=pl.Series([uses.get(name, 0) for name in names], dtype=pl.Int64)
    )


def preview(ws: cdp.Workspace, condition: Mapping[str, Any], reveal: bool) -> Preview:
    """Count, funnel and sample of a condition. Raises CDPError."""
    found = ws.preview_audience(condition)
    sample = found.sample if reveal else masking.mask_frame(found.sample)
    return Preview(found.count, found.total, found.funnel, sample, found.seconds)


def members(ws: cdp.Workspace, name: str, columns: tuple[str, ...], page: int, size: int, reveal: bool) -> pl.DataFrame:
    """One page of an audience's members, the latest entered first."""
    inside = ws.table("audience_members")
    inside = inside.filter(inside.audience == name).select("profile_id", "entered_at")
    profiles = ws.table("profiles")
    present = [c for c in ("profile_id", *columns, "last_seen") if c in profiles.columns]
    rows = profiles.select(*dict.fromkeys(present)).inner_join(inside, "profile_id")
    rows = rows.order_by([rows.entered_at.desc(), rows.profile_id]).limit(size, offset=(page - 1) * size)
    frame = ws.polars(rows)
    return frame if reveal else masking.mask_frame(frame)


def size(ws: cdp.Workspace, name: str) -> int:
    inside = ws.table("audience_members")
    inside = inside.filter(inside.audience == name)
    return int(ws.polars(inside.aggregate(n=inside.count())).item())


def history(ws: cdp.Workspace, name: str) -> pl.DataFrame:
    """Columns: at (UTC), entered, exited, members (after it)."""
    import polars as pl

    frame = ws.audience(name).history()
    return frame.with_columns(members=(pl.col("entered").cast(pl.Int64) - pl.col("exited").cast(pl.Int64)).cum_sum())


def used_by(ws: cdp.Workspace, name: str) -> list[str]:
    """Syncs that send this audience."""
    return [n for n, sync in ws.config.syncs.items() if getattr(sync.model, "audience", None) == name]


@dataclass(frozen=True)
class Choices:
    """What the pickers offer: traits with their kind, events with how often, consent categories."""

    traits: dict[str, str]
    filled: dict[str, int]
    events: dict[str, int]
    audiences: list[str]
    consents: list[str]


def choices(ws: cdp.Workspace) -> Choices:
    traits = ws.traits()
    events = ws.table("events")
    named = events.filter(events.event.notnull())
    counted = ws.polars(named.group_by("event").agg(n=named.count()).order_by(named.count().desc()).limit(500))
    consents = ws.table("consents")
    categories = ws.polars(consents.select("category").distinct().order_by("category").limit(100))
    kinds = dict(zip(traits["trait"].to_list(), traits["type"].to_list(), strict=True))
    return Choices(
        traits={name: _kind(ws, name, kind) for name, kind in kinds.items()},
        filled=dict(zip(traits["trait"].to_list(), traits["profiles"].to_list(), strict=True)),
        events=dict(zip(counted["event"].to_list(), counted["n"].to_list(), strict=True)),
        audiences=list(ws.config.audiences),
        consents=categories["category"].to_list(),
    )


def _kind(ws: cdp.Workspace, name: str, kind: str) -> str:
    """A trait by SQL says what it is only in the table."""
    if kind in tree.FITTING:
        return kind
    profiles = ws.table("profiles")
    column = profiles[name].type() if name in profiles.columns else None
    tests = {
        "is_integer": "integer",
        "is_numeric": "number",
        "is_boolean": "boolean",
        "is_date": "date",
        "is_timestamp": "datetime",
        "is_array": "list",
    }
    return next((kind for test, kind in tests.items() if column is not None and getattr(column, test)()), "string")


def properties(ws: cdp.Workspace, event: str) -> dict[str, tuple[str, list[Any]]]:
    """Properties seen in the newest events of this name: name → (kind, the most frequent values)."""
    events = ws.table("events")
    named = events.filter(events.event == event).select("properties", "timestamp")
    texts = ws.polars(named.order_by(named.timestamp.desc()).limit(SAMPLE))["properties"].to_list()
    seen: dict[str, Counter[Any]] = {}
    for text in texts:
        for name, value in (json.loads(text) if text else {}).items():
            if isinstance(value, str | int | float | bool):
                seen.setdefault(name, Counter())[value] += 1
    return {
        name: (_guess(counter), [v for v, _ in counter.most_common(CHOICES)]) for name, counter in sorted(seen.items())
    }


def _guess(counter: Counter[Any]) -> str:
    kinds = {type(value) for value in counter}
    if kinds == {bool}:
        return "boolean"
    if kinds == {int}:
        return "integer"
    return "number" if kinds <= {int, float} else "string"


def values(ws: cdp.Workspace, trait: str) -> list[Any]:
    """The most frequent values of a text trait; none for personal data, whose values are nobody's suggestion."""
    profiles = ws.table("profiles")
    if trait not in profiles.columns or masking.kind_of(trait):
        return []
    column = profiles[trait]
    if not column.type().is_string():
        return []
    filled = profiles.filter(column.notnull())
    counted = filled.group_by(value=filled[trait]).agg(n=filled.count())
    return ws.polars(counted.order_by([counted.n.desc(), counted.value]).limit(CHOICES))["value"].to_list()
