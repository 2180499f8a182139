"""Events that clients have sent to the collector (`cdp collect`), from where they wait until they are in the lake."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from cdp_core.engine import json_lines
from cdp_core.inbox import files, reader
from cdp_core.inbox.limits import MAX_BATCH_EVENTS, MAX_EVENT_BYTES
from cdp_core.privacy.scan_all import scan_all
from cdp_core.sources.base import REJECT_SCHEMA, SourceBatch, SourceContext
from cdp_core.sources.guard import guarded_texts
from cdp_core.sources.json_text import judge
from cdp_core.sources.segment_events import FIELDS, INNER, finished, with_envelope
from cdp_core.sources.text import readable

if TYPE_CHECKING:
    from pathlib import Path

    from cdp_core.engine import Staging
    from cdp_core.inbox.reader import Row

LOAD_BYTES = 192 << 20
"""Most bytes that one run takes, so that no flood is too much for its memory; the next run goes on from there."""
RULES = {
    "limit.event_size": f"more than {MAX_EVENT_BYTES:,} bytes",
    "limit.batch": f"behind the first {MAX_BATCH_EVENTS:,} events of its request",
    "spec.envelope": "context and integrations of its batch are no JSON objects that can be read",
    "key.alias": "alias needs a server key",
}


class CollectorOptions(BaseModel):
    """Who may send live events, and how much.

    >>> CollectorOptions(origins=["https://shop.example"]).events_per_second is None
    True
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    origins: tuple[str, ...] = Field(
        ("*",), description="Web origins whose pages may send with a browser key, such as https://shop.example"
    )
    events_per_second: int | None = Field(None, ge=1, description="Most events a second and key; default: no limit")
    bytes_per_second: int | None = Field(None, ge=1000, description="Most bytes a second and key; default: no limit")


class CollectorSource:
    """What has been received and is not loaded yet: a part is a file of the inbox, its cursor the last request."""

    Options: ClassVar[type[BaseModel]] = CollectorOptions
    gives: ClassVar[Literal["rows", "events"]] = "events"

    def __init__(self, options: CollectorOptions, context: SourceContext) -> None:
        self.options = options
        self.context = context
        self._taken = 0

    def read(self, state: pl.DataFrame) -> Iterator[SourceBatch]:
        self._taken = 0
        done = dict(state.select("part", pl.col("cursor").cast(pl.Int64)).iter_rows())
        for path in files.inbox_files(self.context.root):
            for rows in reader.read(path, self.context.name, done.get(path.name) or 0):
                yield self._batch(path, rows)
                if self._taken > LOAD_BYTES:
                    return

    def _batch(self, path: Path, rows: Sequence[Row]) -> SourceBatch:
        staging = self.context.staging
        frame = _guarded(_unfolded(rows, path.stem), self.context)
        self._taken += int(frame["_size"].sum())
        sent = json_lines.utc_times(staging, frame.select("_outer_sentAt"))
        frame, over = _parted(frame.with_columns(sent, _rule=_over_limit()))
        sound, bad = judge(staging, frame, FIELDS, INNER)
        named = as_received(_enveloped(staging, sound))
        allowed, forbidden = _parted(named.with_columns(_rule=_forbidden()))
        events, bad = finished(staging, allowed, bad)
        bad = pl.concat([bad, *(_described(wrong).select(bad.columns) for wrong in (over, forbidden))])
        place = pl.col("description").str.replace(r"^line [0-9]+: ", "")
        return SourceBatch(
            part=path.name,
            fingerprint=path.name,
            cursor=str(rows[-1].seq),
            rows=events,
            rejects=bad.with_columns(description=place).select(list(REJECT_SCHEMA)),
            guarded=True,
        )


def _guarded(frame: pl.DataFrame, context: SourceContext) -> pl.DataFrame:
    """What waited in the inbox may be from before a control was decided."""
    door, staging = context.door, context.staging
    return frame.with_columns(
        guarded_texts(frame["_text"], door, staging).alias("_text"),
        guarded_texts(frame["_envelope_text"], door, staging).alias("_envelope_text"),
        scan_all(frame["_outer_context"], door, door.of_event, staging, ("context",)).alias("_outer_context"),
        scan_all(frame["_outer_integrations"], door, door.of_event, staging, ("integrations",)).alias(
            "_outer_integrations"
        ),
    )


