"""Texts of Segment-spec events, or bodies of the batch call, as rows of events; what the spec forbids is rejected.

Rules of the Segment spec: `timestamp = receivedAt − (sentAt − originalTimestamp)`; `context` and `integrations` of a
batch go into each of its events; traits may stand in `context.traits`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from cdp_core.engine import json_lines
from cdp_core.sources.guard import guarded_texts
from cdp_core.sources.json_text import described, judge
from cdp_core.tracking import TYPES

if TYPE_CHECKING:
    from cdp_core.engine import Staging
    from cdp_core.privacy.door import Door

TEXTS = {
    "type": "type", "event": "event", "name": "name", "userId": "user_id", "anonymousId": "anonymous_id",
    "groupId": "group_id", "previousId": "previous_id", "messageId": "message_id", "timestamp": "timestamp",
    "originalTimestamp": "original_timestamp", "sentAt": "sent_at", "receivedAt": "received_at",
}  # fmt: skip
OBJECTS = ("properties", "traits", "context", "integrations")
TIMES = ("timestamp", "original_timestamp", "sent_at", "received_at")
FIELDS = {k: "time" if v in TIMES else "text" for k, v in TEXTS.items()} | dict.fromkeys((*OBJECTS, "batch"), "json")
SAID_ELSEWHERE = (*TEXTS, "properties", "traits", "context", "batch", "writeKey")
INNER = {"_traits": ("context", "traits"), "_external": ("context", "externalIds")}
OUTER = ("context", "integrations", "sentAt", "receivedAt", "_untimely")


def parse_events(staging: Staging, frame: pl.DataFrame, door: Door) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Events of `_text`, and rejects, both with `_line`; a body of the batch call gives all its events."""
    frame = frame.with_columns(guarded_texts(frame["_text"], door, staging).alias("_text"))
    sound, bad = judge(staging, frame, FIELDS, INNER)
    is_body = pl.col("type").is_null() & pl.col("batch").str.starts_with("[").fill_null(False)
    if (bodies := sound.filter(is_body)).height:
        more, worse = _unpacked(staging, bodies)
        sound, bad = pl.concat([sound.filter(~is_body), more.select(sound.columns)]), pl.concat([bad, worse])
    return finished(staging, sound, bad)


