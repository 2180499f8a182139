"""Tables of a package that is handed to a person, read in chunks so that their size does not matter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.engine import Engine

CHUNK = 10_000
JSON = "as_json__"
"""Prefix of columns that hold what a JSON file says for the column behind it."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """One table: `name` is the file's, `title` and `about` are for the person, `json` names columns of JSON text.

    `chunks()` gives frames with `columns`, and for those in `json` one more each, sound JSON, behind the prefix `JSON`.
    """

    name: str
    title: str
    about: str
    columns: tuple[str, ...]
    rows: int
    json: tuple[str, ...]
    chunks: Callable[[], Iterator[pl.DataFrame]]


def of_rows(
    engine: Engine, name: str, title: str, about: str, rows: ir.Table, order: Sequence[str] = (),
    json: Sequence[str] = (),
) -> Section:  # fmt: skip
    """A section of an expression: computed once, in the order of these columns or else of all, read in chunks."""
    import ibis

    columns = tuple(rows.columns)
    place = ibis.row_number().over(order_by=[rows[c] for c in (order or columns)])
    sound = {f"{JSON}{c}": engine.json_valid(rows[c]).ifelse(rows[c], engine.json_quoted(rows[c])) for c in json}
    kept = engine.keep(rows.mutate(place__=place, **sound))
    count = int(engine.polars(kept.count().name("n").as_table()).item())

    def chunks() -> Iterator[pl.DataFrame]:
        for start in range(0, count, CHUNK):
            part = kept.filter(kept.place__ >= start, kept.place__ < start + CHUNK)
            yield engine.polars(part).sort("place__").drop("place__")

    return Section(name=name, title=title, about=about, columns=columns, rows=count, json=tuple(json), chunks=chunks)


def of_frame(name: str, title: str, about: str, frame: pl.DataFrame, json: Sequence[str] = ()) -> Section:
    """A section of a frame that is small; columns in `json` are taken to be texts."""
    import polars as pl

    def chunks() -> Iterator[pl.DataFrame]:
        if frame.height:
            quoted = [pl.col(c).map_batches(_quoted, return_dtype=pl.String).alias(f"{JSON}{c}") for c in json]
            yield frame.with_columns(quoted)

    return Section(
        name=name, title=title, about=about, columns=tuple(frame.columns), rows=frame.height, json=tuple(json),
        chunks=chunks,
    )  # fmt: skip


def _quoted(texts: pl.Series) -> pl.Series:
    import json

    import polars as pl

    def sound(text: str | None) -> str:
        try:
            json.loads(text or "null")
        except (ValueError, RecursionError):
            return json.dumps(text)
        return text or "null"

    return pl.Series([sound(text) for text in texts], dtype=pl.String)


def plain(chunk: pl.DataFrame, section: Section) -> pl.DataFrame:
    """The section's columns as a person reads them: times in ISO 8601 with Z, lists joined."""
    return _readable(chunk.select(section.columns), flat=True)


def as_json(chunk: pl.DataFrame, section: Section) -> pl.Series:
    """The rows as texts of JSON objects, one each; columns of JSON text as what they say."""
    import polars as pl

    others = [c for c in section.columns if c not in section.json]
    texts = _readable(chunk, flat=False).select(
        pl.struct(others).struct.json_encode().str.head(-1).alias("start"),
        *(pl.col(f"{JSON}{c}").fill_null("null").alias(c) for c in section.json),
    )
    members = [pl.lit(f',"{c}":') + pl.col(c) for c in section.json]
    return texts.select(pl.concat_str([pl.col("start"), *members, pl.lit("}")])).to_series()


def _readable(frame: pl.DataFrame, *, flat: bool) -> pl.DataFrame:
    import polars as pl
    from polars import selectors

    frame = frame.with_columns(selectors.datetime().dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"))
    lists = [c for c, kind in frame.schema.items() if isinstance(kind, pl.List)] if flat else []
    return frame.with_columns(pl.col(c).cast(pl.List(pl.String)).list.join("; ") for c in lists)
