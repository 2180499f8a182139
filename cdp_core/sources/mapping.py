"""Rows to events: the mapping of cdp.yaml, applied to whole columns."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from cdp_core.engine import json_lines
from cdp_core.errors import SpecError
from cdp_core.sources.base import LINE
from cdp_core.sources.declared import Fault, Target, cast, declared, targets
from cdp_core.sources.spec import EVENT_IDENTIFIERS, MapSpec
from cdp_core.sources.values import as_text, json_object, kind_of, member, quoted

if TYPE_CHECKING:
    from cdp_core.engine import Staging

EVENT_COLUMNS = (
    "source", "message_id", "type", "event", "user_id", "anonymous_id", "group_id", "previous_id", "timestamp",
    "original_timestamp", "sent_at", "received_at", "properties", "traits", "context", "record_id", "row_key",
)  # fmt: skip


def check_columns(source: str, spec: MapSpec, columns: list[str]) -> None:
    """Raises SpecError when the mapping names a column that is not there."""
    for column, place in spec.used().items():
        if column not in columns:
            error = SpecError.unknown("column", column, columns, where=f"sources.{source}.{place}")
            raise error


def map_rows(
    rows: pl.DataFrame, kinds: Mapping[str, str], spec: MapSpec, *, source: str, at: datetime, staging: Staging
) -> pl.DataFrame:
    """Events, one per row and in the same order: columns of tables.EVENTS without run_id, and `_rule`, `_field`,
    `_said` (null where the row is sound).

    `kinds` are the types of text columns that declare none; `at` is the time of rows without a time column.
    Raises SpecError when the mapping names a column that is not there.
    """
    columns = [c for c in rows.columns if c != LINE]
    check_columns(source, spec, columns)
    buckets = targets(spec, columns)
    typed, faults = declared(rows, spec, buckets, staging)
    frame = rows.hstack(typed) if typed.width else rows
    hashes = json_lines.md5(staging, rows.select(_hashed(spec, buckets, rows.schema)))
    faults += _missing(spec, rows.schema)
    said = [pl.when(fault.found).then(pl.lit(fault.said)) for fault in faults]
    return frame.select(
        *_events(spec, buckets, kinds, rows.schema, frame.schema, at, source),
        *_ids(spec, hashes, rows.schema),
        pl.coalesce(pl.when(fault.found).then(pl.lit(fault.rule)) for fault in faults).alias("_rule"),
        pl.coalesce(pl.when(fault.found).then(pl.lit(fault.field)) for fault in faults).alias("_field"),
        pl.concat_str(said, separator="; ", ignore_nulls=True).alias("_said"),
    ).select(*EVENT_COLUMNS, "_rule", "_field", "_said")


def _events(
    spec: MapSpec, buckets: Mapping[str, list[Target]], kinds: Mapping[str, str], schema: Mapping[str, pl.DataType],
    typed: Mapping[str, pl.DataType], at: datetime, source: str,
) -> list[pl.Expr]:  # fmt: skip
    def text(column: str | None) -> pl.Expr:
        return as_text(pl.col(column), schema[column]).str.strip_chars() if column else pl.lit(None, pl.String)

    time = pl.col("_time") if spec.time else pl.lit(at, pl.Datetime("us"))
    received = pl.coalesce("_received_at", time) if spec.received_at else time
    sent = pl.col("_sent_at") if spec.sent_at else pl.lit(None, pl.Datetime("us"))
    stamp = pl.coalesce(received - (sent - time), time) if spec.sent_at and spec.received_at else time
    return [
        pl.lit(source).alias("source"),
        pl.lit(spec.type).alias("type"),
        pl.lit(spec.event, pl.String).alias("event"),
        *(text(spec.identifiers.get(name)).alias(name) for name in EVENT_IDENTIFIERS),
        stamp.alias("timestamp"),
        time.alias("original_timestamp"),
        sent.alias("sent_at"),
        received.alias("received_at"),
        *(json_object([_member(t, kinds, typed) for t in wanted]).alias(bucket) for bucket, wanted in buckets.items()),
        _context(spec, schema).alias("context"),
        (text(spec.record) if spec.record else _joined(spec, schema)).alias("record_id"),
    ]


def _member(target: Target, kinds: Mapping[str, str], schema: Mapping[str, pl.DataType]) -> pl.Expr:
    if target.column is None:
        import json

        return pl.lit(
            f"{quoted(target.name)}:{json.dumps(target.value)}" if target.value is not None else None, pl.String
        )
    if target.kind is not None:
        return member(target.name, pl.col(target.typed), target.kind, schema[target.typed])
    dtype = schema[target.column]
    kind = kinds.get(target.column) or kind_of(dtype)
    column = pl.col(target.column)
    if kind == "number" and dtype == pl.String:
        column, dtype = column.cast(pl.Float64, strict=False), pl.Float64()
    return member(target.name, column, kind, dtype)


def _context(spec: MapSpec, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    """`externalIds` for identifiers that are no event column and `consent.categoryPreferences`, as Segment has them."""
    ids = []
    for name, column in spec.identifiers.items():
        if name not in EVENT_IDENTIFIERS:
            value = member("id", as_text(pl.col(column), schema[column]).str.strip_chars(), "string", pl.String())
            ids.append(
                pl.concat_str(
                    pl.lit("{"), value, pl.lit(f',"type":{quoted(name)},"collection":"users","encoding":"none"}}')
                )
            )
    parts: list[pl.Expr] = []
    if ids:
        inner = pl.concat_str(ids, separator=",", ignore_nulls=True)
        parts.append(pl.when(inner != "").then(pl.concat_str(pl.lit('"externalIds":['), inner, pl.lit("]"))))
    if spec.consent:
        inner = json_object(
            [
                member(category, cast(pl.col(column), schema[column], "boolean"), "boolean", pl.Boolean())
                for category, column in spec.consent.items()
            ]
        )
        parts.append(pl.concat_str(pl.lit('"consent":{"categoryPreferences":'), inner, pl.lit("}")))
    return json_object(parts)


def _joined(spec: MapSpec, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    if not spec.key:
        return pl.lit(None, pl.String)
    return pl.concat_str(
        [as_text(pl.col(c), schema[c]).str.strip_chars().fill_null("") for c in spec.key], separator="|"
    )


def _measured(name: str, column: pl.Expr) -> pl.Expr:
    """`name=length:value`: no two rows give the same text unless their values are the same. Null for null."""
    return pl.concat_str(pl.lit(f"{name}="), column.str.len_bytes().cast(pl.String), pl.lit(":"), column)


def _hashed(spec: MapSpec, buckets: Mapping[str, list[Target]], schema: Mapping[str, pl.DataType]) -> list[pl.Expr]:
    """Texts whose hashes make the message id: the key, and everything that the mapping takes from the row.

    Values count as the source spells them, so that a column whose type widens gives no new events; so do the names
    and types that the mapping gives them, so that an edited mapping does.
    """

    def text(column: str) -> pl.Expr:
        return as_text(pl.col(column), schema[column])

    content = {
        f"time:{spec.time_format}:{spec.timezone}": spec.time,
        "received_at": spec.received_at,
        "sent_at": spec.sent_at,
    }
    content |= {f"identifiers.{n}": c for n, c in spec.identifiers.items()} | {
        f"consent.{n}": c for n, c in spec.consent.items()
    }
    content |= {"record": spec.record}
    constants = f"{spec.type}|{spec.event}"
    for bucket, wanted in buckets.items():
        content |= {f"{bucket}.{t.name}:{t.kind}:{t.format}": t.column for t in wanted}
        constants += "".join(
            f"|{bucket}.{t.name}={t.value!r}" for t in sorted(wanted, key=lambda t: t.name) if t.column is None
        )
    parts = [_measured(name, text(column)) for name, column in sorted(content.items()) if column]
    whole = pl.concat_str([pl.lit(constants), *parts], separator="|", ignore_nulls=True)
    key = [_measured(column, text(column)) for column in spec.key] or [whole]
    return [pl.concat_str(key, separator="|", ignore_nulls=True).alias("key"), whole.alias("content")]


def _ids(spec: MapSpec, hashes: pl.DataFrame, schema: Mapping[str, pl.DataType]) -> list[pl.Expr]:
    key = pl.concat_str(pl.lit("k"), pl.lit(hashes["key"]).str.slice(0, 16))
    made = pl.concat_str(key, pl.lit("-"), pl.lit(hashes["content"]).str.slice(0, 16))
    if spec.message_id:
        made = pl.coalesce(as_text(pl.col(spec.message_id), schema[spec.message_id]).str.strip_chars(), made)
    return [made.alias("message_id"), (key if spec.key else pl.lit(None, pl.String)).alias("row_key")]


def _missing(spec: MapSpec, schema: Mapping[str, pl.DataType]) -> list[Fault]:
    faults = []
    texts = [column for column, kind in schema.items() if kind == pl.String]
    if texts:
        zero = pl.any_horizontal(pl.col(c).str.contains("\x00", literal=True) for c in texts).fill_null(False)
        faults.append(Fault(zero, "parse.nul_bytes", "", "the row holds NUL characters"))
    if spec.key:
        blank = pl.all_horizontal(pl.col(c).is_null() for c in spec.key)
        faults.append(Fault(blank, "map.key", ",".join(spec.key), f"the key ({', '.join(spec.key)}) is blank"))
    columns = list(spec.identifiers.values())
    none = pl.all_horizontal(pl.col(c).is_null() for c in columns) if columns else pl.lit(True)
    faults.append(Fault(none, "spec.no_identifier", ",".join(columns), "the row has no identifier"))
    return faults
