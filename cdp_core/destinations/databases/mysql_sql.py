"""MySQL's and MariaDB's own SQL."""

from __future__ import annotations

from cdp_core.destinations.databases.dialect import Dialect


class MySqlDialect(Dialect):
    """Not ON DUPLICATE KEY UPDATE: it also changes the row of another key that some other unique index finds."""

    def write(self, table: str, columns: list[str], key: str, mode: str) -> list[str]:
        others, k = [name for name in columns if name != key], self.name(key)
        inserting = (
            f"INSERT INTO {table} ({self.names(columns)}) SELECT {self.names(columns, 'new.')} FROM {self.stage} new "
            f"LEFT JOIN {table} old ON old.{k} = new.{k} WHERE old.{k} IS NULL"
        )
        changing = self._update(table, others, key) if mode != "insert" else []
        return changing + ([inserting] if mode != "update" else [])

    def remove(self, table: str, key: str) -> list[str]:
        k = self.name(key)
        return [f"DELETE old FROM {table} old JOIN {self.stage} gone ON old.{k} = gone.{k}"]

    def _update(self, table: str, others: list[str], key: str) -> list[str]:
        if not others:
            return []
        changes = ", ".join(f"old.{self.name(c)} = new.{self.name(c)}" for c in others)
        k = self.name(key)
        return [f"UPDATE {table} old JOIN {self.stage} new ON old.{k} = new.{k} SET {changes}"]


EXACT = ("utf8mb4_0900_bin", "utf8mb4_nopad_bin", "utf8mb4_bin")
"""Collations that compare byte by byte, best first: the last one, which every server has, drops spaces at the end."""

MYSQL = MySqlDialect(
    stage="cdp_stage",
    decimal="DECIMAL",
    quote="`",
    types={
        "string": "LONGTEXT",
        "int64": "BIGINT",
        "float64": "DOUBLE",
        "boolean": "BOOLEAN",
        "timestamp": "DATETIME(6)",
        "date": "DATE",
        "array<string>": "JSON",
    },
    key_types={"string": "VARCHAR(512)"},
)


def loading(columns: list[str]) -> str:
    """One statement with one parameter: [{"c0": …, "c1": …}, …].

    The character set is told, since it would be the database's, which may lack most characters.

    >>> loading(["id"]).partition("COLUMNS ")[2]
    "(c0 LONGTEXT CHARACTER SET utf8mb4 PATH '$.c0')) AS sent"
    """
    places = ", ".join(f"c{n} LONGTEXT CHARACTER SET utf8mb4 PATH '$.c{n}'" for n in range(len(columns)))
    named = MYSQL.names(columns).replace("%", "%%")
    return f"INSERT INTO {MYSQL.stage} ({named}) SELECT * FROM JSON_TABLE(%s, '$[*]' COLUMNS ({places})) AS sent"
