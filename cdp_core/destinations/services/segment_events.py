"""From rows to events of the Segment spec, as JSON text, a column at a time.

Segment answers 200 and drops what breaks its limits, so rows that would be dropped are found here.
Rule: Segment spec, "Common fields" and "HTTP API: Max request size".
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

TYPES = ("identify", "track", "page", "screen", "group", "alias")
JSON_FIELDS = ("properties", "traits", "context", "integrations")
TEXT_FIELDS = ("type", "event", "name", "userId", "anonymousId", "groupId", "previousId", "messageId", "timestamp")
EVENT_BYTES = 32_000
BATCH_BYTES = 500_000
BATCH_EVENTS = 2_500
ID_CHARACTERS = 100
NO_ID = "has neither a user id nor an anonymous id"


def value(name: str, kind: pl.DataType) -> pl.Expr:
    """A column as JSON has it: times of UTC with a Z, decimals as numbers, nothing for NaN and infinity."""
    column = pl.col(name)
    if isinstance(kind, pl.Datetime):
        return column.dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").alias(name)
    if isinstance(kind, pl.Decimal):
        return column.cast(pl.Float64).alias(name)
    if kind.is_float():
        return pl.when(column.is_finite()).then(column).otherwise(None).alias(name)
    return column


def ids(rows: pl.DataFrame, user: str | None, anonymous: str | None) -> dict[str, pl.Expr]:
    """userId and anonymousId; an empty text is none."""
    named = {"userId": user, "anonymousId": anonymous}
    return {k: pl.col(name).cast(pl.String).replace("", None) for k, name in named.items() if name in rows.columns}


def calls(
    rows: pl.DataFrame,
    kind: str,
    who: dict[str, pl.Expr],
    content: dict[str, pl.Expr],
    *,
    message: pl.Series,
    event: str | None = None,
    context: dict[str, dict[str, str]] | None = None,
) -> pl.DataFrame:
    """One identify or track call per row: columns n (of the row), text and reason (why it cannot be sent)."""
    parts: dict[str, pl.Expr] = {"type": pl.lit(kind), "messageId": pl.lit(message), **who}
    if event is not None:
        parts["event"] = pl.lit(event)
    if content:
        parts["traits" if kind == "identify" else "properties"] = _struct(content)
    if context:
        said = {k: _struct({n: pl.lit(v) for n, v in inner.items()}) for k, inner in context.items()}
        parts["context"] = _struct(said)
    nobody = pl.all_horizontal(expr.is_null() for expr in who.values()) if who else pl.lit(True)
    return _judged(
        rows.select(
            n=pl.int_range(pl.len()),
            text=_struct(parts).struct.json_encode(),
            reason=pl.when(nobody).then(pl.lit(NO_ID)),
        ),
        message,
    )


def _struct(parts: dict[str, pl.Expr]) -> pl.Expr:
    """By position: a field may be called as one of polars' own arguments."""
    return pl.struct([part.alias(name) for name, part in parts.items()])


def as_it_was(rows: pl.DataFrame, message: pl.Series) -> pl.DataFrame:
    """Events whose fields are those of the spec; `properties` and the like are JSON text. Columns as of `calls`.

    A field that is absent in a row is left out of its event. Pages and screens have their name in `name`.
    """
    frame = rows.select(
        *(value(n, rows.schema[n]).cast(pl.String) for n in TEXT_FIELDS if n in rows.columns),
        *(pl.col(n) for n in JSON_FIELDS if n in rows.columns),
        own=pl.lit(message),
    )
    missing = [pl.lit(None, pl.String).alias(n) for n in (*TEXT_FIELDS, *JSON_FIELDS) if n not in frame.columns]
    frame = frame.with_columns(*missing)
    viewed = pl.col("type").is_in(["page", "screen"])
    frame = frame.with_columns(
        messageId=pl.coalesce("messageId", "own"),
        name=pl.when(viewed).then(pl.coalesce("name", "event")).otherwise("name"),
        event=pl.when(~viewed).then("event"),
    )
    words = [_pair(name, pl.struct(x=name).struct.json_encode().str.slice(5).str.head(-1)) for name in TEXT_FIELDS]
    pieces = pl.concat_list(*words, *(_pair(name, pl.col(name)) for name in JSON_FIELDS)).list.drop_nulls()
    listed = frame.with_columns(text=pl.lit("{") + pieces.list.join(",") + pl.lit("}"))
    return _judged(listed.select("text", n=pl.int_range(pl.len()), reason=_wrong()), listed["messageId"])


def _pair(name: str, text: pl.Expr) -> pl.Expr:
    return pl.when(pl.col(name).is_not_null()).then(pl.lit(f'"{name}":') + text)


def _wrong() -> pl.Expr:
    known = pl.col("type").is_in(TYPES)
    someone = pl.any_horizontal(pl.col(n).fill_null("") != "" for n in ("userId", "anonymousId"))
    nameless = (pl.col("type") == "track") & (pl.col("event").fill_null("") == "")
    broken = [
        pl.when(pl.col(name).is_not_null() & ~is_object(pl.col(name))).then(pl.lit(f"{name} is no JSON object"))
        for name in JSON_FIELDS
    ]
    return pl.coalesce(
        pl.when(~known.fill_null(False)).then(pl.lit("its type is none of the spec")),
        pl.when(~someone).then(pl.lit(NO_ID)),
        pl.when(nameless).then(pl.lit("a track call has no event name")),
        *broken,
    )


def is_object(text: pl.Expr) -> pl.Expr:
    """Whether a text is a JSON object."""
    return text.str.json_path_match("$").is_not_null() & text.str.strip_chars_start().str.starts_with("{")


def _judged(told: pl.DataFrame, message: pl.Series) -> pl.DataFrame:
    """Columns n, text, reason, size."""
    size = pl.col("text").str.len_bytes()
    long = pl.lit(message).cast(pl.String).str.len_chars() > ID_CHARACTERS
    reason = pl.coalesce(
        "reason",
        pl.when(size > EVENT_BYTES).then(pl.lit(f"larger than {EVENT_BYTES:,} bytes as an event")),
        pl.when(long).then(pl.lit(f"its message id is longer than {ID_CHARACTERS} characters")),
    )
    return told.select("n", "text", reason=reason, size=size)


def bodies(told: pl.DataFrame) -> Iterator[tuple[bytes, list[int]]]:
    """Bodies of /v1/batch within the limits, each with the rows that its events belong to. Needs n, text, size."""
    room = BATCH_BYTES - EVENT_BYTES - 100
    place = (pl.col("size") + 1).cum_sum() - (pl.col("size") + 1)
    parted = told.with_columns(part=place // room, nth=pl.int_range(pl.len()))
    nth = pl.int_range(pl.len()).over("part") // BATCH_EVENTS
    for _, part in parted.with_columns(sub=nth).group_by("part", "sub", maintain_order=True):
        body = '{"batch":[' + part["text"].str.join(",")[0] + "]}"
        yield body.encode(), part["n"].to_list()
