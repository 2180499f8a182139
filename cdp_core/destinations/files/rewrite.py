"""A file without some of its rows, a part at a time; all others come out as they were, byte by byte in text files."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from cdp_core.destinations.files.writers import TextFile, escaped, escaped_headings
from cdp_core.errors import DestinationError

if TYPE_CHECKING:
    import polars as pl

PART_ROWS = 50_000
PART_BYTES = 16_000_000


def without(source: Path, target: Path, options: Any, key: str, keys: pl.Series) -> tuple[int, int]:
    """Write the rows of `source` whose `key` is none of `keys` to `target`; how many were left out and how many stay.

    `options` are the sync's: `kind`, `packed`, `escape_formulas`. Raises DestinationError when the file has no such
    column, or is none of this kind.
    """
    import polars as pl

    wanted = keys.cast(pl.String).unique()
    write = {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}[options.kind]
    try:
        return write(source, target, options, key, wanted)
    except (ValueError, EOFError, gzip.BadGzipFile, pl.exceptions.PolarsError) as error:
        kind = options.kind + (", zipped" if options.packed == "gzip" else "")
        raise DestinationError(
            f"the file cannot be read as {kind} ({type(error).__name__})", hint="nothing was changed in it"
        ) from None


def _jsonl(source: Path, target: Path, options: Any, key: str, keys: pl.Series) -> tuple[int, int]:
    import json

    import polars as pl

    gone = left = 0
    with _read(source, options.packed) as lines, _written(target, options.packed) as file:
        while part := list(islice(lines, PART_ROWS)):
            texts = pl.Series(part, dtype=pl.Binary).cast(pl.String)
            found = texts.str.json_path_match("$[" + json.dumps(key, ensure_ascii=False) + "]")
            staying = texts.filter(~found.is_in(keys.implode()).fill_null(False))
            file.write("".join(staying.to_list()).encode())
            gone, left = gone + len(part) - staying.len(), left + staying.len()
    return gone, left


def _csv(source: Path, target: Path, options: Any, key: str, keys: pl.Series) -> tuple[int, int]:
    import polars as pl
    from pyarrow import csv as arrow

    gone = left = 0
    names = _header(source, options.packed)
    column = key
    if options.escape_formulas:
        column = escaped_headings([key])[0]
        keys = escaped(keys.alias("key").to_frame())["key"]
    _checked(column, names)
    texts = arrow.ConvertOptions(
        column_types=dict.fromkeys(names, "string"),
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    reading = arrow.ReadOptions(block_size=PART_BYTES)
    parsing = arrow.ParseOptions(newlines_in_values=True)
    with _read(source, options.packed) as raw, _written(target, options.packed) as file:
        file.write(pl.DataFrame(schema=dict.fromkeys(names, pl.String)).write_csv(quote_style="necessary").encode())
        for batch in arrow.open_csv(raw, read_options=reading, parse_options=parsing, convert_options=texts):
            rows = cast("pl.DataFrame", pl.from_arrow(batch))
            staying = rows.filter(~pl.col(column).is_in(keys.implode()).fill_null(False))
            file.write(staying.write_csv(include_header=False, quote_style="necessary").encode())
            gone, left = gone + rows.height - staying.height, left + staying.height
    return gone, left


def _parquet(source: Path, target: Path, options: Any, key: str, keys: pl.Series) -> tuple[int, int]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    gone = left = 0
    with pq.ParquetFile(source) as file:
        _checked(key, file.schema_arrow.names)
        with pq.ParquetWriter(target, file.schema_arrow, compression=options.packed) as writer:
            for batch in file.iter_batches(batch_size=PART_ROWS):
                found = pc.is_in(batch.column(key).cast(pa.string()), value_set=keys.to_arrow().cast(pa.string()))
                staying = batch.filter(pc.invert(found))
                if staying.num_rows:
                    writer.write_batch(staying)
                gone, left = gone + batch.num_rows - staying.num_rows, left + staying.num_rows
    return gone, left


@contextmanager
def _read(path: Path, packed: str) -> Iterator[IO[bytes]]:
    with gzip.open(path) if packed == "gzip" else path.open("rb") as file:
        yield cast("IO[bytes]", file)


@contextmanager
def _written(path: Path, packed: str) -> Iterator[IO[bytes]]:
    file = TextFile(path, packed)
    try:
        yield file.bytes
    finally:
        file.close()


def _header(path: Path, packed: str) -> list[str]:
    with _read(path, packed) as raw:
        return next(csv.reader(io.TextIOWrapper(raw, encoding="utf-8", newline="")), [])


def _checked(column: str, names: list[str]) -> None:
    if column not in names:
        raise DestinationError(
            f"the file has no column {column!r}, by which rows are found",
            choices=names,
            hint="write it anew with the mapping of today",
        )
