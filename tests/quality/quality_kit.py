"""Small things that the tests of this room share."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from cdp_core.engine.staging import Staging
from cdp_core.quality.reading import parse_suite
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


def write_suite(suite: Suite) -> None:
    """The suite in its file, if a run would take it."""
    text = suite_text(suite)
    parse_suite(text, suite.path, suite.kind)
    suite.path.write_text(text)


def suite_text(suite: Suite) -> str:
    """The suite's file: one line for each field of an expectation, so that a change is one line of a diff."""
    head = {key: value for key, value in suite.to_json().items() if key != "expectations"}
    lines = [f"  {_json(key)}: {_json(value)}," for key, value in head.items()]
    blocks = [
        "    {\n" + ",\n".join(f"      {_json(k)}: {_json(v)}" for k, v in item.to_json().items()) + "\n    }"
        for item in suite.expectations
    ]
    body = ",\n".join(blocks)
    return "\n".join(["{", *lines, '  "expectations": [', *([body] if body else []), "  ]", "}"]) + "\n"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
