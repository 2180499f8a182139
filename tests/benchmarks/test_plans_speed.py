"""A tracking plan over a million staged events, beside a JSON Schema validator over the same events as dicts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cdp_core.engine.staging import Staging
from cdp_core.quality.plan.enforce import enforce
from cdp_core.quality.plan.judge import compile_plan
from cdp_core.quality.plan.spec import Plan
from cdp_core.tables import EVENTS
from cdp_core.tracking import Controls

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(900)]
SIZE = 1_000_000
NAMES = ("Order Completed", "Product Viewed", "Product Added", "Signed Up")
RULES: dict[str, Any] = {
    "order_id": {"type": "string", "required": True}, "total": {"type": "number", "minimum": 0, "required": True}, "currency": {"enum": ["USD", "EUR"]},
    "sku": {"pattern": "^cd-[0-9]+$", "max_length": 20}, "quantity": {"type": "integer"}, "genre": {"type": "string"}, "at": {"type": "date-time"},
    "path": {"type": ["string", "null"]},
}  # fmt: skip
PLAN = Plan.model_validate({"name": "shop", "events": {name: {"properties": RULES} for name in NAMES}})
ONE_PERCENT = Plan.model_validate(
    {
        "name": "shop",
        "events": {name: {"properties": {**RULES, "total": {"type": "number", "minimum": 1}}} for name in NAMES},
    }
)
ALL_BROKEN = Plan.model_validate(
    {"name": "shop", "events": {name: {"properties": {**RULES, "genre": {"type": "integer"}}} for name in NAMES}}
)
COMMON = Plan.model_validate(
    {"name": "shop", "events": {name: {"properties": RULES, "schema": {"properties": {"quantity": {"multipleOf": 1}}}} for name in NAMES},
     "common": {"schema": {"required": ["anonymousId"], "properties": {"context": {"type": "object", "required": ["library"]}}}}}
)  # fmt: skip


def frame(size: int) -> pl.DataFrame:
    i = pl.int_range(size, eager=True).alias("i").to_frame()
    column = pl.col("i")
    texts = {
        "source": pl.lit("web"), "message_id": pl.format("m{}", column), "type": pl.lit("track"),
        "event": pl.Series(NAMES).gather(i["i"] % 4), "anonymous_id": pl.format("a{}", column), "context": pl.lit('{"ip":"1.2.3.4","library":{"name":"a"}}'),
        "properties": pl.concat_str(
            pl.lit('{"order_id":"o'), column, pl.lit('","total":'), (column % 1000) / 10, pl.lit(',"currency":"USD","sku":"cd-'), column % 5000,
            pl.lit('","quantity":'), column % 9, pl.lit(',"genre":"rock","at":"1998-07-01T00:00:'), 10 + column % 50, pl.lit('Z","path":"/x/'),
            column % 333, pl.lit('"}'),
        ),
    }  # fmt: skip
    made = i.select(**texts)
    return made.with_columns(
        pl.lit(None, kind).alias(c) for c, kind in EVENTS.polars_schema().items() if c not in made.columns
    )


@pytest.fixture
def staging(tmp_path: Path) -> Iterator[Staging]:
    made = Staging(tmp_path / "batch.duckdb")
    made.append("events", frame(SIZE))
    made.table("events")
    yield made
    made.discard()


def timed(name: str, size: int, work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    print(f"\n{name}: {seconds:.2f} s, {size / seconds:,.0f} events/s")
    return size / seconds


def test_a_million_staged_events(staging: Staging) -> None:
    allow, block = Controls.model_validate({}), Controls.model_validate({"violations": "block"})
    sound = timed("all sound", SIZE, lambda: enforce(staging, {"web": (PLAN, allow)}))
    timed("schemas beneath and common", SIZE, lambda: enforce(staging, {"web": (COMMON, allow)}))
    timed("one in a hundred is blocked", SIZE, lambda: enforce(staging, {"web": (ONE_PERCENT, block)}))
    timed("one in a hundred says what is wrong with it", SIZE, lambda: enforce(staging, {"web": (ONE_PERCENT, allow)}))
    timed("every one is blocked", SIZE, lambda: enforce(staging, {"web": (ALL_BROKEN, block)}))
    timed("every one says what is wrong with it", SIZE, lambda: enforce(staging, {"web": (ALL_BROKEN, allow)}))
    assert sound > 500_000


def test_single_events_and_a_plain_validator() -> None:
    import jsonschema_rs

    from cdp_core.quality.plan.convert import schema_of

    rows = frame(100_000).select("type", "event", "anonymous_id", "properties", "context").to_dicts()
    texts = [row["properties"] for row in rows]
    events = [
        {"type": r["type"], "event": r["event"], "anonymousId": r["anonymous_id"], "properties": json.loads(r["properties"]), "context": json.loads(r["context"])}
        for r in rows
    ]  # fmt: skip
    judge = compile_plan(PLAN)
    assert timed("judge", len(events), lambda: [judge(event) for event in events]) > 100_000
    plain = jsonschema_rs.Draft7Validator(schema_of(PLAN.events[NAMES[0]]), validate_formats=True)
    timed("jsonschema_rs over dicts", len(events), lambda: [plain.is_valid(event["properties"]) for event in events])
    timed("json.loads and jsonschema_rs", len(events), lambda: [plain.is_valid(json.loads(text)) for text in texts])
