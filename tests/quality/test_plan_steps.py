"""Corrections: a batch, a query and a single event are changed alike, say so alike, and nothing is changed twice."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cdp_core.engine.json_edit import edited
from cdp_core.engine.staging import Staging
from cdp_core.quality.plan.correct import correct, corrected, edits
from cdp_core.tracking import Step, unsettled

HEX = hashlib.sha256(b"ann@example.org").hexdigest()
STEPS = [
    {"drop": "properties.a"}, {"drop": "properties.o.x"}, {"hash": "properties.a"}, {"hash": "traits.a"}, {"hash": "properties.o.x"},
    {"rename": "properties.a", "to": "b"}, {"rename": "properties.o.x", "to": 'q"r'}, {"move": "properties.o", "to": "traits.o"},
    {"move": "properties.a", "to": "properties.o.y.z"}, {"move": "traits.a", "to": "properties.a"}, {"event": "Paid", "rename_event": "It's"},
    {"type": "identify", "drop": "traits.a"}, {"event": "Paid", "drop": "properties.b"}, {"move": "properties.o.x", "to": "traits.p.q"},
    {"type": "page", "event": "Home", "rename_event": "Start"}, {"rename": "properties.b", "to": "b"}, {"move": "properties.o", "to": "properties.o.x"},
    {"event": "It's", "rename_event": "Paid"}, {"event": "Paid", "rename_event": "Paid"}, {"event": "It's", "hash": "properties.b"}, {"drop": "properties.o"},
]  # fmt: skip
VALUES: list[Any] = [
    None, 1, 1.5, True, "x", "é'\"", "", [1, None], {}, {"x": None, "y": {"z": 1}}, {"x": "v"}, {"x": HEX}, 10**30, HEX,
    HEX.upper(), HEX + "\n",
]  # fmt: skip
SAID = "drop: properties.a"
CONTEXTS: list[Any] = [
    None, {}, {"ip": None, "protocols": {"event_version": 2, "transformed": [SAID, 1, ["x"]]}}, {"protocols": "x"}, {"protocols": None},
    {"protocols": [{"transformed": [SAID]}]}, {"protocols": {"transformed": {"0": SAID}, "violations": []}},
    {"traits": {"a": "ann@example.org", "o": {"x": 1, "y": 2}}, "ip": None}, {"traits": "x"}, {"traits": {"a": None, "b": 1}},
    {"protocols": {"transformed": []}}, {"protocols": {"transformed": [], "omitted": [None]}, "library": {"name": "é"}},
]  # fmt: skip


@pytest.fixture
def staging(tmp_path: Path) -> Iterator[Staging]:
    made = Staging(tmp_path / "batch.duckdb")
    yield made
    made.discard()


def drawn(rng: random.Random) -> dict[str, Any]:
    kind = rng.choice(["track", "identify", "page"])
    named = {"track": {"event": rng.choice(["Paid", "It's"])}, "page": {"name": "Home"}}
    buckets = {
        bucket: {k: rng.choice(VALUES) for k in ("a", "b", "o", "p") if rng.random() < 0.7}
        for bucket in ("properties", "traits")
    }
    context = rng.choice(CONTEXTS)
    said = {} if context is None else {"context": context}
    return json.loads(json.dumps({"type": kind, **named.get(kind, {}), **buckets, **said}))  # type: ignore[no-any-return]


def stage(staging: Staging, events: Sequence[dict[str, Any]]) -> None:
    rows = [
        {"source": "web", "message_id": str(n), "type": e["type"], "event": e.get("event", e.get("name")),
         **{c: json.dumps(e[c]) if c in e else None for c in ("properties", "traits", "context")}}
        for n, e in enumerate(events)
    ]  # fmt: skip
    staging.drop("events")
    staging.append("events", pl.DataFrame(rows, schema_overrides={"event": pl.String, "context": pl.String}))


def staged(staging: Staging, query: str = "FROM events") -> list[dict[str, Any]]:
    return staging.raw(query).sort(pl.col("message_id").cast(pl.Int64)).to_dicts()


def test_a_batch_a_query_and_a_single_event_are_corrected_alike(staging: Staging) -> None:
    rng = random.Random(5)
    for _ in range(150):
        events = [drawn(rng) for _ in range(12)]
        steps = [Step.model_validate(s) for s in rng.sample(STEPS, 3)]
        stage(staging, events)
        queried = staged(staging, edited("events", edits(steps)))
        correct(staging, "web", steps)
        rows = staged(staging)
        assert queried == rows, steps
        for event, row in zip(events, rows, strict=True):
            made = corrected(event, steps)
            parts = {c: json.loads(row[c]) if row[c] else None for c in ("properties", "traits", "context")}
            assert {"event": row["event"], **parts} == {
                "event": made.get("event", made.get("name")),
                **{c: made.get(c) for c in parts},
            }, (steps, event)


def test_what_was_corrected_stays_byte_for_byte_when_it_is_corrected_again(staging: Staging) -> None:
    rng = random.Random(6)
    settled = changed = 0
    for _ in range(200):
        events = [drawn(rng) for _ in range(12)]
        steps = [Step.model_validate(s) for s in rng.sample(STEPS, 3)]
        if unsettled(steps):
            continue
        settled += 1
        stage(staging, events)
        before = staged(staging)
        correct(staging, "web", steps)
        once = staged(staging)
        correct(staging, "web", steps)
        assert staged(staging) == once, steps
        changed += before != once
        for event in events:
            made = corrected(event, steps)
            assert json.dumps(corrected(made, steps)) == json.dumps(made), (steps, event)
    assert settled > 60
    assert changed > 50


@pytest.mark.parametrize(
    ("steps", "event", "pair"),
    [
        ([{"rename": "properties.b", "to": "c"}, {"rename": "properties.a", "to": "b"}], {"a": 1, "b": 2}, (0, 1)),
        ([{"move": "properties.o", "to": "properties.o.x"}], {"o": {"y": 1}}, (0, 0)),
        ([{"move": "properties.a", "to": "properties.o.x"}, {"drop": "properties.o"}], {"a": 1, "o": "text"}, (0, 1)),
        ([{"event": "Paid", "drop": "properties.a"}, {"event": "Pay", "rename_event": "Paid"}], {"a": 1}, (0, 1)),
    ],
)
def test_steps_that_never_settle_are_found(steps: list[Any], event: Any, pair: tuple[int, int]) -> None:
    parsed = [Step.model_validate(step) for step in steps]
    assert unsettled(parsed) == pair
    once = corrected({"type": "track", "event": "Pay", "properties": event}, parsed)
    assert corrected(once, parsed) != once


def test_the_record_names_what_was_done_in_this_event_and_nothing_else(staging: Staging) -> None:
    steps = [
        Step(event="Pay", rename_event="Paid"),
        Step(event="Paid", rename="properties.cost", to="price"),
        Step(hash="properties.email"),
        Step(drop="properties.absent"),
    ]
    events = [
        {"type": "track", "event": "Pay", "properties": {"cost": 1, "email": "ann@example.org"}},
        {"type": "track", "event": "Paid", "properties": {"price": 2, "email": HEX}},
        {"type": "track", "event": "Pay", "properties": {}, "context": {"ip": "::1"}},
    ]
    stage(staging, events)
    correct(staging, "web", steps)
    contexts = [json.loads(row["context"]) if row["context"] else None for row in staged(staging)]
    assert contexts == [
        {"protocols": {"transformed": [
            "rename_event: Pay → Paid", "rename: properties.cost → price", "hash: properties.email",
        ]}},
        None,
        {"ip": "::1", "protocols": {"transformed": ["rename_event: Pay → Paid"]}},
    ]  # fmt: skip
    assert "ann@" not in json.dumps(staged(staging))


def test_a_record_that_the_sender_made_up_skips_no_hash(staging: Staging) -> None:
    step = Step(hash="properties.email")
    forged = {"protocols": {"transformed": [step.in_words]}}
    event = {"type": "track", "event": "Paid", "properties": {"email": "ann@example.org"}, "context": forged}
    stage(staging, [event])
    correct(staging, "web", [step])
    assert json.loads(staged(staging)[0]["properties"]) == {"email": HEX}
    assert corrected(event, [step])["properties"] == {"email": HEX}


def test_a_trait_is_not_left_behind_in_the_context(staging: Staging) -> None:
    steps = [Step(hash="traits.email"), Step(drop="traits.ssn"), Step(rename="traits.phone", to="mobile")]
    traits = {"email": "ann@example.org", "ssn": "078-05-1120", "phone": "0163 2960", "plan": "pro"}
    events = [
        {"type": "page", "name": "Home", "traits": traits, "context": {"traits": traits, "ip": "::1"}},
        {"type": "page", "name": "Home", "traits": {"email": HEX}, "context": {"traits": {"email": "ann@example.org"}}},
    ]
    stage(staging, events)
    correct(staging, "web", steps)
    rows = staged(staging)
    assert json.loads(rows[0]["traits"]) == {"email": HEX, "plan": "pro", "mobile": "0163 2960"}
    assert json.loads(rows[0]["context"]) == {
        "traits": {"plan": "pro"}, "ip": "::1", "protocols": {"transformed": [s.in_words for s in steps]},
    }  # fmt: skip
    assert json.loads(rows[1]["context"]) == {"traits": {}, "protocols": {"transformed": ["hash: traits.email"]}}
    assert "ann@" not in json.dumps(rows)
