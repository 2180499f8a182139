"""The plan of a sync as rows to look at: what would be added, changed, removed, withheld, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard.views import sync_mask
from cdp_core.privacy import masking

if TYPE_CHECKING:
    import polars as pl

OPERATIONS = ("add", "change", "remove", "withheld", "invalid")
CONSENT = "consent: "


@dataclass(frozen=True)
class Plan:
    """What a run of a sync would do; `samples` has the columns what, key, one per field, and reason."""

    plan_id: str
    counts: dict[str, int]
    samples: pl.DataFrame
    note: str | None
    brake: str | None

    @property
    def due(self) -> int:
        return self.counts["add"] + self.counts["change"] + self.counts["remove"]

    @property
    def in_words(self) -> str:
        """
        >>> Plan("p", {"add": 1200, "change": 0, "remove": 3}, None, None, None).in_words
        'add 1,200, remove 3'
        """
        moves = ("add", "change", "remove")
        return ", ".join(f"{what} {self.counts[what]:,}" for what in moves if self.counts[what])


def plan(ws: cdp.Workspace, name: str, reveal: bool) -> Plan:
    """The diff against what was delivered before. Nothing is sent. Raises CDPError."""
    found = ws.sync(name).plan()
    counts = {what: getattr(found, what) for what in ("add", "change", "remove", "unchanged", "withheld", "invalid")}
    return Plan(
        found.plan_id,
        counts,
        _samples(found.samples, None if reveal else sync_mask.meanings(ws, name)),
        found.note,
        found.brake,
    )


def _samples(samples: dict[str, list[dict[str, Any]]], hidden: dict[str, str] | None) -> pl.DataFrame:
    """One row per sampled row: fields as text, a change as old → new. Masked where `hidden` says what they mean."""
    import polars as pl

    rows = [_row(what, row, hidden) for what in OPERATIONS for row in samples.get(what, [])]
    if not rows:
        return pl.DataFrame(schema={"what": pl.List(pl.String)})
    names = list(dict.fromkeys(name for row in rows for name in row))
    ordered = ["what", *(["reason"] if "reason" in names else []), *(n for n in names if n not in ("what", "reason"))]
    return pl.DataFrame(rows, schema={n: pl.List(pl.String) if n == "what" else pl.String for n in ordered})


def _row(what: str, row: dict[str, Any], hidden: dict[str, str] | None) -> dict[str, Any]:
    before = row.get("before") or {}
    shown: dict[str, Any] = {"what": [what]}
    for name, value in row.items():
        if name == "before":
            continue
        if name == "reason":
            shown[name] = reason_in_words(what, str(value))
            continue
        text = _text(name, value, hidden)
        shown[name] = f"{_text(name, before[name], hidden) or '–'} → {text or '–'}" if name in before else text
    return shown


def reason_in_words(what: str, reason: str) -> str:
    """
    >>> reason_in_words("remove", "consent: ads (denied)"), reason_in_words("withheld", "consent: ads (unknown)")
    ('Consent withdrawn: ads (denied)', 'No consent: ads (unknown)')
    >>> reason_in_words("invalid", "no key")
    'No key'
    """
    if reason.startswith(CONSENT):
        return f"{'Consent withdrawn' if what == 'remove' else 'No consent'}: {reason.removeprefix(CONSENT)}"
    return reason[:1].upper() + reason[1:]


def _text(name: str, value: Any, hidden: dict[str, str] | None) -> str | None:
    if value is None:
        return None
    meaning = (hidden or {}).get(name, name)
    if isinstance(value, float | int) and not isinstance(value, bool):
        return f.number(value) if hidden is None or not masking.kind_of(meaning) else masking.mask(value, meaning)
    if name == "profile_id" or hidden is None:
        return str(value)
    return masking.mask(value, meaning)
