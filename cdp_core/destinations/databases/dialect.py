"""SQL that databases share: names in quotes, column types, and statements from the stage into the table.

A batch lies in a temporary table, the stage, when these run; each of them is one statement for all its rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """`types` maps the types of fields to those of columns; `key_types` those of the key, where they differ.

    >>> sql = Dialect(types={"string": "text"}, stage="cdp_stage")
    >>> sql.name('a"b'), sql.type("decimal(10, 2)")
    ('"a""b"', 'numeric(10, 2)')
    >>> sql.remove('"people"', "id")
    ['DELETE FROM "people" WHERE "id" IN (SELECT "id" FROM cdp_stage)']
    """

    types: Mapping[str, str]
    stage: str
    decimal: str = "numeric"
    quote: str = '"'
    key_types: Mapping[str, str] = field(default_factory=dict)

    def name(self, *parts: str) -> str:
        """A name, or several with dots between them, in quotes."""
        q = self.quote
        return ".".join(q + part.replace(q, q + q) + q for part in parts)

    def names(self, fields: Iterable[str], of: str = "") -> str:
        return ", ".join(of + self.name(field) for field in fields)

    def type(self, kind: str) -> str:
        return self.decimal + kind.removeprefix("decimal") if kind.startswith("decimal") else self.types[kind]

    def column(self, field: str, kind: str, *, key: str = "") -> str:
        found = self.key_types.get(kind) if field == key else None
        return f"{self.name(field)} {found or self.type(kind)}"

    def create(self, table: str, fields: Mapping[str, str], key: str) -> str:
        columns = ", ".join(self.column(name, kind, key=key) for name, kind in fields.items())
        return f"CREATE TABLE {table} ({columns}, PRIMARY KEY ({self.name(key)}))"

    def add_columns(self, table: str, fields: Mapping[str, str]) -> list[str]:
        return [f"ALTER TABLE {table} ADD COLUMN {self.column(name, kind)}" for name, kind in fields.items()]

    def write(self, table: str, columns: list[str], key: str, mode: str) -> list[str]:
        """`insert` leaves a row that is there, `update` adds none; every other mode does both."""
        others = [name for name in columns if name != key]
        if mode == "update":
            return self._update(table, others, key)
        changes = ", ".join(f"{self.name(c)} = EXCLUDED.{self.name(c)}" for c in others)
        then = f"DO UPDATE SET {changes}" if others and mode != "insert" else "DO NOTHING"
        named = self.names(columns)
        # Without WHERE, SQLite reads ON as the condition of a join.
        chosen = f"SELECT {named} FROM {self.stage} WHERE true"
        return [f"INSERT INTO {table} ({named}) {chosen} ON CONFLICT ({self.name(key)}) {then}"]

    def remove(self, table: str, key: str) -> list[str]:
        return [f"DELETE FROM {table} WHERE {self.name(key)} IN (SELECT {self.name(key)} FROM {self.stage})"]

    def absent(self, table: str, key: str) -> str:
        """Keys of the stage that the table does not have."""
        k = self.name(key)
        joined = f"{self.stage} AS new LEFT JOIN {table} AS old ON old.{k} = new.{k}"
        return f"SELECT new.{k} FROM {joined} WHERE old.{k} IS NULL"

    def _update(self, table: str, others: list[str], key: str) -> list[str]:
        if not others:
            return []
        changes = ", ".join(f"{self.name(c)} = new.{self.name(c)}" for c in others)
        k = self.name(key)
        return [f"UPDATE {table} AS old SET {changes} FROM {self.stage} AS new WHERE old.{k} = new.{k}"]
