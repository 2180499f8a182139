"""Conditions that users write over the columns of one table."""

from __future__ import annotations

from collections.abc import Collection

from cdp_core.engine.guard import check_functions
from cdp_core.engine.query import DIALECT
from cdp_core.errors import SpecError


def condition(text: str, columns: Collection[str]) -> str:
    """The condition as SQL that reads `columns` and nothing else. Raises SpecError for anything but one condition.

    >>> condition("type = 'page' and properties->>'path' like '/shop%'", ["type", "properties"])
    "type = 'page' AND properties ->> 'path' LIKE '/shop%'"
    """
    import sqlglot
    from sqlglot import exp

    where = "the condition"
    try:
        statements = sqlglot.parse(f"SELECT 1 WHERE ({text}\n)", read=DIALECT)
    except sqlglot.errors.SqlglotError:
        statements = []
    found = statements[0].args.get("where") if len(statements) == 1 and isinstance(statements[0], exp.Select) else None
    if found is None or not isinstance(found.this, exp.Paren):
        raise SpecError("it is no SQL condition", where=where, hint="write one such as \"type = 'page'\"")
    tree = found.this.this
    if tree.find(exp.Query, exp.Table, exp.AggFunc, exp.Window):
        raise SpecError("only columns of the row itself can be read", where=where, hint="no SELECT, no totals")
    known = {name.lower() for name in columns}
    for column in tree.find_all(exp.Column):
        if column.name.lower() not in known or column.table:
            raise SpecError.unknown("column", column.sql(DIALECT), columns, where=where)
    sql = str(tree.sql(dialect=DIALECT))
    check_functions(sql)
    return sql
