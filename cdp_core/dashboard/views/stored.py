"""Stored events that go through today's rules once more: what there is to choose, and what that would change."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import cdp_core as cdp
from cdp_core.privacy import masking

if TYPE_CHECKING:
    import polars as pl

MOST_NAMES = 500
REPLAYS = 10
_GONE = "–"
_HASHED = re.compile("[0-9a-f]{64}")
_OWN = ("event", "transformed", "plan", "omitted", "omitted_on_violation", "violations")


def names(ws: cdp.Workspace, source: str | None) -> list[str]:
    """Names of events (of a source), the most frequent first."""
    table = ws.table("events")
    table = table.filter(table.event.notnull())
    table = table.filter(table.source == source) if source else table
    counted = table.group_by("event").agg(n=lambda t: t.count())
    frame = ws.polars(counted.order_by([counted.n.desc(), counted.event]).limit(MOST_NAMES))
    return [str(name) for name in frame["event"]]


def replays(ws: cdp.Workspace) -> pl.DataFrame:
    """The last replays, newest first: run_id, at (UTC), changed, held."""
    import polars as pl

    runs = ws.table("runs")
    rows = runs.filter(runs.kind == "source replay", runs.status == "succeeded")
    frame = ws.polars(rows.order_by(rows.started_at.desc()).limit(REPLAYS))
    stages = [_stage(text) for text in frame["stages"]]
    return frame.select("run_id", at="started_at").with_columns(
        checked=pl.Series([s.get("rows_in", 0) for s in stages], dtype=pl.Int64),
        held=pl.Series([s.get("quarantined", 0) for s in stages], dtype=pl.Int64),
    )


def _stage(text: str | None) -> dict[str, Any]:
    return next((s for s in json.loads(text or "[]") if s["name"] == "quality"), {})


def changes(samples: Sequence[dict[str, Any]], *, reveal: bool) -> list[dict[str, str]]:
    """One row for every place that a sample event has otherwise: message_id, place, before, after.

    >>> changes([{"message_id": "m", "before": {"event": "Pay"}, "after": {"event": "Paid"}}], reveal=True)
    [{'message_id': 'm', 'place': 'event', 'before': 'Pay', 'after': 'Paid'}]
    """
    rows = []
    for sample in samples:
        before, after = (dict(_leaves(sample[side], "")) for side in ("before", "after"))
        for place in dict.fromkeys([*before, *after]):
            if before.get(place) != after.get(place):
                shown = {s: _shown(place, v.get(place), reveal) for s, v in (("before", before), ("after", after))}
                rows.append({"message_id": sample["message_id"], "place": place, **shown})
    return rows


def _leaves(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Every value that is no object, by its place."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{place}.{key}" if place else key)
    elif place and value is not None:
        yield place, value


def _shown(place: str, value: Any, reveal: bool) -> str:
    if value is None:
        return _GONE
    name = place.rpartition(".")[2]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if reveal or name in _OWN or _HASHED.fullmatch(text):
        return text
    return (masking.mask(text, name) if isinstance(value, str) else masking.mask_json(text)) or ""
