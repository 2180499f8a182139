"""Statements of warehouses from staged rows into a table, which both BigQuery and Snowflake read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Merge:
    """`table` is quoted, `source` is a table or a query in brackets, `values` maps quoted names of columns to
    expressions over the source's alias `s`, and `key` is one of those names.

    >>> merge = Merge(table="`d.people`", source="`d.stage`", values={"`id`": "s.c0", "`n`": "s.c1"}, key="`id`")
    >>> merge.write("upsert")
    'MERGE INTO `d.people` AS t USING `d.stage` AS s ON t.`id` = s.c0 WHEN MATCHED THEN UPDATE SET `n` = s.c1 \
WHEN NOT MATCHED THEN INSERT (`id`, `n`) VALUES (s.c0, s.c1)'
    >>> merge.remove()
    'DELETE FROM `d.people` WHERE `id` IN (SELECT s.c0 FROM `d.stage` AS s)'
    """

    table: str
    source: str
    values: Mapping[str, str]
    key: str

    @property
    def _of_key(self) -> str:
        return self.values[self.key]

    def write(self, mode: str) -> str | None:
        """`insert` leaves a row that is there, `update` adds none; None when there is nothing to change."""
        changes = ", ".join(f"{name} = {value}" for name, value in self.values.items() if name != self.key)
        parts = [f"WHEN MATCHED THEN UPDATE SET {changes}"] if changes and mode != "insert" else []
        if mode != "update":
            parts.append(
                f"WHEN NOT MATCHED THEN INSERT ({', '.join(self.values)}) VALUES ({', '.join(self.values.values())})"
            )
        joined = f"MERGE INTO {self.table} AS t USING {self.source} AS s ON t.{self.key} = {self._of_key}"
        return " ".join([joined, *parts]) if parts else None

    def absent(self, staged_key: str) -> str:
        """Keys of the source, as `staged_key` has them, that the table does not have."""
        joined = f"{self.source} AS s LEFT JOIN {self.table} AS t ON t.{self.key} = {self._of_key}"
        return f"SELECT {staged_key} FROM {joined} WHERE t.{self.key} IS NULL"

    def remove(self) -> str:
        chosen = f"SELECT {self._of_key} FROM {self.source} AS s"
        return f"DELETE FROM {self.table} WHERE {self.key} IN ({chosen})"
