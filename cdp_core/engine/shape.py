"""Bring rows into the shape of a canonical table before they are published."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cdp_core import tables

if TYPE_CHECKING:
    import ibis.expr.types as ir


def shaped(rows: ir.Table, name: str) -> ir.Table:
    """Exactly the canonical columns, in order and type; open tables keep their own columns behind them."""
    import ibis

    fixed = tables.CANONICAL[name]
    columns = {
        column: _as(rows[column] if column in rows.columns else ibis.null(), kind)
        for column, kind in fixed.ibis_schema().items()
    }
    more = [c for c in rows.columns if c not in columns] if fixed.open else []
    return rows.select(**columns, **{c: rows[c] for c in more})


def _as(value: ir.Value, kind: object) -> ir.Value:
    """Times of any precision count as times: a cast between precisions means different things to engines."""
    import ibis.expr.datatypes as dt

    if isinstance(kind, dt.Timestamp):
        return value if isinstance(value.type(), dt.Timestamp) else value.cast(dt.timestamp)
    return value if value.type() == kind else value.cast(kind)
