"""Customers: finding them, and the list of those seen last."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cdp_core as cdp
from cdp_core.dashboard.views.audiences import properties
from cdp_core.privacy import masking

if TYPE_CHECKING:
    import polars as pl

MOST = 50
MONEY = ("total", "subtotal", "revenue", "price", "value", "amount", "spent", "discount", "tax", "shipping")
_NAMES: tuple[tuple[str, ...], ...] = (
    ("first_name", "last_name"),
    ("firstName", "lastName"),
    ("full_name",),
    ("name",),
)
_OVER = ("sum", "average", "min", "max", "first", "last")


@dataclass(frozen=True)
class Found:
    """Rows with profile_id, name, contact, matched, then numbers that say what a customer is worth; last_seen (UTC)
    and sources. `exact` is the only profile that one of its identifiers names in full."""

    rows: pl.DataFrame
    numbers: list[str]
    exact: str | None


def search(ws: cdp.Workspace, text: str, reveal: bool) -> Found:
    """Customers found by any identifier or part of a name; without text those seen last."""
    text = text.strip()
    frame = ws.search(text, limit=MOST) if text else _latest(ws)
    exact = None
    if text and frame.height:
        whole = frame.filter(frame["how"] == "exact")
        exact = whole["profile_id"][0] if whole["profile_id"].n_unique() == 1 else None
    numbers = numbers_of(ws, frame.columns)
    return Found(_shaped(ws, frame, numbers, reveal), numbers, exact)


def _latest(ws: cdp.Workspace) -> pl.DataFrame:
    profiles = ws.table("profiles")
    return ws.polars(profiles.order_by([profiles.last_seen.desc(), profiles.profile_id]).limit(MOST))


def _shaped(ws: cdp.Workspace, frame: pl.DataFrame, numbers: list[str], reveal: bool) -> pl.DataFrame:
    import polars as pl

    frame = frame.with_columns(
        name=_joined(frame, name_columns(frame.columns)), contact=_joined(frame, contact_columns(frame.columns)[:1])
    )
    if "matched" in frame.columns:
        kind, value = pl.col("matched").str.extract("^([^:]+):"), pl.col("matched").str.replace("^[^:]+:", "")
        frame = frame.with_columns(matched_kind=kind, matched_value=value)
    else:
        frame = frame.with_columns(matched_kind=pl.lit(None, pl.String), matched_value=pl.lit(None, pl.String))
    if not reveal:
        contact = (contact_columns(frame.columns) or ["email"])[0]
        frame = masking.mask_column(masking.mask_column(frame, "name", "name"), "contact", contact)
        frame = masking.mask_pairs(frame, "matched_kind", "matched_value")
    matched = pl.format("{}: {}", "matched_kind", "matched_value")
    kept = frame.select("profile_id", "name", "contact", "events", *numbers, "last_seen", matched=matched)
    return kept.join(_sources(ws, frame["profile_id"].to_list()), on="profile_id", how="left", maintain_order="left")


def _joined(frame: pl.DataFrame, columns: list[str]) -> Any:
    import polars as pl

    if not columns:
        return pl.lit(None, pl.String)
    return pl.concat_str([pl.col(c).cast(pl.String) for c in columns], separator=" ", ignore_nulls=True).replace(
        "", None
    )


def _sources(ws: cdp.Workspace, ids: list[str]) -> pl.DataFrame:
    """Which sources gave a profile its values. Columns: profile_id, sources."""
    import polars as pl

    traits = ws.table("profile_traits")
    mine = traits.filter(traits.profile_id.isin(ids or [""]) & traits.source.notnull())
    pairs = ws.polars(mine.select("profile_id", "source").distinct())
    grouped = pairs.sort("source").group_by("profile_id", maintain_order=True).agg(sources=pl.col("source"))
    return grouped if pairs.height else pl.DataFrame(schema={"profile_id": pl.String, "sources": pl.List(pl.String)})


def name_columns(columns: Iterable[str]) -> list[str]:
    """The traits that make up a person's name, in reading order."""
    present = set(columns)
    for names in _NAMES:
        found = [name for name in names if name in present]
        if found:
            return found
    return [column for column in columns if masking.kind_of(column) == "name"][:2]


def contact_columns(columns: Iterable[str]) -> list[str]:
    """Traits to reach a person by, e-mail before phone."""
    columns = list(columns)
    return [c for kind in ("email", "phone") for c in columns if masking.kind_of(c) == kind]


def numbers_of(ws: cdp.Workspace, columns: Iterable[str]) -> list[str]:
    """The first count and the first sum among the computed traits: how often, and how much."""
    present, found = set(columns), []
    for way in ("count", "sum"):
        names = [n for n, trait in ws.config.traits.items() if way in _written(trait) and n in present]
        found += names[:1]
    return found


def currencies(ws: cdp.Workspace) -> dict[str, str]:
    """Trait → currency, for traits computed from an amount whose events all state one and the same currency."""
    found: dict[str, str] = {}
    for name, trait in ws.config.traits.items():
        written = _written(trait)
        over = next((str(written[way]) for way in _OVER if way in written), "")
        event, _, column = over.rpartition(".")
        if event and column.lower() in MONEY:
            currency = currency_of(ws, event)
            if currency:
                found[name] = currency
    return found


def currency_of(ws: cdp.Workspace, event: str) -> str | None:
    """The one currency that the newest events of this name state."""
    _, values = properties(ws, event).get("currency", ("string", []))
    return str(values[0]).upper() if len(values) == 1 else None


def _written(trait: Any) -> dict[str, Any]:
    dumped: dict[str, Any] = trait.model_dump(by_alias=True, exclude_defaults=True)
    return dumped
