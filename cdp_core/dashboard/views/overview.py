"""The overview: six numbers with their trend, what needs someone, where rows came from and went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard.views import requests, sync_history

if TYPE_CHECKING:
    import polars as pl

WEEKS = 26
STALE_DAYS = 30
KNOWN = ("user_id", "email", "phone")
"""Identifier types that say who a person is; others only tell devices and records apart."""


@dataclass(frozen=True)
class Figure:
    """One tile: `trend` is a series of numbers, `kind` how it is drawn, `note` the words under the number."""

    name: str
    value: str
    note: str
    help: str
    trend: list[float]
    kind: str = "area"


@dataclass(frozen=True)
class Need:
    """Something that waits for a person; `page` and `query` say where it is settled."""

    level: str
    text: str
    page: str
    query: tuple[tuple[str, str], ...] = ()


def figures(ws: cdp.Workspace) -> list[Figure]:
    """Six numbers about the whole workspace, each with a trend of the last half year or a bar per thing."""
    return [_events(ws), *_people(ws), _held(ws), _audiences(ws), _delivered(ws)]


def _events(ws: cdp.Workspace) -> Figure:
    events = ws.table("events")
    total = ws.polars(events.aggregate(n=events.count())).item()
    trend = _weekly(ws, "events", "timestamp")
    return Figure(
        "Events",
        f.compact(total),
        f"{f.compact(trend[-1])} last week",
        f"{f.number(total)} events from all sources. The line shows events a week over half a year.",
        trend,
    )


def _weekly(ws: cdp.Workspace, name: str, column: str) -> list[float]:
    """Rows in each of the last whole weeks, oldest first, weeks without rows as nought."""
    table = ws.table(name)
    start = _monday(ws) - timedelta(weeks=WEEKS)
    recent = table.filter((table[column] >= start) & (table[column] < _monday(ws)))
    counted = ws.polars(recent.group_by(week=recent[column].truncate("W")).agg(n=recent.count()))
    return _filled(ws, dict(zip(counted["week"].to_list(), counted["n"].to_list(), strict=True)))


def _monday(ws: cdp.Workspace) -> datetime:
    today = ws.now.replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=today.weekday())


def _filled(ws: cdp.Workspace, counts: Mapping[datetime, int]) -> list[float]:
    by_day = {week.date(): n for week, n in counts.items()}
    days = [(_monday(ws) - timedelta(weeks=WEEKS - i)).date() for i in range(WEEKS)]
    return [float(by_day.get(day, 0)) for day in days]


def _people(ws: cdp.Workspace) -> list[Figure]:
    """Profiles, and the share of them that is known by name, not only by device. One pass over profiles."""
    profiles, identifiers = ws.table("profiles"), ws.table("user_identifiers")
    known = identifiers.filter(identifiers.type.isin(KNOWN)).select("profile_id").distinct().mutate(known=1)
    joined = profiles.select("profile_id", "first_seen").left_join(known, "profile_id")
    weekly = joined.group_by(week=joined.first_seen.truncate("W")).agg(
        n=joined.count(), known=joined.known.sum().fill_null(0)
    )
    frame = ws.polars(weekly.order_by("week"))
    total, identified = int(frame["n"].sum() or 0), int(frame["known"].sum() or 0)
    growth = frame["n"].cum_sum().tail(WEEKS).cast(float).to_list()
    shares = (frame["known"].cum_sum() / frame["n"].cum_sum()).tail(WEEKS).to_list()
    fresh = int(frame["n"].tail(4).sum() or 0)
    return [
        Figure(
            "Profiles",
            f.compact(total),
            f"{f.compact(fresh)} new in 4 weeks",
            f"{f.number(total)} people after identity resolution. The line shows how many there were.",
            growth,
        ),
        Figure(
            "Identified",
            f.percent(identified / total if total else None),
            f"{f.compact(total - identified)} anonymous",
            f"Share of profiles with a {', '.join(KNOWN[:-1])} or {KNOWN[-1]}; the others are known by device only.",
            [share * 100 for share in shares],
        ),
    ]


def _held(ws: cdp.Workspace) -> Figure:
    held = ws.table("quarantine")
    held = held.filter(held.status == "held")
    by_source = ws.polars(held.group_by("source").agg(n=held.count()).order_by("source"))
    loads = ws.table("source_loads")
    read = ws.polars(loads.aggregate(n=loads.rows_read.sum().cast("int64"))).item() or 0
    total = int(by_source["n"].sum() or 0)
    counts = dict(zip(by_source["source"].to_list(), by_source["n"].to_list(), strict=True))
    return Figure(
        "Held rows",
        f.compact(total),
        f"{f.percent(total / read if read else None)} of rows read",
        "Rows in quarantine. The bars are the sources: " + _bars(counts, ws.config.sources),
        [float(counts.get(name, 0)) for name in ws.config.sources],
        "bar",
    )


def _audiences(ws: cdp.Workspace) -> Figure:
    members = ws.table("audience_members")
    sizes = ws.polars(members.group_by("audience").agg(n=members.count()))
    people = ws.polars(members.aggregate(n=members.profile_id.nunique())).item() or 0
    counts = dict(zip(sizes["audience"].to_list(), sizes["n"].to_list(), strict=True))
    return Figure(
        "In audiences",
        f.compact(people),
        f"in {f.plural(len(ws.config.audiences), 'audience')}",
        "Profiles in at least one audience. The bars are the audiences: " + _bars(counts, ws.config.audiences),
        [float(counts.get(name, 0)) for name in ws.config.audiences],
        "bar",
    )


def _delivered(ws: cdp.Workspace) -> Figure:
    ledger = ws.table("sync_ledger")
    sent = ledger.filter(ledger.status == "delivered")
    by_sync = ws.polars(sent.group_by("sync").agg(n=sent.count()))
    counts = dict(zip(by_sync["sync"].to_list(), by_sync["n"].to_list(), strict=True))
    return Figure(
        "Delivered rows",
        f.compact(sum(counts.values())),
        f"by {f.plural(len(ws.config.syncs), 'sync')}",
        "Rows that destinations hold now. The bars are the syncs: " + _bars(counts, ws.config.syncs),
        [float(counts.get(name, 0)) for name in ws.config.syncs],
        "bar",
    )


def _bars(counts: dict[str, int], names: Iterable[str]) -> str:
    return ", ".join(f"{f.label(name)} {f.number(counts.get(name, 0))}" for name in names)


def monthly_events(ws: cdp.Workspace) -> pl.DataFrame:
    """Columns: month, source, events. All history, aggregated in the engine."""
    events = ws.table("events")
    events = events.filter(events.timestamp.notnull() & (events.timestamp <= ws.now + timedelta(days=1)))
    counted = events.group_by(month=events.timestamp.truncate("M"), source=events.source).agg(events=events.count())
    return ws.polars(counted.order_by(["month", "source"]))


def sources(ws: cdp.Workspace) -> pl.DataFrame:
    """`ws.sources()` with the columns balanced (rows read = all that became of them) and trend (weekly)."""
    import polars as pl

    frame = ws.sources()
    events = ws.table("events")
    start = _monday(ws) - timedelta(weeks=WEEKS)
    recent = events.filter((events.timestamp >= start) & (events.timestamp < _monday(ws)))
    weekly = recent.group_by(source=recent.source, week=recent.timestamp.truncate("W")).agg(n=recent.count())
    counted = ws.polars(weekly)
    trends = {
        name: _filled(ws, {row["week"]: row["n"] for row in counted.filter(pl.col("source") == name).to_dicts()})
        for name in frame["source"].to_list()
    }
    return frame.with_columns(
        balanced=pl.col("rows_read") == pl.sum_horizontal("events", "duplicates", "quarantined", "suppressed"),
        trend=pl.Series([trends[n] for n in frame["source"].to_list()], dtype=pl.List(pl.Float64)),
    )


@dataclass(frozen=True)
class Flow:
    """Where rows went, per source and in all; every row read is in exactly one of events, duplicates, quarantined."""

    by_source: pl.DataFrame
    in_profiles: int
    without_identifier: int


def flow(ws: cdp.Workspace) -> Flow:
    loads = ws.table("source_loads")
    counted = loads.group_by("source").agg(
        **{c: loads[c].sum().cast("int64") for c in ("rows_read", "events", "duplicates", "quarantined")}
    )
    by_source = ws.polars(counted.order_by("source"))
    attached = ws.table("event_profiles")
    in_profiles = ws.polars(attached.aggregate(n=attached.count())).item()
    return Flow(by_source, in_profiles, max(int(by_source["events"].sum() or 0) - in_profiles, 0))


def needs(ws: cdp.Workspace) -> list[Need]:
    """What waits for a person, the worst first."""
    found = [*_failed_run(ws), *_failed_syncs(ws), *_failed_rules(ws), *_waiting(ws), *_asked(ws), *_stale(ws)]
    order = {"error": 0, "warning": 1, "info": 2}
    return sorted(found, key=lambda need: order[need.level])


def _failed_run(ws: cdp.Workspace) -> list[Need]:
    newest = ws.runs(1).to_dicts()
    if not newest or newest[0]["status"] not in ("failed", "stopped"):
        return []
    return [Need("error", f"The last run {newest[0]['status']}: {newest[0]['error'] or 'no reason given'}", "quality")]


def _failed_syncs(ws: cdp.Workspace) -> list[Need]:
    found = []
    for row in ws.syncs().to_dicts():
        query = (("sync", row["sync"]),)
        newest = sync_history.runs(ws, row["sync"], 1).to_dicts()
        if newest and newest[0]["status"] == "interrupted":
            text = f"The last run of sync {f.label(row['sync'])} was broken off: {newest[0]['error']}"
            found.append(Need("error", text, "destinations", query))
        if row["failed"]:
            text = f"{f.plural(row['failed'], 'row')} of sync {f.label(row['sync'])} failed"
            found.append(Need("error", text, "destinations", query))
        elif row["last_sent_at"] is None:
            found.append(Need("info", f"Sync {f.label(row['sync'])} has never run", "destinations", query))
    return found


def _failed_rules(ws: cdp.Workspace) -> list[Need]:
    import polars as pl

    suites = ws.suites()
    if suites.is_empty() or "success" not in suites.columns:
        return []
    failed = suites.filter(pl.col("success").eq(False))
    stopped, warned = failed.filter(pl.col("severity") == "stop"), failed.filter(pl.col("severity") == "warn")
    found = []
    for row in stopped.to_dicts():
        text = f"Suite {f.label(row['suite'])} stops runs: {row['description'] or row['rule']}"
        found.append(Need("error", text, "quality", (("suite", row["suite"]),)))
    for row in warned.sort("failed", descending=True).head(3).to_dicts():
        text = f"{f.plural(row['failed'] or 0, 'row')} of {f.label(row['suite'])}: {row['description'] or row['rule']}"
        found.append(Need("warning", text, "quality", (("suite", row["suite"]),)))
    return found


def _waiting(ws: cdp.Workspace) -> list[Need]:
    held, conflicts = ws.table("quarantine"), ws.table("identity_conflicts")
    held = held.filter(held.status == "held")
    rows = ws.polars(held.aggregate(n=held.count())).item()
    waiting = (conflicts.action == "held").sum()
    waiting, ties = ws.polars(conflicts.aggregate(held=waiting, n=conflicts.count())).fill_null(0).row(0)
    found = []
    if rows:
        text = f"{f.plural(rows, 'row')} held in quarantine"
        found.append(Need("warning", text, "quality", (("view", "Quarantine"),)))
    if waiting:
        text = f"{f.plural(waiting, 'identifier')} held from merging until somebody decides"
        found.append(Need("info", text, "identity", (("part", "Review"),)))
    if ties > waiting:
        found.append(Need("info", f"{f.plural(ties - waiting, 'identity conflict')} settled by rule", "identity"))
    return found


def _asked(ws: cdp.Workspace) -> list[Need]:
    """Requests of people that are late, or due within a week."""
    counted = requests.counts(requests.rows(ws))
    found = []
    if counted["late"]:
        found.append(Need("error", f"{f.plural(counted['late'], 'request')} of people past the due day", "requests"))
    if counted["soon"]:
        found.append(Need("warning", f"{f.plural(counted['soon'], 'request')} of people due within a week", "requests"))
    return found


def _stale(ws: cdp.Workspace) -> list[Need]:
    found = []
    for row in ws.sources().to_dicts():
        if row["loaded_at"] is None:
            found.append(Need("info", f"Source {f.label(row['source'])} has never been loaded", "overview"))
        elif row["newest_event"] is None or (ws.now - row["newest_event"]).days > STALE_DAYS:
            text = f"Newest event of {f.label(row['source'])} is from {f.ago(row['newest_event'], ws.now)}"
            found.append(Need("warning", text, "overview"))
    return found


def sync_rows(ws: cdp.Workspace) -> pl.DataFrame:
    return ws.syncs()


def audience_rows(ws: cdp.Workspace) -> pl.DataFrame:
    """Audiences with members, share, entered and exited in the last run that changed them."""
    import polars as pl

    changes = ws.table("audience_changes")
    last = changes.group_by("audience").agg(at=changes["at"].max())
    newest = changes.semi_join(last, ["audience", "at"])
    counted = newest.group_by("audience").agg(
        entered=(newest.change == "entered").sum(), exited=(newest.change == "exited").sum()
    )
    frame = ws.audiences().join(ws.polars(counted), on="audience", how="left")
    return frame.with_columns(pl.col("entered", "exited").fill_null(0))


def suite_rows(ws: cdp.Workspace) -> pl.DataFrame:
    """Columns: suite, target, expectations, passed, failed, share (passed), checked_at."""
    import polars as pl

    suites = ws.suites()
    return (
        suites.group_by("suite", "target", maintain_order=True)
        .agg(
            expectations=pl.len(),
            passed=pl.col("success").fill_null(False).sum(),
            unchecked=pl.col("success").is_null().sum(),
            rows_failed=pl.col("failed").fill_null(0).sum(),
            checked_at=pl.col("at").max(),
        )
        .with_columns(share=pl.col("passed") / pl.col("expectations"))
    )
