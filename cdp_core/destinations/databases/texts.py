"""Values as text, for databases that lack their type."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl


def lists_as_json(rows: pl.DataFrame) -> list[pl.Expr]:
    """Lists of texts as JSON arrays.

    >>> import polars as pl
    >>> rows = pl.DataFrame({"tags": [["a", 'b"c', None], [], None]})
    >>> rows.with_columns(lists_as_json(rows))["tags"].to_list()
    ['["a","b\\\\"c",null]', '[]', None]
    """
    import polars as pl
    import polars.selectors as cs

    head = '{"v":'
    return [
        pl.when(pl.col(name).is_not_null()).then(
            pl.struct(pl.col(name).alias("v")).struct.json_encode().str.slice(len(head)).str.head(-1)
        ).alias(name)
        for name in rows.select(cs.list()).columns
    ]  # fmt: skip


def times_as_text(rows: pl.DataFrame) -> list[pl.Expr]:
    """Times (UTC) to the microsecond and dates, as ISO 8601 writes them with a space.

    >>> import polars as pl
    >>> from datetime import date, datetime
    >>> rows = pl.DataFrame({"at": [datetime(1998, 7, 1, 12, 30)], "day": [date(1970, 5, 17)]})
    >>> rows.with_columns(times_as_text(rows)).row(0)
    ('1998-07-01 12:30:00.000000', '1970-05-17')
    """
    import polars as pl
    import polars.selectors as cs

    times = [pl.col(name).dt.strftime("%Y-%m-%d %H:%M:%S%.6f") for name in rows.select(cs.datetime()).columns]
    return times + [pl.col(name).dt.strftime("%Y-%m-%d") for name in rows.select(cs.date()).columns]
