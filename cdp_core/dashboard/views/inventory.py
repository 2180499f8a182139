"""The privacy inventory as the page shows it. Plain functions; places, kinds and counts, never a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cdp_core as cdp
from cdp_core.dashboard import formatting as f

if TYPE_CHECKING:
    import polars as pl

KINDS = {
    "email": "E-mail", "phone": "Phone", "card": "Card", "iban": "IBAN", "ip": "IP address", "mac": "MAC address",
    "us_ssn": "US SSN", "uk_nino": "UK NINO", "de_steuer_id": "German tax ID", "fr_nir": "French NIR",
    "es_dni": "Spanish DNI/NIE", "it_codice_fiscale": "Codice fiscale", "nl_bsn": "Dutch BSN",
    "se_personnummer": "Personnummer", "birth_date": "Date of birth", "name": "Name", "address": "Address",
    "identifier": "Identifier", "secret": "Secret",
}  # fmt: skip
STAGES = {
    "source": ("Source", "#8A8A99"), "field": ("Field", "#DC7B18"), "identifier": ("Identifier", "#2E86C9"),
    "trait": ("Trait", "#7F7AE0"), "consent": ("Consent", "#7A8B2A"), "audience": ("Audience", "#C2417C"),
    "sync": ("Sync", "#12A594"), "destination": ("Destination", "#B4432F"),
}  # fmt: skip
"""Kinds of nodes with a middle tone that reads on light and on dark."""


@dataclass(frozen=True)
class Picture:
    """Nodes (what it is called → colour) and ties (from, to, whether the value itself arrives)."""

    nodes: dict[str, str]
    ties: list[tuple[str, str, bool]]
    destinations: list[str]
    only_decides: list[str]


def fields(ws: cdp.Workspace) -> pl.DataFrame:
    """All fields with their columns, and `holds`: the kind as a person reads it. Lists are texts."""
    import polars as pl

    frame = ws.inventory.fields()
    held = [kind_in_words(kind) for kind in frame["kind"].to_list()]
    lists = [
        name for name, kind in frame.schema.items() if kind == pl.List(pl.String) and name not in ("calls", "follows")
    ]
    texts = [pl.when(pl.col(name).list.len() > 0).then(pl.col(name).list.join(", ")).alias(name) for name in lists]
    return frame.with_columns(*texts, holds=pl.Series(held, dtype=pl.String))


def waiting(ws: cdp.Workspace) -> pl.DataFrame:
    """The inbox, the highest class first."""
    import polars as pl

    order = pl.col("suggested").replace_strict({"red": 0, "yellow": 1, "green": 2}, return_dtype=pl.Int64)
    return fields(ws).filter("inbox").sort(order, "source", "place")


def summary(ws: cdp.Workspace) -> dict[str, Any]:
    """See `ws.inventory.summary`."""
    return ws.inventory.summary()


def reasons(ws: cdp.Workspace, field: str) -> list[dict[str, Any]]:
    """See `ws.inventory.reasons`."""
    return ws.inventory.reasons(field)


def picture(ws: cdp.Workspace, field: str) -> Picture:
    """The way of a field to its destinations."""
    flow = ws.inventory.flow(field)
    ties: dict[tuple[str, str], bool] = {}
    for edge in flow.edges:
        key = (_called(edge.left), _called(edge.right))
        ties[key] = ties.get(key, False) or edge.carries == "value"
    nodes = {
        _called(node): STAGES[node.partition(":")[0]][1] for edge in flow.edges for node in (edge.left, edge.right)
    }
    return Picture(
        nodes,
        [(left, right, value) for (left, right), value in ties.items()],
        flow.names("destination", "value"),
        flow.names("destination", "condition"),
    )


def kind_in_words(kind: str | None) -> str | None:
    """
    >>> kind_in_words("text:email"), kind_in_words("postcode"), kind_in_words(None)
    ('E-mail in text', 'Postcode', None)
    """
    if kind is None:
        return None
    plain = kind.removeprefix("text:")
    found = KINDS.get(plain) or f.label(plain)
    return f"{found} in text" if plain != kind else found


def _called(node: str) -> str:
    kind, _, name = node.partition(":")
    if kind in ("source", "field"):
        return name if kind == "source" else name.partition(".")[2]
    return f"{STAGES[kind][0]} · {name}"
