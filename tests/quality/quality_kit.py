"""Small things that the tests of this room share."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from cdp_core.engine.staging import Staging
from cdp_core.quality.spec import Expectation, Suite

NOW = datetime(1998, 7, 1)
EVENT = {"source": pl.String, "message_id": pl.String, "type": pl.String, "event": pl.String, "user_id": pl.String,
         "timestamp": pl.Datetime("us"), "received_at": pl.Datetime("us")}  # fmt: skip
REJECT = {"source": pl.String, "message_id": pl.String, "received_at": pl.Datetime("us"), "payload": pl.String,
          "rule": pl.String, "field": pl.String, "description": pl.String}  # fmt: skip


def expect(rule: str, severity: str, type: str, **kwargs: Any) -> Expectation:
    return Expectation(type=type, kwargs=kwargs, severity=severity, rule=rule, description=f"Words of {rule}", line=3)


def suite(target: str, *expectations: Expectation, kind: str = "source") -> Suite:
    path = Path("expectations") / f"{kind}s" / f"{target}.json"
    return Suite(name=target, kind=kind, target=target, path=path, expectations=expectations)


def stage_people(staging: Staging, rows: list[dict[str, Any]], source: str = "people") -> dict[str, str]:
    """Stage rows of a source, with an event for each, as loading does; gives source_tables."""
    staging.append(f"rows_{source}", pl.DataFrame(rows))
    events = [
        {"source": source, "message_id": row["message_id"], "type": "track", "event": "Signed Up", "user_id": "u",
         "timestamp": NOW, "received_at": NOW}
        for row in rows
    ]  # fmt: skip
    staging.append("events", pl.DataFrame(events, schema=EVENT))
    return {source: f"rows_{source}"}
