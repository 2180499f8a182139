"""Rows that were held, staged once more from their content, by the source's mapping as it is today."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from cdp_core import plugins
from cdp_core.engine import json_lines
from cdp_core.engine.json_stored import NAMES, OBJECTS, TIMES
from cdp_core.inbox.files import SOURCE_TYPE
from cdp_core.sources.base import LINE, REJECT_SCHEMA, SourceBatch
from cdp_core.sources.collector import as_received
from cdp_core.sources.guard import guarded_texts
from cdp_core.sources.json_text import judge
from cdp_core.sources.segment_events import FIELDS, INNER, SAID, finished, verdict
from cdp_core.sources.spec import SourceSpec
from cdp_core.sources.stage import HELD_ID, Loader

if TYPE_CHECKING:
    from cdp_core.engine import Staging
    from cdp_core.privacy.door import Door

_PART = "held"


def stage_held(
    name: str, spec: SourceSpec, staging: Staging, held: pl.DataFrame, *, columns: pl.DataFrame, now: datetime,
    door: Door,
) -> None:  # fmt: skip
    """Fill the staging tables that `stage_sources` fills, from `held`: message_id, received_at, payload, shape.

    Every row keeps the id under which it is held. `columns` are the rows of SOURCE_COLUMNS. Raises SpecError when the
    mapping no longer fits, ContractError when a row was lost.
    """
    gives = plugins.load(plugins.SOURCES, spec.type).gives
    known = columns.filter(pl.col("source") == name)
    rows = held.with_row_index(LINE, offset=1).with_columns(pl.col(LINE).cast(pl.Int64))
    rows = rows.rename({"message_id": HELD_ID, "payload": "_text", "received_at": "_held_at"})
    for stored, part in rows.group_by(pl.col("shape").eq_missing("event"), maintain_order=True):
        kind = "stored" if stored[0] else gives
        if kind != "rows":
            part = part.with_columns(guarded_texts(part["_text"], door, staging).alias("_text"))
        loader = Loader(name, spec, staging, kind, now.replace(tzinfo=None), known, fresh=False, door=door)
        loader.take(_READERS[kind](part.drop("shape"), spec, staging))
        loader.check()


def _events(rows: pl.DataFrame, spec: SourceSpec, staging: Staging) -> SourceBatch:
    sound, bad = judge(staging, rows, FIELDS, INNER)
    received = pl.coalesce("_held_at", "receivedAt")
    named = sound.with_columns(messageId=pl.col(HELD_ID), receivedAt=received)
    if spec.type == SOURCE_TYPE:
        named = as_received(named)
    events, bad = finished(staging, named, bad)
    return _batch(rows, events, bad)


def _rows(rows: pl.DataFrame, spec: SourceSpec, staging: Staging) -> SourceBatch:
    """Columns that no row has are empty; a mapping may name them all the same."""
    assert spec.map is not None
    sound, bad = judge(staging, rows, {})
    names = json_lines.keys(staging, sound["_text"])["key"].to_list()
    values = json_lines.extract(staging, sound["_text"], names)
    missing = [pl.lit(None, pl.String).alias(c) for c in spec.map.used() if c not in names]
    values = values.with_columns(*missing).with_columns(sound[HELD_ID], sound[LINE])
    return _batch(rows, values, bad)


def _stored(rows: pl.DataFrame, spec: SourceSpec, staging: Staging) -> SourceBatch:
    """Events as `json_stored` writes them: they have been through a mapping or an envelope before."""
    sound, bad = judge(staging, rows, _STORED)
    named = sound.rename({k: v for k, v in (NAMES | TIMES).items() if k in sound.columns})
    named = named.with_columns(
        pl.col("type").str.to_lowercase(),
        message_id=pl.col(HELD_ID),
        received_at=pl.coalesce("_held_at", "received_at"),
    )
    rule, place = verdict(known=True)
    named = named.with_columns(_rule=rule, _field=place)
    wrong = named.filter(pl.col("_rule").is_not_null()).select(
        LINE, payload="_text", rule="_rule", field="_field", description=pl.col("_rule").replace_strict(SAID)
    )
    good = named.filter(pl.col("_rule").is_null()).select(*NAMES.values(), *TIMES.values(), *OBJECTS, LINE)
    return _batch(rows, good, pl.concat([bad.select(wrong.columns), wrong]))


_STORED = dict.fromkeys(NAMES, "text") | dict.fromkeys(TIMES, "time") | dict.fromkeys(OBJECTS, "json")
_READERS = {"events": _events, "rows": _rows, "stored": _stored}


def _batch(rows: pl.DataFrame, good: pl.DataFrame, bad: pl.DataFrame) -> SourceBatch:
    ids = rows.select(LINE, message_id=HELD_ID)
    rejects = bad.join(ids, on=LINE, how="left", maintain_order="left").select(*REJECT_SCHEMA, "message_id")
    words = pl.col("description").str.replace(r"^line [0-9]+: ", "")
    return SourceBatch(part=_PART, fingerprint="", rows=good, rejects=rejects.with_columns(words))
