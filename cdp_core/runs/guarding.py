"""What is stored already, under the controls of today, whatever it was stored under."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core.config.doors import door_of
from cdp_core.runs.dedupe import KEY
from cdp_core.sources.guard import BUCKETS, guarded_events, guarded_payloads
from cdp_core.sources.spec import EVENT_IDENTIFIERS

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.config import Config
    from cdp_core.engine import Engine, Staging
    from cdp_core.privacy.door import Door

STORED = "event"
"""What `shape` says in the table quarantine of content that is a stored event, not a row as its source gave it."""
COLUMNS = (*EVENT_IDENTIFIERS, *BUCKETS)
_ROWS = 50_000


def guard_staged(staging: Staging, doors: Mapping[str, Door]) -> None:
    """Carry the controls out on staged `events`; the staged table `guarded` holds what has changed."""
    import polars as pl

    raw: Any = staging.con.con
    staging.drop("guarded")
    for source, door in doors.items():
        cursor = raw.cursor()
        query = f"SELECT {', '.join((*KEY, *COLUMNS))} FROM events WHERE source = ?"
        for batch in cursor.execute(query, [source]).to_arrow_reader(_ROWS):
            rows: Any = pl.from_arrow(batch)
            made = guarded_events(rows, door, staging)
            differ = pl.any_horizontal(made[c].ne_missing(rows[c]).alias(c) for c in COLUMNS)
            if (changed := made.filter(differ)).height:
                staging.append("guarded", changed)
        cursor.close()
    if staging.has("guarded"):
        _take_over(staging, "events")


def guard_held(staging: Staging) -> None:
    """Held rows of stored events are kept as they were stored, but for what the controls have changed."""
    if staging.has("guarded"):
        match = " AND ".join(f"h.{k} = stored.{k}" for k in KEY)
        _take_over(staging, "stored", f" AND EXISTS (SELECT 1 FROM held h WHERE {match})")


def guard_rows(engine: Engine, staging: Staging, config: Config, held: pl.DataFrame, *, root: Path) -> pl.DataFrame:
    """Rows of the table quarantine, of sources that cdp.yaml has, with their contents under the controls of today."""
    import polars as pl

    known = engine.polars(engine.table("source_columns"))
    parts = [held.clear()]
    for (name, stored), rows in held.group_by("source", pl.col("shape") == STORED, maintain_order=True):
        spec = config.sources[str(name)]
        if stored:
            spec = spec.model_copy(update={"map": None})
        columns = known.filter(pl.col("source") == name)["column"].to_list()
        door = door_of(root, config, str(name))
        parts.append(
            rows.with_columns(
                guarded_payloads(rows[text], spec, door, staging, columns).alias(text) for text in ("payload", "fixed")
            )
        )
    return pl.concat(parts)


def _take_over(staging: Staging, name: str, which: str = "") -> None:
    changes = ", ".join(f"{c} = g.{c}" for c in COLUMNS)
    match = " AND ".join(f"{name}.{k} = g.{k}" for k in KEY)
    raw: Any = staging.con.con
    raw.execute(f"UPDATE {name} SET {changes} FROM guarded g WHERE {match}{which}")
