"""Files: CSV, TSV, JSON, NDJSON, Parquet and Excel, one or many (globs), gzip or not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from cdp_core.sources.base import REJECT_SCHEMA, SourceBatch, SourceContext
from cdp_core.sources.names import tidy
from cdp_core.sources.parts import find_files, fresh_parts
from cdp_core.sources.text import BrokenFile

Format = Literal["csv", "tsv", "json", "ndjson", "parquet", "excel"]
SUFFIXES: dict[str, Format] = {
    ".csv": "csv", ".txt": "csv", ".tsv": "tsv", ".tab": "tsv",
    ".json": "json", ".ndjson": "ndjson", ".jsonl": "ndjson",
    ".parquet": "parquet", ".pq": "parquet", ".xlsx": "excel", ".xlsm": "excel", ".xls": "excel", ".ods": "excel",
}  # fmt: skip
SLICE_ROWS = 200_000
Piece = tuple[pl.DataFrame, pl.DataFrame, dict[str, str]]


class FileOptions(BaseModel):
    """Where the files are and how to read them; what is left out is found out.

    >>> FileOptions(path="contacts/*.csv").format is None
    True
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(description="A file, or a pattern such as data/orders/*.csv.gz, relative to the workspace")
    format: Format | None = Field(None, description="Default: by the file's name")
    encoding: str | None = Field(None, description="Default: detected among UTF-8, UTF-16 and cp1252")
    delimiter: str | None = Field(None, min_length=1, max_length=1, description="Default: detected among , ; tab |")
    sheet: str | int | None = Field(None, description="Excel: name or number (from 1) of the sheet; default: the first")
    header_row: int | None = Field(None, ge=1, description="Excel: row with the column names; default: found")


class FileSource:
    """Rows of files. A file is read again when its content or the source's definition has changed."""

    Options: ClassVar[type[BaseModel]] = FileOptions
    gives: ClassVar[Literal["rows", "events"]] = "rows"

    def __init__(self, options: FileOptions, context: SourceContext) -> None:
        self.options = options
        self.context = context

    def read(self, state: pl.DataFrame) -> Iterator[SourceBatch]:
        files = find_files(self.context, self.options.path)
        yield from fresh_parts(self.context, files, state, self._batches)

    def _batches(self, path: Path, part: str, fingerprint: str, modified: datetime) -> Iterator[SourceBatch]:
        try:
            nothing = pl.DataFrame(schema=REJECT_SCHEMA)
            kind = self.options.format or self._format(path)
            for rows, rejects, kinds in self._pieces(path, kind):
                yield SourceBatch(
                    part=part, fingerprint=fingerprint, modified=modified, rows=rows, kinds=kinds,
                    untyped=kind in ("csv", "tsv", "json", "ndjson"),
                    rejects=rejects.select(list(REJECT_SCHEMA)) if rejects.width else nothing,
                )  # fmt: skip
        except BrokenFile as error:
            raise self.context.fail(f"{part} is damaged: {error}", hint="replace the file") from None
        except (OSError, pl.exceptions.PolarsError) as error:
            raise self.context.fail(f"{part} cannot be read: {_first_line(error)}", hint="check the file") from None

    def _pieces(self, path: Path, kind: Format) -> Iterator[Piece]:
        if kind in ("csv", "tsv"):
            from cdp_core.sources.delimited import read_delimited

            delimiter = self.options.delimiter or ("\t" if kind == "tsv" else None)
            found = read_delimited(path, delimiter=delimiter, encoding=self.options.encoding)
            return ((*_with_field(rows, bad), {}) for rows, bad in found)
        if kind in ("json", "ndjson"):
            from cdp_core.sources.json_text import read_json

            return read_json(self.context.staging, path, self.options.encoding)
        if kind == "parquet":
            return _parquet(path)
        from cdp_core.sources.excel import read_excel

        return read_excel(self.context, path, self.options.sheet, self.options.header_row)

    def _format(self, path: Path) -> Format:
        suffixes = [s.lower() for s in path.suffixes if s.lower() != ".gz"]
        if suffixes and suffixes[-1] in SUFFIXES:
            return SUFFIXES[suffixes[-1]]
        raise self.context.fail(
            f"the format of {path.name} is not known", choices=("csv", "tsv", "json", "ndjson", "parquet", "excel"),
            hint="set `format`",
        )  # fmt: skip


def _with_field(rows: pl.DataFrame, bad: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    return rows, bad.with_columns(field=pl.lit(None, pl.String))


def _parquet(path: Path) -> Iterator[Piece]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            done = 0
            for batch in file.iter_batches(batch_size=SLICE_ROWS):
                names = tidy(batch.schema.names)
                rows: Any = pl.from_arrow(pa.Table.from_batches([batch]).rename_columns(names))
                yield rows.with_row_index("_line", offset=done + 1).cast({"_line": pl.Int64}), pl.DataFrame(), {}
                done += rows.height
    except pa.ArrowInvalid as error:
        raise BrokenFile(_first_line(error)) from error


def _first_line(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).splitlines()[0]
