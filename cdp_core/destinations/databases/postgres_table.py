"""What PostgreSQL knows of the table a sync writes to, and what PostgreSQL's errors mean for it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cdp_core.destinations.databases.dialect import Dialect

if TYPE_CHECKING:
    import psycopg

POSTGRES = Dialect(
    stage="pg_temp.cdp_stage",
    types={
        "string": "text",
        "int64": "bigint",
        "float64": "double precision",
        "boolean": "boolean",
        "timestamp": "timestamptz",
        "date": "date",
        "array<string>": "text[]",
    },
)
_ROW_CLASSES = ("22", "23", "44", "P0")
"""SQLSTATE classes that are about a row: data exception, integrity, WITH CHECK OPTION, raised by a trigger."""

_REFUSALS = {
    "password authentication failed": "the password or the user is wrong",
    "does not exist": "the user or the database does not exist",
}
"""What is said when connecting, without a SQLSTATE, and no later try will mend."""
_HINTS = {
    "28": "check user and password",
    "3D": "check the name of the database",
    "42501": "the user lacks a right on the schema or table",
    "42P10": "an existing table needs a unique index on the key: CREATE UNIQUE INDEX ON table (key)",
    "53": "the server is out of room or connections",
    "57014": "raise statement_timeout",
}


def columns_of(connection: psycopg.Connection[Any], schema: str, table: str) -> set[str]:
    query = """
        SELECT attname FROM pg_attribute
        JOIN pg_class c ON c.oid = attrelid
        JOIN pg_namespace n ON n.oid = relnamespace
        WHERE nspname = %s AND relname = %s AND relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped"""
    return {name for (name,) in connection.execute(query, [schema, table])}


def unique(connection: psycopg.Connection[Any], schema: str, table: str, key: str) -> bool:
    query = """
        SELECT 1 FROM pg_index i
        JOIN pg_class c ON c.oid = i.indrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
        WHERE nspname = %s AND relname = %s AND a.attname = %s
          AND indisunique AND indisvalid AND indnkeyatts = 1 AND indpred IS NULL"""
    return connection.execute(query, [schema, table, key]).fetchone() is not None


def reason(error: psycopg.Error) -> str | None:
    """Why rows were refused, without their values; None when the error is not about rows.

    PostgreSQL's own messages quote the offending value, so only the kind of error and the names in it are told.
    """
    state = error.sqlstate or ""
    if not state.startswith(_ROW_CLASSES):
        return None
    parts = [_kind(error)]
    column = error.diag.column_name or _copy_column(error)
    if column:
        parts.append(f"column {column}")
    if error.diag.constraint_name:
        parts.append(f"constraint {error.diag.constraint_name}")
    return f"{', '.join(parts)} (SQLSTATE {state})"


def described(error: psycopg.Error) -> tuple[str, str | None, bool]:
    """What happened, the next step, and whether trying again may help."""
    import psycopg

    state = error.sqlstate or ""
    hint = _HINTS.get(state) or _HINTS.get(state[:2])
    if state:
        table = error.diag.table_name
        named = f" ({table})" if table else ""
        return (
            f"PostgreSQL refused: {_kind(error)}{named}, SQLSTATE {state}",
            hint,
            state[:2] in ("08", "40", "53", "57"),
        )
    if isinstance(error, psycopg.OperationalError):
        text = str(error)
        found = next((told for part, told in _REFUSALS.items() if part in text), None)
        if found is not None:
            return f"PostgreSQL cannot be reached: {found}", "look at the url", False
        return _unreachable(text), "is the server up, and the url right?", True
    return f"the driver refused: {_kind(error)}", "check the url of the destination", False


def _unreachable(message: str) -> str:
    known = {
        "too many": "it has too many connections",
        "remaining connection slots": "it has too many connections",
        "refused": "the connection was refused",
        "timeout": "the server did not answer in time",
        "resolve": "the host's name is unknown",
        "Name or service not known": "the host's name is unknown",
    }
    found = next((text for part, text in known.items() if part in message), "the connection failed or was lost")
    return f"PostgreSQL cannot be reached: {found}"


def _kind(error: Exception) -> str:
    """`InvalidTextRepresentation` → `invalid text representation`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()


def _copy_column(error: psycopg.Error) -> str | None:
    """COPY names the column in its context only: `COPY stage, line 3, column age: "…"`."""
    found = re.search(r"^COPY .*, line \d+, column ([^:]+):", error.diag.context or "")
    return found[1] if found else None
