"""What a SELECT reads, by the names that it uses."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from cdp_core.engine.query import DIALECT


@dataclass(frozen=True, kw_only=True)
class Reads:
    """Names in lower case; `texts` are the constants and JSON keys as they are written. `all_columns`: a star."""

    tables: frozenset[str] = frozenset()
    columns: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()
    all_columns: bool = False

    def reads(self, table: str, column: str) -> bool:
        """Whether the query reads a column of a table, as far as names say: columns are told apart by name alone."""
        return table in self.tables and (self.all_columns or column.lower() in self.columns)

    def speaks_of(self, text: str) -> bool:
        """Whether a constant or a JSON path names a key."""
        return any(text in re.split(r"[$./\[\]\"']+", said) for said in self.texts)


@functools.lru_cache(maxsize=1000)
def sql_reads(query: str) -> Reads:
    """Nothing where the text does not parse.

    >>> found = sql_reads("SELECT profile_id, properties->>'total' AS t FROM events WHERE event = 'Paid'")
    >>> found.reads("events", "properties"), found.speaks_of("total"), found.reads("profiles", "email")
    (True, True, False)
    """
    import sqlglot
    from sqlglot import exp

    try:
        trees = [tree for tree in sqlglot.parse(query, read=DIALECT) if tree is not None]
    except sqlglot.errors.SqlglotError:
        return Reads()
    local = {cte.alias_or_name.lower() for tree in trees for cte in tree.find_all(exp.CTE)}
    named = {table.name.lower() for tree in trees for table in tree.find_all(exp.Table)}
    columns = [column for tree in trees for column in tree.find_all(exp.Column)]
    texts = {one.this for tree in trees for one in tree.find_all(exp.Literal) if one.is_string}
    keys = {str(one.this) for tree in trees for one in tree.find_all(exp.JSONPathKey)}
    stars = [star for tree in trees for star in tree.find_all(exp.Star) if not isinstance(star.parent, exp.Count)]
    return Reads(
        tables=frozenset(named - local),
        columns=frozenset(column.name.lower() for column in columns),
        texts=frozenset(texts | keys),
        all_columns=bool(stars),
    )
