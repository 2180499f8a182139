"""Sheets of Excel and OpenDocument workbooks: values of formulas, dates as dates, merged cells filled."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from cdp_core.errors import SpecError
from cdp_core.sources.base import LINE, SourceContext
from cdp_core.sources.names import tidy

Area = tuple[int, int, int, int]


def read_excel(
    context: SourceContext, path: Path, sheet: str | int | None, header_row: int | None
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame, dict[str, str]]]:
    """Rows of one sheet with `_line` (the row's number in the sheet).

    The header is the first row with a value that no merged title covers, or `header_row`. A merged cell's value
    counts for each row it covers, in a header of two rows too. Raises SpecError for a sheet that is not there,
    SourceError for a damaged file.
    """
    import fastexcel

    try:
        book = fastexcel.read_excel(path)
        name = _sheet(context, book.sheet_names, sheet)
        merged = _merged(path, book.sheet_names.index(name))
        grid = book.load_sheet(name, header_row=None, skip_rows=0, dtypes="string").to_polars()
        if grid.is_empty():
            return
        header = header_row - 1 if header_row else _header(grid, merged)
        names = tidy(_names(grid, merged, header)) if header < grid.height else []
        if not names or header + 1 >= grid.height:
            return
        typed = book.load_sheet(name, header_row=None, skip_rows=header + 1, schema_sample_rows=None)
    except fastexcel.FastExcelError as error:
        raise context.fail(f"{path.name} cannot be read: {str(error).splitlines()[0]}", hint="check the file") from None
    rows = typed.to_polars()
    rows.columns = names[: rows.width]
    rows = rows.with_columns(_whole(rows[c]) for c in rows.columns if rows.schema[c].is_float())
    rows = _filled(rows, merged, header + 1).with_columns(pl.int_range(header + 2, header + 2 + pl.len()).alias(LINE))
    blank = pl.all_horizontal(pl.col(c).is_null() for c in rows.columns if c != LINE)
    yield rows.filter(~blank), pl.DataFrame(), {}


def _whole(numbers: pl.Series) -> pl.Series:
    """Excel knows no integers; a column of whole numbers is one of integers."""
    fits = ((numbers == numbers.floor()) & (numbers.abs() < 2**53)).all()
    return numbers.cast(pl.Int64) if fits else numbers


def _sheet(context: SourceContext, known: list[str], wanted: str | int | None) -> str:
    if isinstance(wanted, int) and 1 <= wanted <= len(known):
        return known[wanted - 1]
    if wanted is None:
        return known[0]
    if wanted not in known:
        raise SpecError.unknown("sheet", str(wanted), known, where=f"sources.{context.name}.sheet")
    return str(wanted)


def _header(grid: pl.DataFrame, merged: list[Area]) -> int:
    titles = {row for top, left, bottom, right in merged if right > left for row in range(top, bottom + 1)}
    filled = grid.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
    return next((i for i, value in enumerate(filled) if value and i not in titles), 0)


def _names(grid: pl.DataFrame, merged: list[Area], header: int) -> list[str | None]:
    """The header's cells; where one is merged with those above it, what stands at the top."""
    names: list[str | None] = list(grid.row(header))
    for top, left, bottom, right in merged:
        if left == right < grid.width and top < header <= bottom:
            names[left] = grid[top, left]
    return names


def _merged(path: Path, position: int) -> list[Area]:
    """Merged areas of a sheet (rows and columns from 0), from the workbook's own XML."""
    if not zipfile.is_zipfile(path):
        return []
    with zipfile.ZipFile(path) as book:
        try:
            xml = book.read(f"xl/worksheets/sheet{position + 1}.xml")
        except KeyError:
            return []
    found = re.findall(rb'<mergeCell\s+ref="([A-Z]+)(\d+):([A-Z]+)(\d+)"', xml)
    return [(int(top) - 1, _column(left), int(bottom) - 1, _column(right)) for left, top, right, bottom in found]


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number - 1


def _filled(rows: pl.DataFrame, merged: list[Area], first: int) -> pl.DataFrame:
    for top, left, bottom, right in merged:
        if top < first or left >= rows.width:
            continue
        value: Any = rows[top - first, left] if top - first < rows.height else None
        inside = pl.int_range(pl.len()).is_between(top - first, bottom - first)
        for column in rows.columns[left : right + 1]:
            if rows.schema[column] == rows.schema[rows.columns[left]]:
                rows = rows.with_columns(pl.when(inside).then(pl.lit(value)).otherwise(pl.col(column)).alias(column))
    return rows
