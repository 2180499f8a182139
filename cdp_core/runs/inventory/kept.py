"""The last scan, kept beside the lake so that pages and commands need not look through it again.

What is kept are places, kinds, counts and shares; never a value.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core.config.whole import write_whole
from cdp_core.privacy.judge import Found
from cdp_core.runs.inventory.drawn import BUDGET
from cdp_core.runs.inventory.scan import Field, Scan, scan

if TYPE_CHECKING:
    from cdp_core.engine import Engine

PATH = Path("data/privacy/inventory.json")
FORMAT = 1
"""To be counted up when detectors or the shape of the file change."""


def kept_scan(engine: Engine, root: Path, *, region: str, today: date, budget: int = BUDGET) -> Scan:
    """The scan of the lake as it is now: the kept one when nothing has been published since."""
    of = {
        "format": FORMAT, "snapshot": engine.snapshot(), "region": region, "year": today.year, "budget": budget,
    }  # fmt: skip
    known = _read(root / PATH, of)
    if known is not None:
        return known
    made = scan(engine, region=region, today=today, budget=budget)
    data = json.dumps({"of": of, "scan": asdict(made)}, default=_written, ensure_ascii=False)
    # A folder that cannot be written to only costs the next reader the time of another scan.
    with contextlib.suppress(OSError):
        write_whole(root / PATH, data.encode())
    return made


def _written(value: Any) -> str:
    assert isinstance(value, datetime)
    return value.isoformat()


def _read(path: Path, of: dict[str, Any]) -> Scan | None:
    """None when there is none of this lake; a damaged file is none either."""
    try:
        data = json.loads(path.read_bytes())
        if data["of"] != of:
            return None
        said = data["scan"]
        fields = tuple(_field(row) for row in said["fields"])
        return Scan(fields=fields, rows=said["rows"], looked_at=said["looked_at"], notes=tuple(said["notes"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _field(row: dict[str, Any]) -> Field:
    times = {key: datetime.fromisoformat(row[key]) if row[key] else None for key in ("first_seen", "last_seen")}
    found = tuple(Found(**each) for each in row["found"])
    return Field(**row | times | {"said": tuple(row["said"]), "found": found})
