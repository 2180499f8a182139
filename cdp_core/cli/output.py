"""Data on stdout: a table for people, JSON or CSV for programs. Messages go to stderr."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

TABLE_ROWS = 1_000
"""A table for people ends here; the other formats print every row."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_WIDE = 10_000


def say(text: str) -> None:
    """A message for the person, on stderr."""
    print(_CONTROL.sub("", text), file=sys.stderr)


def print_frame(frame: pl.DataFrame, output: str = "table") -> None:
    """Print rows: `table`, `json` (a list of objects, times as ISO 8601 with Z) or `csv`."""
    if output == "json":
        sys.stdout.write(readable(frame).write_json() + "\n")
    elif output == "csv":
        sys.stdout.write(flat(readable(frame)).write_csv())
    else:
        print_rows(frame.columns, frame.head(TABLE_ROWS).rows(), _numeric(frame))
        if frame.height > TABLE_ROWS:
            say(f"{frame.height - TABLE_ROWS:,} more rows; --output json prints all of them")
        if not frame.height:
            say("no rows")


def print_object(value: Any, output: str = "table") -> None:
    """Print one thing: JSON, or its fields one per line."""
    if output == "json":
        sys.stdout.write(json.dumps(plain(value), ensure_ascii=False, indent=None) + "\n")
        return
    console = _console()
    for line in _lines(value, 0):
        console.print(line, soft_wrap=True)


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[Any]], numeric: Sequence[bool] = ()) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    right = list(numeric) or [False] * len(columns)
    for name, number in zip(columns, right, strict=True):
        table.add_column(Text(name), justify="right" if number else "left", overflow="ellipsis", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell(value)) for value in row))
    _console().print(table)


def cell(value: Any) -> str:
    """A value for a person.

    >>> cell(1234567), cell(0.25), cell(None), cell([1, 2])
    ('1,234,567', '0.25', '', '1, 2')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, (float, Decimal)):
        return f"{value:,.4f}".rstrip("0").rstrip(".") if value == value else ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, Mapping):
        return json.dumps(plain(value), ensure_ascii=False)
    if isinstance(value, (list, tuple)):
        return ", ".join(cell(item) for item in value)
    return _CONTROL.sub("\ufffd", str(value)).replace("\n", " ⏎ ").replace("\t", " ")


def plain(value: Any) -> Any:
    """The same value in JSON's types.

    >>> from datetime import datetime
    >>> plain({"at": datetime(1998, 7, 1)})
    {'at': '1998-07-01T00:00:00Z'}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(inner) for inner in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z" if value.tzinfo else value.isoformat() + "Z"
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, (date, Path)) or not isinstance(value, (str, int, bool, type(None))):
        return str(value)
    return value


def readable(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with times as ISO 8601 text with Z and numbers as JSON knows them, inside lists and structs too."""
    import polars as pl

    return frame.select(_readable(pl.col(name), kind).alias(name) for name, kind in frame.schema.items())


def _readable(column: pl.Expr, kind: Any) -> pl.Expr:
    import polars as pl

    if isinstance(kind, pl.Datetime):
        utc = column.dt.convert_time_zone("UTC") if kind.time_zone else column
        return utc.dt.to_string("%Y-%m-%dT%H:%M:%S%.fZ")
    if isinstance(kind, pl.Decimal):
        return column.cast(pl.Float64)
    if isinstance(kind, pl.Binary):
        return column.bin.encode("base64")
    if isinstance(kind, pl.Duration):
        return column.dt.to_string("iso")
    if kind.is_float():
        return pl.when(column.is_finite()).then(column)
    if isinstance(kind, pl.List):
        return column.list.eval(_readable(pl.element(), kind.inner))
    if isinstance(kind, pl.Struct):
        fields = [_readable(column.struct.field(f.name), f.dtype).alias(f.name) for f in kind.fields]
        return pl.when(column.is_not_null()).then(pl.struct(fields))
    return column


def flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Lists and structs as JSON text, for CSV."""
    import polars as pl

    nested = [name for name, kind in frame.schema.items() if kind.is_nested()]
    return frame.with_columns(
        pl.struct(pl.col(name).alias("v")).struct.json_encode().str.slice(5).str.head(-1).alias(name) for name in nested
    )


def _numeric(frame: pl.DataFrame) -> list[bool]:
    return [kind.is_numeric() for kind in frame.schema.values()]


def _console() -> Console:
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False, markup=False)


def _lines(value: Any, depth: int) -> list[str]:
    indent = "  " * depth
    if isinstance(value, Mapping):
        lines = []
        for key, inner in value.items():
            below = isinstance(inner, (Mapping, list, tuple)) and bool(inner) and not _is_short(inner)
            lines.append(f"{indent}{key}:" if below else f"{indent}{key}: {cell(inner)}")
            lines += _lines(inner, depth + 1) if below else []
        return lines
    if isinstance(value, (list, tuple)):
        lines = []
        for item in value:
            inside = _lines(item, depth + 1)
            lines += [f"{indent}- {inside[0].lstrip()}" if inside else f"{indent}-", *inside[1:]]
        return lines
    return [f"{indent}{cell(value)}"]


def _is_short(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple))
        and all(not isinstance(v, (Mapping, list, tuple)) for v in value)
        and len(value) < 9
    )
