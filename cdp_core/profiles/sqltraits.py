"""Traits that a user's own SELECT computes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cdp_core.errors import CDPError, SpecError
from cdp_core.profiles.spec import SqlTrait, columns_of

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine


def sql_trait(engine: Engine, name: str, trait: SqlTrait, named: Mapping[str, ir.Table]) -> ir.Table:
    """Rows profile_id and one column per trait, computed.

    Raises SpecError when the query does not run, returns other columns, a null or the same profile id twice.
    """
    where = f"traits.{name}.sql"
    wanted = columns_of(name, trait)
    try:
        rows = engine.sql(trait.sql, named)
        found = list(rows.columns)
    except CDPError as error:
        raise SpecError(error.what, where=where, hint=error.hint) from None
    except Exception as error:
        raise SpecError(f"the query does not run: {str(error).splitlines()[0]}", where=where) from error
    if set(found) != {"profile_id", *wanted} or len(found) != len(wanted) + 1:
        raise SpecError(
            f"the query must return the columns profile_id, {', '.join(wanted)}; it returns {', '.join(found)}",
            where=where,
            hint="name the columns with AS, or list several traits under columns",
        )
    kept = _computed(engine, rows.select("profile_id", **{c: _plain(rows[c]) for c in wanted}), where)
    _check_ids(engine, kept, where)
    return kept


def _computed(engine: Engine, rows: ir.Table, where: str) -> ir.Table:
    try:
        return engine.keep(rows)
    except Exception as error:
        # An engine's message may quote the value on which it failed.
        raise SpecError(f"the query fails on the data ({type(error).__name__})", where=where) from error


def _check_ids(engine: Engine, rows: ir.Table, where: str) -> None:
    counts = engine.polars(
        rows.aggregate(rows=rows.count(), ids=rows.profile_id.count(), distinct=rows.profile_id.nunique())
    ).row(0, named=True)
    if counts["ids"] != counts["rows"]:
        raise SpecError(
            f"the query returns {counts['rows'] - counts['ids']} rows without a profile_id",
            where=where,
            hint="add WHERE profile_id IS NOT NULL",
        )
    if counts["distinct"] != counts["rows"]:
        raise SpecError(
            f"the query returns {counts['rows'] - counts['distinct']} rows more than one per profile_id",
            where=where,
            hint="add GROUP BY profile_id",
        )


def _plain(column: ir.Value) -> ir.Value:
    """Numbers of any width as the two widths that profiles has."""
    kind = column.type()
    if kind.is_decimal():
        return column.cast("int64" if kind.scale == 0 else "float64")
    if kind.is_integer():
        return column.cast("int64")
    return column.cast("float64") if kind.is_floating() else column