def _unpacked(staging: Staging, bodies: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    items = bodies.select("_line", "batch", **{f"_outer_{c}": c for c in OUTER})
    events = json_lines.elements(staging, items, "batch").rename({"batch": "_text"})
    empty = items.filter(~pl.col("_line").is_in(events["_line"].implode()))
    sound, bad = judge(staging, events, FIELDS)
    nothing = described(empty.select("_line", _text="batch", _rule=pl.lit("parse.empty_batch")))
    return with_envelope(staging, sound), pl.concat([bad, nothing])


def with_envelope(staging: Staging, sound: pl.DataFrame) -> pl.DataFrame:
    """Each event with the context, integrations and times of its batch (`_outer_…`) where it has none of its own."""
    for column in ("context", "integrations"):
        pair = sound.select(f"_outer_{column}", column)
        sound = sound.with_columns(json_lines.merge(staging, pair).alias(column))
    sound = sound.with_columns(pl.coalesce(c, f"_outer_{c}").alias(c) for c in ("sentAt", "receivedAt", "_untimely"))
    keys = {key: "json" for _, key in INNER.values()}
    inner = json_lines.parse(staging, sound["context"], keys).rename({key: name for name, (_, key) in INNER.items()})
    return sound.drop(INNER, strict=False).hstack(inner.select(list(INNER)))


def finished(staging: Staging, sound: pl.DataFrame, bad: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows with the event columns of tables.EVENTS, `_payload` (the original) and `_line`; and `bad` with more."""
    named = sound.rename({**TEXTS, "_text": "_payload"})
    rule, place = verdict()
    frame = named.with_columns(
        pl.col("type").str.to_lowercase(),
        pl.coalesce("event", "name").alias("event"),
        json_lines.merge(staging, named.select("_traits", "traits")).alias("traits"),
        _extra(staging, named),
        _timestamp().alias("timestamp"),
        _message_ids(staging, named),
    )
    frame = frame.with_columns(pl.coalesce("received_at", "timestamp"), _rule=rule, _field=place)
    wrong = frame.filter(pl.col("_rule").is_not_null()).select(
        "_line", payload="_payload", rule="_rule", field="_field",
        description=pl.format("line {}: {}", "_line", pl.col("_rule").replace_strict(SAID)),
    )  # fmt: skip
    good = frame.filter(pl.col("_rule").is_null()).select(*COLUMNS, "_payload", "_line")
    return good, pl.concat([bad.select(wrong.columns), wrong])


def _extra(staging: Staging, named: pl.DataFrame) -> pl.Series:
    """What the columns do not say. `_replaced` tells times of the client that others have taken the place of."""
    if "_replaced" not in named.columns:
        return json_lines.without(staging, named["_payload"], SAID_ELSEWHERE).alias("extra")
    found = named.select("_payload", "_replaced").with_columns(extra=pl.lit(None, pl.String)).with_row_index("_n")
    parts = []
    for part in found.partition_by("_replaced"):
        replaced = set(part["_replaced"][0].split())
        known = [name for name in SAID_ELSEWHERE if name not in replaced]
        parts.append(part.with_columns(json_lines.without(staging, part["_payload"], known).alias("extra")))
    return (pl.concat(parts) if parts else found).sort("_n")["extra"]


def _message_ids(staging: Staging, named: pl.DataFrame) -> pl.Series:
    """An event that came without an id gets one from its content."""
    given = named["message_id"]
    if not given.null_count():
        return given
    spare = named.select(pl.when(pl.col("message_id").is_null()).then(pl.col("_payload")))
    made = json_lines.md5(staging, spare).to_series()
    return given.zip_with(given.is_not_null(), made)


COLUMNS = (
    "message_id", "type", "event", "user_id", "anonymous_id", "group_id", "previous_id", "timestamp",
    "original_timestamp", "sent_at", "received_at", "properties", "traits", "context", "extra",
)  # fmt: skip
SAID = {
    "spec.type": f"`type` is none of {', '.join(TYPES)}",
    "spec.event": "a track event has no name in `event`",
    "spec.object": "it is no JSON object",
    "spec.no_identifier": "neither userId nor anonymousId nor any other identifier",
    "map.time": "a time is missing or is none",
}


def _timestamp() -> pl.Expr:
    corrected = pl.col("received_at") - (pl.col("sent_at") - pl.col("original_timestamp"))
    return pl.coalesce(corrected, "timestamp", "original_timestamp", "received_at", "sent_at")


def verdict(*, known: bool = False) -> tuple[Any, Any]:
    """The first rule that an event breaks, and the field. A `known` one need not name anybody: a source's row may say
    who it is about in its traits.
    """
    no_object = {
        c: pl.col(c).is_not_null() & ~pl.col(c).str.starts_with("{") for c in ("properties", "traits", "context")
    }
    anonymous = pl.all_horizontal(pl.col(c).is_null() for c in ("user_id", "anonymous_id"))
    external = pl.lit(True) if known else pl.col("_external").is_null() | ~pl.col("_external").str.contains('"id"')
    grouped = (pl.col("type") == "group") & pl.col("group_id").is_not_null()
    rules: list[tuple[pl.Expr, str, str]] = [
        (~pl.col("type").is_in(TYPES).fill_null(False), "spec.type", "type"),
        ((pl.col("type") == "track") & pl.col("event").is_null(), "spec.event", "event"),
        *((bad, "spec.object", c) for c, bad in no_object.items()),
        *((pl.col("_untimely") == name, "map.time", name) for name, c in TEXTS.items() if c in TIMES),
        (pl.col("timestamp").is_null() | ~pl.col("timestamp").dt.year().is_between(1, 9999), "map.time", "timestamp"),
    ]
    if not known:
        rules.append((anonymous & external & ~grouped, "spec.no_identifier", "userId"))
    rule: Any = pl.lit(None, pl.String)
    column: Any = pl.lit(None, pl.String)
    for bad, name, place in reversed(rules):
        rule = pl.when(bad).then(pl.lit(name)).otherwise(rule)
        column = pl.when(bad).then(pl.lit(place)).otherwise(column)
    return rule, column
