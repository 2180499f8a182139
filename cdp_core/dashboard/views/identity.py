"""Identity: how identifiers became profiles, what the rules held back, and the rules themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cdp_core as cdp
from cdp_core.privacy import masking

if TYPE_CHECKING:
    import polars as pl

BUCKETS = ((1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 10), (11, 20), (21, 50), (51, None))


@dataclass(frozen=True)
class Summary:
    """Counts of the whole graph. `joined` profiles have more than one identifier."""

    profiles: int
    identifiers: int
    links: int
    joined: int
    merges: int
    conflicts: int


def summary(ws: cdp.Workspace) -> Summary:
    identifiers = ws.table("user_identifiers")
    sizes = identifiers.group_by("profile_id").agg(n=identifiers.count())
    counted = ws.polars(
        sizes.aggregate(
            profiles=sizes.count(), identifiers=sizes.n.sum().fill_null(0), joined=(sizes.n > 1).sum().fill_null(0)
        )
    ).row(0, named=True)
    return Summary(
        **{name: int(value) for name, value in counted.items()},
        links=_count(ws, "identity_links"),
        merges=_count(ws, "profile_merges"),
        conflicts=_count(ws, "identity_conflicts"),
    )


def _count(ws: cdp.Workspace, name: str) -> int:
    table = ws.table(name)
    return int(ws.polars(table.aggregate(n=table.count())).item())


def sizes(ws: cdp.Workspace) -> pl.DataFrame:
    """Profiles by how many identifiers they have. Columns: identifiers (a range in words), profiles."""
    import polars as pl

    identifiers = ws.table("user_identifiers")
    per_profile = identifiers.group_by("profile_id").agg(size=identifiers.count())
    frame = ws.polars(per_profile.group_by("size").agg(profiles=per_profile.count()))
    rows = []
    for low, high in BUCKETS:
        inside = frame.filter((pl.col("size") >= low) & (pl.col("size") <= (high or 10**12)))
        count = int(inside["profiles"].sum() or 0)
        name = str(low) if low == high else f"{low}–{high}" if high else f"over {low - 1}"
        rows.append({"identifiers": name, "profiles": count})
    last = max((i for i, row in enumerate(rows) if row["profiles"]), default=0)
    return pl.DataFrame(rows[: last + 1], schema={"identifiers": pl.String, "profiles": pl.Int64})


def kinds(ws: cdp.Workspace) -> pl.DataFrame:
    """Columns: type, values, profiles (that have one), most (in one profile), limit, priority, derived."""
    import polars as pl

    identifiers = ws.table("user_identifiers")
    per = identifiers.group_by(["type", "profile_id"]).agg(n=identifiers.count())
    counted = ws.polars(per.group_by("type").agg(values=per.n.sum(), profiles=per.count(), most=per.n.max()))
    rules = ws.config.identity.identifiers
    rows = [
        {"type": name, "priority": place + 1, "limit": rule.limit, "derived": _derived(rule)}
        for place, (name, rule) in enumerate(rules.items())
    ]
    schema = {"type": pl.String, "priority": pl.Int64, "limit": pl.Int64, "derived": pl.String}
    frame = pl.DataFrame(rows, schema=schema).join(counted, on="type", how="left")
    return frame.with_columns(pl.col("values", "profiles", "most").cast(pl.Int64).fill_null(0))


def _derived(rule: Any) -> str:
    derive = getattr(rule, "derive", None)
    if not derive:
        return ""
    said = derive if isinstance(derive, dict) else derive.model_dump(by_alias=True, exclude_none=True)
    return f"{said.get('how', '')} of {said.get('from', '')}".strip()


def evidence(ws: cdp.Workspace) -> pl.DataFrame:
    """Which source tied which types together. Columns: source, pair, links, events."""
    import polars as pl

    links = ws.table("identity_links")
    counted = links.group_by(["source", "left_type", "right_type"]).agg(links=links.count(), events=links.events.sum())
    frame = ws.polars(counted.order_by([counted.links.desc(), counted.source]).limit(100))
    pair = pl.col("left_type") + " – " + pl.col("right_type")
    return frame.select("source", pair=pair, links="links", events=pl.col("events").cast(pl.Int64))


def merges_by_day(ws: cdp.Workspace) -> pl.DataFrame:
    """Columns: day, merges."""
    merges = ws.table("profile_merges")
    counted = merges.group_by(day=merges["at"].truncate("D")).agg(merges=merges.count())
    return ws.polars(counted.order_by("day"))


def conflict_counts(ws: cdp.Workspace) -> pl.DataFrame:
    """Columns: type, rule, action, conflicts."""
    conflicts = ws.table("identity_conflicts")
    counted = conflicts.group_by(["type", "rule", "action"]).agg(conflicts=conflicts.count())
    return ws.polars(counted.order_by([counted.conflicts.desc(), counted.type]).limit(50))


def conflicts(ws: cdp.Workspace, rule: str | None, page: int, size: int, reveal: bool) -> pl.DataFrame:
    """One page of what was held back or demoted: at (UTC), type, value, rule, action, source, profile_id, detail."""
    table = ws.table("identity_conflicts")
    if rule:
        table = table.filter(table.rule == rule)
    columns = ("at", "type", "value", "rule", "action", "source", "profile_id", "detail")
    rows = table.order_by([table["at"].desc(), table.type, table.value]).select(*columns)
    frame = ws.polars(rows.limit(size, offset=(page - 1) * size))
    return frame if reveal else masking.mask_pairs(frame, "type", "value")


def largest(ws: cdp.Workspace, limit: int = 15) -> pl.DataFrame:
    """Profiles with the most identifiers. Columns: profile_id, identifiers, events, last_seen (UTC)."""
    identifiers = ws.table("user_identifiers")
    counted = identifiers.group_by("profile_id").agg(identifiers=identifiers.count())
    top = counted.order_by([counted.identifiers.desc(), counted.profile_id]).limit(limit)
    profiles = ws.table("profiles").select("profile_id", "events", "last_seen")
    joined = top.inner_join(profiles, "profile_id")
    return ws.polars(joined.order_by([joined.identifiers.desc(), joined.profile_id]))
