"""The least and greatest value of each column, as DuckLake keeps them for a whole table: it widens them with what is
written and never takes them back, so that they tell of rows that are gone.

They are computed anew from those of the files that are left. Leaving them out would be wrong: DuckLake takes columns
without bounds for columns without values, goes by the next rows alone, and then finds nothing of what it had.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3

_COLUMNS = """
SELECT DISTINCT t.table_id, t.column_id, c.column_type FROM ducklake_table_column_stats t
JOIN ducklake_column c ON c.table_id = t.table_id AND c.column_id = t.column_id AND c.end_snapshot IS NULL
"""
_FILES = "SELECT table_id, column_id, min_value, max_value, value_count FROM ducklake_file_column_stats"
_SET = (
    "UPDATE ducklake_table_column_stats SET min_value = ?, max_value = ?, extra_stats = NULL"
    " WHERE table_id = ? AND column_id = ?"
)
_NEXT = (
    "UPDATE ducklake_snapshot SET next_file_id = next_file_id + 1"
    " WHERE snapshot_id = (SELECT max(snapshot_id) FROM ducklake_snapshot)"
)
"""Sessions keep bounds by this number, and would write those that they know."""
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d(\.\d+)?)?$")


def renew_bounds(connection: sqlite3.Connection) -> None:
    """Of every column whose values all stand in files; of others they stay, and hold what they held."""
    found: dict[tuple[int, int], list[tuple[str | None, str | None, int]]] = defaultdict(list)
    for table, column, least, greatest, count in connection.execute(_FILES):
        found[table, column].append((least, greatest, count))
    inlined = _inlined(connection)
    for table, column, kind in connection.execute(_COLUMNS).fetchall():
        known = _bounds(kind, found[table, column])
        if known is not None and table not in inlined:
            connection.execute(_SET, (*known, table, column))
    connection.execute(_NEXT)


def _inlined(connection: sqlite3.Connection) -> set[int]:
    """Tables with rows in the catalog itself, which have no bounds of their own."""
    names = connection.execute("SELECT table_id, table_name FROM ducklake_inlined_data_tables").fetchall()
    return {table for table, name in names if connection.execute(f'SELECT 1 FROM "{name}" LIMIT 1').fetchone()}


def _bounds(kind: str, files: Iterable[tuple[str | None, str | None, int]]) -> tuple[str | None, str | None] | None:
    """
    >>> _bounds("int64", [("5", "30", 2), (None, None, 0), ("-7", "9", 3)])
    ('-7', '30')
    >>> _bounds("varchar", [(None, None, 0)]), _bounds("varchar", [(None, None, 3)])
    ((None, None), None)
    """
    holding = [(least, greatest) for least, greatest, count in files if count != 0]
    order = _ORDERS.get(kind)
    if order is None or any(None in pair for pair in holding):
        return None
    try:
        least = min((least for least, _ in holding), key=order, default=None)
        return least, max((greatest for _, greatest in holding), key=order, default=None)
    except ValueError:
        return None


def _number(text: str) -> float:
    number = float(text)
    if math.isnan(number):
        raise ValueError(text)
    return number


def _moment(text: str) -> str:
    if not _MOMENT.match(text):
        raise ValueError(text)
    return text


_ORDERS: dict[str, Callable[[Any], Any]] = {
    "varchar": str.encode, "int64": int, "float64": _number, "boolean": str, "timestamp": _moment, "date": _moment,
}  # fmt: skip
"""What values of a type are ordered by; a ValueError where their text does not tell."""
