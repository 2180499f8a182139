"""Masks what a sync sends by what it is made of: a field called FN is a name when it is filled from first_name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import cdp_core as cdp
from cdp_core.privacy import masking

if TYPE_CHECKING:
    import polars as pl


def meanings(ws: cdp.Workspace, name: str) -> dict[str, str]:
    """Per field of a sync the name that says what is in it: the first personal column that it reads, or its own."""
    sync = ws.config.syncs.get(name)
    return {field: _meaning(field, source) for field, source in sync.mapping.items()} if sync else {}


def _meaning(field: str, source: Any) -> str:
    read = [source.column] if source.column else source.columns
    return next((name for name in [*read, field] if masking.kind_of(name)), field)


def mask_payload(text: str | None, names: Mapping[str, str]) -> str | None:
    """JSON text of a row with its personal values masked; `names` as of `meanings`.

    >>> mask_payload('{"FN": "Ann", "plan": "pro"}', {"FN": "first_name"})
    '{"FN": "A••", "plan": "pro"}'
    """
    try:
        row = json.loads(text or "")
    except ValueError:
        return masking.mask_json(text)
    if not isinstance(row, dict):
        return masking.mask_json(text)
    shown = {field: masking.mask_value(value, names.get(field, field)) for field, value in row.items()}
    return json.dumps(shown, ensure_ascii=False)


def masked(ws: cdp.Workspace, name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Rows of the ledger or the log with what is personal masked: `payload`, `error`, and `key`."""
    import polars as pl

    names = meanings(ws, name)
    if "payload" in frame.columns:
        hidden = pl.col("payload").map_elements(lambda text: mask_payload(text, names), return_dtype=pl.String)
        frame = frame.with_columns(hidden)
    frame = masking.mask_column(frame, "error", "note")
    sync = ws.config.syncs.get(name)
    return masking.mask_column(frame, "key", names[sync.key]) if sync and masking.kind_of(names[sync.key]) else frame
