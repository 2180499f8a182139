"""Queries that users write: one SELECT, parsed, with table names put where the engine keeps them."""

from __future__ import annotations

from collections.abc import Mapping

from cdp_core.errors import SpecError
from cdp_core.tables import CANONICAL

DIALECT = "duckdb"


def rename_tables(query: str, names: Mapping[str, str], *, write: str = DIALECT) -> str:
    """The query with table names replaced, in whatever case they are written, and in the dialect `write`.

    Raises SpecError for anything but one SELECT over tables of the lake and `names`.

    >>> rename_tables("SELECT count(*) FROM profiles AS p", {"profiles": "temp.main.scratch_1"})
    'SELECT COUNT(*) FROM temp.main.scratch_1 AS p'
    """
    import sqlglot
    from sqlglot import exp

    from cdp_core.engine.guard import check_select

    check_select(query, {*CANONICAL, *names})
    try:
        statements = [s for s in sqlglot.parse(query, read=DIALECT) if s is not None]
    except sqlglot.errors.SqlglotError as error:
        raise SpecError(f"the SQL does not parse: {str(error).splitlines()[0]}") from None
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise SpecError("only one SELECT is allowed", hint="remove other statements")
    tree = statements[0]
    local = {cte.alias_or_name.lower() for cte in tree.find_all(exp.CTE)}
    known = {name.lower(): target for name, target in names.items()}
    for table in tree.find_all(exp.Table):
        called = table.name.lower()
        if called in known and table.db in ("", "main") and called not in local:
            target = exp.to_table(known[called], dialect=DIALECT)
            alias = table.alias or table.name
            target.set("alias", exp.TableAlias(this=exp.to_identifier(alias)))
            table.replace(target)
    return tree.sql(dialect=write)
