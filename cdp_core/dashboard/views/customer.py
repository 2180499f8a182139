"""One customer: golden record with provenance, identifiers and why, timeline, audiences, consent, deliveries."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard.views import customers, sync_history
from cdp_core.privacy import masking

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

_TELLING = (
    "product_name",
    "name",
    "title",
    "path",
    "url",
    "page",
    "topic",
    "category",
    "genre",
    "sku",
    "order_id",
    "product_id",
    "status",
    "query",
    "campaign",
)


@dataclass(frozen=True)
class Card:
    """What the page shows of a profile. Frames are ready to draw; masked unless revealed.

    traits: trait, value, source, updated_at, rule, others. identifiers: type, value, first_seen, last_seen, events.
    audiences: audience, entered_at. consents: category, state, source, updated_at.
    deliveries: as `sync_history.sent_about`. merges: from_profile_id, at, reason.
    """

    profile_id: str
    name: str
    first_seen: datetime | None
    last_seen: datetime | None
    events: int
    facts: list[tuple[str, str]]
    traits: pl.DataFrame
    identifiers: pl.DataFrame
    audiences: pl.DataFrame
    consents: pl.DataFrame
    deliveries: pl.DataFrame
    merges: pl.DataFrame


def card(ws: cdp.Workspace, reference: str, reveal: bool) -> Card:
    """The card of a profile_id or `type:value`. Raises CDPError when there is none."""
    profile = ws.profile(reference)
    money = customers.currencies(ws)
    identifiers = profile.identifiers.select("type", "value", "first_seen", "last_seen", "events")
    return Card(
        profile_id=profile.profile_id,
        name=_name(profile, reveal),
        first_seen=profile.first_seen,
        last_seen=profile.last_seen,
        events=profile.events,
        facts=_facts(ws, profile.golden, money),
        traits=_traits(profile, money, reveal),
        identifiers=identifiers if reveal else masking.mask_pairs(identifiers, "type", "value"),
        audiences=profile.audiences.select("audience", "entered_at"),
        consents=profile.consents.select("category", "state", "source", "updated_at"),
        deliveries=sync_history.sent_about(ws, profile.profile_id, reveal),
        merges=profile.merges.select("from_profile_id", "at", "reason"),
    )


def _name(profile: Any, reveal: bool) -> str:
    golden = profile.golden
    words = [str(golden[c]) for c in customers.name_columns(golden) if golden.get(c)]
    if words:
        name = " ".join(words)
        return name if reveal else masking.mask_name(name)
    for column in customers.contact_columns(golden):
        if golden.get(column):
            return str(golden[column]) if reveal else masking.mask(golden[column], column) or ""
    types = set(profile.identifiers["type"].to_list())
    return "Anonymous visitor" if types <= {"anonymous_id"} else "Customer without a name"


def _facts(ws: cdp.Workspace, golden: dict[str, Any], money: dict[str, str]) -> list[tuple[str, str]]:
    """The numbers that say most about a customer, as label and text."""
    found = []
    for name in customers.numbers_of(ws, golden):
        value = golden.get(name)
        shown = f.money(value, money[name]) if name in money else f.number(value)
        found.append((f.label(name), shown if value is not None else "–"))
    return found


def _traits(profile: Any, money: dict[str, str], reveal: bool) -> pl.DataFrame:
    import polars as pl

    rows = [
        {
            "trait": f.label(trait.name),
            "value": _shown(trait.name, trait.value, profile.golden.get(trait.name), money, reveal),
            "source": f.label(trait.source) if trait.source else None,
            "updated_at": trait.updated_at,
            "rule": trait.rule,
            "others": "; ".join(_other(trait.name, other, reveal) for other in trait.others) or None,
        }
        for trait in profile.traits
    ]
    schema: dict[str, Any] = {
        "trait": pl.String,
        "value": pl.String,
        "source": pl.String,
        "updated_at": pl.Datetime("us"),
        "rule": pl.String,
        "others": pl.String,
    }
    return pl.DataFrame(rows, schema=schema)


def _shown(name: str, text: str, value: Any, money: dict[str, str], reveal: bool) -> str | None:
    """A golden value as a person reads it; `value` is the typed one."""
    if not reveal and masking.kind_of(name):
        return masking.mask(text, name)
    if name in money and isinstance(value, int | float):
        return f.money(value, money[name])
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f.number(value)
    if isinstance(value, datetime) or (value is not None and hasattr(value, "isoformat")):
        return f.exact(value)
    if isinstance(value, list):
        text = ", ".join(map(str, value))
    return text if reveal else masking.mask_text(text)


def _other(name: str, other: Any, reveal: bool) -> str:
    value = other.value if reveal else masking.mask(other.value, name)
    return f"{value} ({f.label(other.source)}, {f.exact(other.updated_at.date() if other.updated_at else None)})"


def rhythm(ws: cdp.Workspace, profile_id: str) -> pl.DataFrame:
    """A customer's events by month. Columns: month, event, events."""
    events = _events(ws, profile_id)
    named = events.mutate(event=_called(events), month=events.timestamp.truncate("M"))
    named = named.filter(named.month.notnull())
    return ws.polars(named.group_by(["month", "event"]).agg(events=named.count()).order_by(["month", "event"]))


