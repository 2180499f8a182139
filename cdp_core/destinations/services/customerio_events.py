"""From rows to items of Customer.io's Track API v2, as JSON text, a column at a time.

Rule: Track API, "Send multiple requests": 500 KB a call, 32 KB an item; "Track an event": one whose `id` (a ULID) is
known is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cdp_core.destinations.services.segment_events import is_object
from cdp_core.errors import SpecError

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.destinations.base import Delivery
    from cdp_core.destinations.services.customerio import CustomerIoSyncOptions

ITEM_BYTES = 32_000
BODY_BYTES = 499_000
NOBODY = "an event of nobody"
NAMELESS = "an event without a name"
_KINDS = ("page", "screen")
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TIME_DIGITS = 10


def check(delivery: Delivery, options: CustomerIoSyncOptions) -> None:
    """Raises SpecError when rows cannot become what the options say."""
    where, fields = f"syncs.{delivery.sync}", set(delivery.fields)
    if options.as_ == "people":
        if options.attribute in fields:
            raise SpecError(
                f"the field {options.attribute!r} is the attribute that says whom the sync holds",
                where=f"{where}.mapping.{options.attribute}",
                hint="give the field or options.attribute another name",
            )
        return
    if delivery.mode in ("mirror", "remove"):
        raise SpecError("events are not taken back", where=f"{where}.mode", choices=["insert", "upsert"])
    if not fields:
        return
    for option in ("user", "event", "time"):
        if (name := getattr(options, option)) not in fields:
            raise SpecError.unknown("field", name, fields, where=f"{where}.options.{option}")
    if options.properties is not None:
        if options.properties not in fields:
            raise SpecError.unknown("field", options.properties, fields, where=f"{where}.options.properties")
        if delivery.fields[options.properties] != "string":
            raise SpecError("is no JSON text", where=f"{where}.mapping.{options.properties}", hint="map properties")
        if more := sorted(fields - {delivery.key, *own_fields(options)}):
            raise SpecError(
                f"{options.properties} holds all that is told of an event, and {more[0]} more",
                where=f"{where}.mapping.{more[0]}",
                hint="leave out options.properties, or the field",
            )


def own_fields(options: CustomerIoSyncOptions) -> tuple[str, ...]:
    """Fields that are no attributes of an event."""
    given = (options.user, options.event, options.time, options.kind, options.properties)
    return tuple(name for name in given if name)


def value(name: str, kind: pl.DataType) -> pl.Expr:
    """A field as Customer.io wants it: times in seconds since 1970, nothing for NaN and infinity."""
    import polars as pl

    column = pl.col(name)
    if kind == pl.Date or kind == pl.Datetime:
        return column.dt.epoch("s").alias(name)
    if kind.is_decimal():
        return column.cast(pl.Float64)
    return pl.when(column.is_finite()).then(column).alias(name) if kind.is_float() else column


def events(rows: pl.DataFrame, key: str, options: CustomerIoSyncOptions, ids: pl.Series) -> pl.DataFrame:
    """Columns key, item (JSON text) and reason (why it cannot be sent). `ids` are 16 hexadecimal digits at least."""
    import polars as pl

    kinds, own = rows.schema, (*own_fields(options), key)
    time = _milliseconds(options.time, kinds[options.time])
    told = pl.col(options.kind) if options.kind in kinds else pl.lit(None, pl.String)
    parts = {
        "type": pl.lit("person"),
        "action": pl.when(told.is_in(_KINDS)).then(told).otherwise(pl.lit("event")),
        "identifiers": pl.struct(pl.col(options.user).cast(pl.String).alias(options.identifier)),
        "name": pl.col(options.event),
        "id": _ulid(time, ids),
    }
    head = pl.struct([part.alias(name) for name, part in parts.items()]).struct.json_encode()
    when = (pl.lit(',"timestamp":') + (time // 1000).cast(pl.String)).fill_null("")
    attributes, broken = _attributes([value(n, kinds[n]) for n in kinds if n not in own], options.properties)
    blank = {NOBODY: options.user, NAMELESS: options.event}
    empty = [pl.when(pl.col(n).cast(pl.String).fill_null("") == "").then(pl.lit(why)) for why, n in blank.items()]
    return rows.select(
        key=pl.col(key),
        item=pl.concat_str(head.str.head(-1), when, pl.lit(',"attributes":'), attributes, pl.lit("}")),
        reason=pl.coalesce(*empty, broken),
    )


def _attributes(fields: list[pl.Expr], properties: str | None) -> tuple[pl.Expr, pl.Expr]:
    """As JSON text, and why they are none."""
    import polars as pl

    nothing = pl.lit(None, pl.String)
    if properties is None:
        return (pl.struct(fields).struct.json_encode() if fields else pl.lit("{}")), nothing
    whole = pl.col(properties).fill_null("{}")
    return whole, pl.when(~is_object(whole)).then(pl.lit(f"{properties} is no JSON object")).otherwise(nothing)


def _milliseconds(name: str, kind: pl.DataType) -> pl.Expr:
    import polars as pl

    column = pl.col(name)
    if kind == pl.String:
        column = column.str.to_datetime(strict=False, time_zone="UTC")
    elif not kind.is_temporal():
        return column.cast(pl.Int64, strict=False) * 1000
    return column.dt.epoch("ms")


def _ulid(milliseconds: pl.Expr, ids: pl.Series) -> pl.Expr:
    """When it happened and, instead of chance, the id of its delivery: told again, it is the same."""
    import polars as pl

    digits = [
        (milliseconds.fill_null(0).clip(0) // 32**place % 32).replace_strict(
            list(range(32)), list(_CROCKFORD), return_dtype=pl.String
        )
        for place in reversed(range(_TIME_DIGITS))
    ]
    return pl.concat_str(*digits, pl.lit(ids).str.tail(16).str.to_uppercase())


def bodies(items: pl.DataFrame) -> Iterator[tuple[bytes, pl.Series]]:
    """Bodies of /api/v2/batch within the limit, each with the keys of its items. Needs key and item."""
    import polars as pl

    room = BODY_BYTES - ITEM_BYTES - 100
    size = pl.col("item").str.len_bytes().cast(pl.Int64) + 1
    parted = items.with_columns(part=(size.cum_sum() - size) // room)
    for part in parted.partition_by("part", maintain_order=True):
        yield ('{"batch":[' + part["item"].str.join(",")[0] + "]}").encode(), part["key"]
