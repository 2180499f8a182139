"""Set-wise statements: COPY a batch into a temporary table, then one statement against the real one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cdp_core.destinations.base import Delivery
from cdp_core.destinations.databases.postgres_table import names

if TYPE_CHECKING:
    import polars as pl
    import psycopg

STAGE = "cdp_stage"
_QUOTED = r'(["\\])'


def upsert(connection: psycopg.Connection[Any], delivery: Delivery, rows: pl.DataFrame) -> None:
    from psycopg import sql

    _stage(connection, delivery, rows)
    others = [field for field in rows.columns if field != delivery.key]
    setting = sql.SQL(", ").join(sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(field)) for field in others)
    then = sql.SQL("DO UPDATE SET {}").format(setting) if others else sql.SQL("DO NOTHING")
    connection.execute(
        sql.SQL("INSERT INTO {table} ({columns}) SELECT {columns} FROM {stage} ON CONFLICT ({key}) {then}").format(
            table=_table(delivery),
            columns=names(rows.columns),
            stage=sql.Identifier("pg_temp", STAGE),
            key=sql.Identifier(delivery.key),
            then=then,
        )
    )


def delete(connection: psycopg.Connection[Any], delivery: Delivery, keys: pl.DataFrame) -> None:
    from psycopg import sql

    _stage(connection, delivery, keys)
    connection.execute(
        sql.SQL("DELETE FROM {table} AS old USING {stage} AS gone WHERE old.{key} = gone.{key}").format(
            table=_table(delivery), stage=sql.Identifier("pg_temp", STAGE), key=sql.Identifier(delivery.key)
        )
    )


def _table(delivery: Delivery) -> Any:
    from psycopg import sql

    return sql.Identifier(delivery.options.schema_, delivery.options.table)


def _stage(connection: psycopg.Connection[Any], delivery: Delivery, rows: pl.DataFrame) -> None:
    """The stage has the real table's column types, so that a value that does not fit is refused here."""
    from psycopg import sql

    stage = sql.Identifier("pg_temp", STAGE)
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(stage))
    connection.execute(
        sql.SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(
            sql.Identifier(STAGE), names(rows.columns), _table(delivery)
        )
    )
    copy = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(stage, names(rows.columns))
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
