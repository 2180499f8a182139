"""What stand-ins of warehouses share: statements in the warehouse's own SQL, really parsed and really run.

sqlglot reads a statement in its dialect and writes it for DuckDB, which runs it. That a statement is read here does not
prove that the warehouse reads it: sqlglot takes more than any one of them, and types and messages are DuckDB's.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import duckdb
import sqlglot


@dataclass(frozen=True)
class Found:
    """Rows, or what went wrong in one word (syntax, missing, null, value, too long) and in a text with values in it."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    error: str | None = None
    text: str = ""


class Tables:
    """A DuckDB in memory that takes statements of another dialect. `effects` counts how often each key was changed."""

    def __init__(self, dialect: str, effects: Counter[str]) -> None:
        self.dialect, self.effects = dialect, effects
        self.connection = duckdb.connect()
        self.connection.execute("SET TimeZone = 'UTC'")
        self.statements: list[str] = []

    def run(self, statement: str, values: Any = None) -> Found:
        self.statements.append(statement)
        try:
            (tree,) = sqlglot.parse(statement, read=self.dialect)
            return Found(self._run(tree, values))
        except (sqlglot.errors.SqlglotError, duckdb.ParserException, duckdb.BinderException) as error:
            return Found(error="syntax", text=str(error))
        except duckdb.CatalogException as error:
            return Found(error="missing", text=str(error))
        except duckdb.ConstraintException as error:
            return Found(error="too long" if "CHECK" in str(error) else "null", text=str(error))
        except (duckdb.ConversionException, duckdb.OutOfRangeException, duckdb.InvalidInputException) as error:
            return Found(error="value", text=str(error))

    def native(self, statement: str, values: Any = None) -> list[tuple[Any, ...]]:
        """A statement in DuckDB's own words."""
        return self.connection.execute(statement, values).fetchall()

    def insert(self, table: str, rows: list[list[Any]]) -> None:
        if rows:
            marks = ", ".join("?" for _ in rows[0])
            self.connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)

    def _run(self, tree: Any, values: Any) -> list[tuple[Any, ...]]:
        target = tree.this if isinstance(tree, sqlglot.exp.Merge) else None
        before = self._rows(target)
        found = self.native(self.written(tree), values)
        self.effects.update(key for key, row in self._rows(target).items() if before.get(key) != row)
        return found

    def written(self, tree: sqlglot.exp.Expression) -> str:
        return tree.sql(dialect="duckdb")

    def _rows(self, target: sqlglot.exp.Expression | None) -> dict[str, Any]:
        """By the first column, which is the key."""
        if target is None:
            return {}
        named = target.copy()
        named.set("alias", None)
        return {str(r[0]): r for r in self.connection.execute(f"FROM {named.sql(dialect='duckdb')}").fetchall()}
