"""Rows as PostgreSQL's COPY reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cdp_core.destinations.databases.postgres_table import POSTGRES

if TYPE_CHECKING:
    import polars as pl
    import psycopg

_QUOTED = r'(["\\])'


def load(connection: psycopg.Connection[Any], rows: pl.DataFrame) -> None:
    copy = f"COPY {POSTGRES.stage} ({POSTGRES.names(rows.columns)}) FROM STDIN (FORMAT csv)"
    with connection.cursor() as cursor, cursor.copy(copy) as sink:
        sink.write(_csv(rows))


def _csv(rows: pl.DataFrame) -> str:
    """COPY's CSV: nothing is null, an empty text is quoted."""
    import polars.selectors as cs

    lists = rows.select(cs.list()).columns
    flat = rows.with_columns(_array(name) for name in lists)
    return flat.write_csv(include_header=False, datetime_format="%Y-%m-%dT%H:%M:%S%.fZ", quote_style="necessary")


def _array(name: str) -> pl.Expr:
    """A list of texts as PostgreSQL writes arrays: {"a","b",NULL}."""
    import polars as pl

    item = pl.element()
    quoted = pl.lit('"') + item.str.replace_all(_QUOTED, r"\${1}") + pl.lit('"')
    items = pl.col(name).list.eval(quoted.fill_null("NULL")).list.join(",")
    return pl.when(pl.col(name).is_not_null()).then(pl.lit("{") + items + pl.lit("}")).alias(name)
