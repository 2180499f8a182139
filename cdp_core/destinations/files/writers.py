"""Files written batch by batch, so that memory does not grow with the rows."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, cast

from cdp_core.destinations.base import Batch, Delivery

if TYPE_CHECKING:
    import polars as pl

ISO_UTC = "%Y-%m-%dT%H:%M:%S%.fZ"
FORMULA_START = r"^[=+\-@\t\r\n\x00]"
"""What makes a spreadsheet compute a cell: OWASP ASVS 5.0 §1.2.10 (= + - @ tab NUL) and OWASP's page on CSV injection
(carriage return, line feed)."""


class Writer(Protocol):
    path: Path

    def write(self, batch: Batch) -> None: ...

    def close(self) -> None: ...


def open_writer(path: Path, delivery: Delivery) -> Writer:
    """The writer of the sync's format; the file is created at once, so an empty set gives a valid file."""
    kind: str = delivery.options.kind
    if kind == "parquet":
        return ParquetFile(path, delivery)
    return CsvFile(path, delivery) if kind == "csv" else JsonlFile(path, delivery)


class TextFile:
    """A new file; `bytes` is where its content goes, packed on the way or not."""

    def __init__(self, path: Path, packed: str) -> None:
        self.path = path
        self._raw = path.open("xb")
        self.bytes: IO[bytes] = self._raw
        if packed == "gzip":
            # Without a name and a time in its header, equal content gives an equal file.
            zipped = gzip.GzipFile(filename="", mode="wb", fileobj=self._raw, mtime=0, compresslevel=6)
            self.bytes = cast("IO[bytes]", zipped)

    def close(self) -> None:
        try:
            if self.bytes is not self._raw:
                self.bytes.close()
        finally:
            self._raw.close()


class CsvFile(TextFile):
    """RFC 4180, UTF-8, a header, line feeds. Null is an empty cell, an empty text is quoted."""

    def __init__(self, path: Path, delivery: Delivery) -> None:
        super().__init__(path, delivery.options.packed)
        self._escape: bool = delivery.options.escape_formulas
        self.bytes.write(self._text(_empty(delivery), header=True))

    def write(self, batch: Batch) -> None:
        self.bytes.write(self._text(batch.rows, header=False))

    def _text(self, rows: pl.DataFrame, *, header: bool) -> bytes:
        flat = flattened(rows)
        safe = escaped(flat) if self._escape else flat
        text: str = safe.write_csv(include_header=header, datetime_format=ISO_UTC, quote_style="necessary")
        return text.encode()


class JsonlFile(TextFile):
    """One JSON object per line: numbers as numbers, times as ISO 8601 in UTC."""

    def __init__(self, path: Path, delivery: Delivery) -> None:
        super().__init__(path, delivery.options.packed)

    def write(self, batch: Batch) -> None:
        self.bytes.write(("\n".join(batch.payload.to_list()) + "\n").encode())


class ParquetFile:
    """Typed columns; times are timestamps in UTC, microseconds."""

    def __init__(self, path: Path, delivery: Delivery) -> None:
        import pyarrow.parquet as pq

        self.path = path
        self._schema = _arrow(_empty(delivery)).schema
        self._writer = pq.ParquetWriter(path, self._schema, compression=delivery.options.packed)

    def write(self, batch: Batch) -> None:
        self._writer.write_table(_arrow(batch.rows).cast(self._schema))

    def close(self) -> None:
        self._writer.close()


def escaped(rows: pl.DataFrame) -> pl.DataFrame:
    """Cells (and headings) that a spreadsheet would compute get a leading apostrophe.

    >>> import polars as pl
    >>> escaped(pl.DataFrame({"a": ["=1+1", "x", None]}))["a"].to_list()
    ["'=1+1", 'x', None]
    """
    import polars as pl
    import polars.selectors as cs

    cells = rows.with_columns(
        pl.when(cs.string().str.contains(FORMULA_START))
        .then(pl.lit("'") + cs.string())
        .otherwise(cs.string())
        .name.keep()
    )
    return cells.rename(dict(zip(rows.columns, escaped_headings(rows.columns), strict=True)))


def escaped_headings(names: list[str]) -> list[str]:
    import polars as pl

    return pl.Series(names, dtype=pl.String).str.replace(f"({FORMULA_START})", "'${1}").to_list()


def flattened(rows: pl.DataFrame) -> pl.DataFrame:
    """Lists as JSON text: a cell of a table holds one value."""
    import polars as pl
    import polars.selectors as cs

    lists = rows.select(cs.list()).columns
    # Polars writes objects only: {"v":…} without its frame.
    return rows.with_columns(
        pl.when(pl.col(c).is_not_null())
        .then(pl.struct(pl.col(c).alias("v")).struct.json_encode().str.slice(5).str.head(-1))
        .alias(c)
        for c in lists
    )


def polars_type(kind: str) -> Any:
    """The Polars type of a field of a `Delivery`."""
    import polars as pl

    if kind.startswith("decimal"):
        precision, _, scale = kind[8:-1].partition(",")
        return pl.Decimal(int(precision or 38), int(scale or 0))
    simple = {"int64": pl.Int64, "float64": pl.Float64, "boolean": pl.Boolean, "date": pl.Date}
    more = {"timestamp": pl.Datetime("us"), "array<string>": pl.List(pl.String)}
    return simple.get(kind) or more.get(kind, pl.String)


def _empty(delivery: Delivery) -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame(schema={field: polars_type(kind) for field, kind in delivery.fields.items()})


def _arrow(rows: pl.DataFrame) -> Any:
    import polars as pl
    import polars.selectors as cs

    zoned = rows.with_columns(cs.datetime().cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))
    return zoned.to_arrow(compat_level=pl.CompatLevel.oldest())