def _called(events: ir.Table) -> ir.StringValue:
    """A track event is called by its name, any other by its type."""
    return (events.type == "track").ifelse(events.event, events.type.capitalize()).coalesce(events.type)


def _events(ws: cdp.Workspace, profile_id: str) -> ir.Table:
    links = ws.table("event_profiles")
    mine = links.filter(links.profile_id == profile_id).select("source", "message_id")
    return ws.table("events").semi_join(mine, ["source", "message_id"])


@dataclass(frozen=True)
class Event:
    """One line of the timeline: what it is in a few words, and its content as pretty JSON."""

    timestamp: datetime | None
    name: str
    summary: str
    source: str
    message_id: str
    content: str


def timeline(
    ws: cdp.Workspace,
    profile_id: str,
    names: tuple[str, ...],
    sources: tuple[str, ...],
    page: int,
    size: int,
    reveal: bool,
) -> tuple[int, list[Event]]:
    """How many events there are, and one page of them, newest first."""
    rows = _events(ws, profile_id)
    rows = rows.mutate(shown=_called(rows), title=rows.event)
    if names:
        rows = rows.filter(rows.shown.isin(names))
    if sources:
        rows = rows.filter(rows.source.isin(sources))
    total = ws.polars(rows.aggregate(n=rows.count())).item()
    columns = (
        "timestamp",
        "shown",
        "title",
        "type",
        "source",
        "message_id",
        "properties",
        "traits",
        "context",
        "received_at",
    )
    newest = rows.order_by([rows.timestamp.desc(), rows.received_at.desc(), rows.message_id]).select(*columns)
    return int(total), [
        _event(row, reveal) for row in ws.polars(newest.limit(size, offset=(page - 1) * size)).to_dicts()
    ]


def _event(row: dict[str, Any], reveal: bool) -> Event:
    parts = {key: _json(row[key], reveal) for key in ("properties", "traits", "context")}
    content = {"message_id": row["message_id"], "type": row["type"], **{k: v for k, v in parts.items() if v}}
    return Event(
        timestamp=row["timestamp"],
        name=row["shown"],
        summary=summary({"title": row["title"] if row["type"] != "track" else None, **_about(parts)}),
        source=row["source"],
        message_id=row["message_id"],
        content=json.dumps(content, indent=2, ensure_ascii=False),
    )


def _about(parts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {k: v for k, v in (parts["properties"] or parts["traits"]).items() if v is not None}


def _json(text: str | None, reveal: bool) -> dict[str, Any]:
    try:
        value = json.loads((text if reveal else masking.mask_json(text)) or "{}")
    except ValueError:
        return {"text": text if reveal else masking.mask_text(text or "")}
    return value if isinstance(value, dict) else {"value": value}


def summary(properties: dict[str, Any]) -> str:
    """What an event is about, in a few words.

    >>> summary({"total": 44.1, "currency": "USD", "quantity": 2, "order_id": "o-1"})
    '$44.10 · 2 items · o-1'
    """
    words = []
    currency = properties.get("currency")
    amount = next((properties[k] for k in ("total", "revenue", "price", "value") if k in properties), None)
    if isinstance(amount, int | float) and not isinstance(amount, bool):
        words.append(f.money(amount, str(currency) if currency else None))
    quantity = properties.get("quantity")
    if isinstance(quantity, int):
        words.append(f.plural(quantity, "item"))
    words += [str(properties[k]) for k in _TELLING if properties.get(k)][: 3 - len(words) if words else 3]
    if not words:
        words = [f"{f.label(k)} {v}" for k, v in list(properties.items())[:3] if isinstance(v, str | int | float)]
    return " · ".join(words)