def _parted(frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What no `_rule` forbids, and what one does."""
    return frame.filter(pl.col("_rule").is_null()).drop("_rule"), frame.filter(pl.col("_rule").is_not_null())


def _unfolded(rows: Sequence[Row], stem: str) -> pl.DataFrame:
    """One row per event, with what its request says of all its events."""
    from cdp_core.inbox.packed import unpack

    bodies = [unpack(row.body) for row in rows]
    counts = [len(body) for body in bodies]
    envelopes = pl.DataFrame([_envelope(row) for row in rows], schema=_ENVELOPE, orient="row")
    frame = envelopes.select(pl.all().repeat_by(pl.Series(counts)).list.explode(keep_nulls=False, empty_as_null=False))
    texts = pl.Series("_text", list(itertools.chain.from_iterable(bodies)), dtype=pl.Binary)
    index = pl.Series(list(itertools.chain.from_iterable(map(range, counts))), dtype=pl.Int64)
    return frame.with_columns(
        _text(texts), _size=texts.bin.size(), _index=index, _line=index + 1,
        _spare_id=pl.format("{}-{}-{}", pl.lit(stem), "_seq", index),
    )  # fmt: skip


_ENVELOPE = pl.Schema(
    {
        "_seq": pl.Int64(), "_outer_receivedAt": pl.Datetime("us"), "_outer_type": pl.String(),
        "_outer_sentAt": pl.String(), "_outer_context": pl.String(), "_outer_integrations": pl.String(),
        "_outer__untimely": pl.String(), "_key_kind": pl.String(), "_problem": pl.String(),
        "_envelope_text": pl.String(),
    }
)  # fmt: skip


def _envelope(row: Row) -> tuple[Any, ...]:
    import msgspec

    said = msgspec.json.decode(row.envelope, type=dict[str, msgspec.Raw])

    def text(key: str) -> str | None:
        return msgspec.json.decode(said[key], type=str) if key in said else None

    def raw(key: str) -> str | None:
        return bytes(said[key]).decode() if key in said else None

    return (
        row.seq,
        row.received_at,
        text("type"),
        text("sentAt"),
        raw("context"),
        raw("integrations"),
        None,
        text("kind"),
        text("problem"),
        _for_each(said),
    )


def _for_each(said: dict[str, Any]) -> str | None:
    """The part of an envelope that is true of every event, as a JSON object."""
    parts = [
        f'"{name}":{bytes(said[name]).decode()}'
        for name in ("type", "sentAt", "context", "integrations")
        if name in said
    ]
    return "{" + ",".join(parts) + "}" if parts else None


def _text(data: pl.Series) -> pl.Series:
    """Bytes that are no UTF-8 are marked, as they are in files."""
    try:
        texts = data.cast(pl.String)
    except pl.exceptions.ComputeError:
        texts = pl.Series(data.name, [item.decode(errors="cdp_mark") for item in data], dtype=pl.String)
    return texts.str.strip_chars()


def _over_limit() -> pl.Expr:
    size = pl.when(pl.col("_size") > MAX_EVENT_BYTES).then(pl.lit("limit.event_size"))
    over = size.when(pl.col("_index") >= MAX_BATCH_EVENTS).then(pl.lit("limit.batch"))
    return over.when(pl.col("_problem").is_not_null()).then("_problem")


def _forbidden() -> pl.Expr:
    """A key that everybody can read in a page must not be able to join people."""
    alias = pl.col("type").str.to_lowercase() == "alias"
    return pl.when((pl.col("_key_kind") == "browser") & alias).then(pl.lit("key.alias"))


def _described(refused: pl.DataFrame) -> pl.DataFrame:
    return refused.select(
        "_line", payload=readable(pl.col("_text")), rule="_rule", field=pl.lit(None, pl.String),
        description=pl.col("_rule").replace_strict(RULES),
    )  # fmt: skip


def as_received(sound: pl.DataFrame) -> pl.DataFrame:
    """What a client calls timestamp is its own clock's; when the event came is told by the server alone.

    Rule: Segment spec, common fields, "Timestamp overview".
    """
    both = pl.col("originalTimestamp").is_not_null() & pl.col("timestamp").is_not_null()
    return sound.with_columns(
        pl.coalesce("originalTimestamp", "timestamp").alias("originalTimestamp"),
        _replaced=pl.when(both).then(pl.lit("receivedAt timestamp")).otherwise(pl.lit("receivedAt")),
    )


def _enveloped(staging: Staging, sound: pl.DataFrame) -> pl.DataFrame:
    """Events with what their requests say of them, in their text too, so that it tells everything by itself."""
    named = with_envelope(staging, sound).with_columns(
        pl.coalesce("type", "_outer_type").alias("type"),
        pl.coalesce("messageId", "_spare_id").alias("messageId"),
        pl.col("_outer_receivedAt").alias("receivedAt"),
    )
    told = named.select("_envelope_text", "_text")
    return named.with_columns(json_lines.merge(staging, told).alias("_text"))
