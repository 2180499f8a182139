"""What the errors of MySQL and MariaDB mean. Their messages quote values: only kinds and names are told."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable

_ROWS = {
    1048: "null is not allowed",
    1062: "another row has this value",
    1216: "the row it points to is missing",
    1217: "other rows point to it",
    1264: "out of range",
    1265: "does not fit the column",
    1292: "not a value of the column's type",
    1364: "a column without a default is not mapped",
    1366: "not a value of the column's type",
    1406: "too long",
    1451: "other rows point to it",
    1452: "the row it points to is missing",
    1644: "refused by a trigger",
    1690: "out of range",
    3140: "no valid JSON",
    3819: "a check failed",
    4025: "a check failed",
}
_AGAIN = {
    1040: "it has too many connections",
    1053: "it is shutting down",
    1158: "the connection was lost",
    1159: "it did not answer in time",
    1203: "the user has too many connections",
    1205: "somebody else holds a lock on the rows",
    1213: "somebody else changed the same rows",
    1226: "the user has too many connections, or too many in an hour",
    1317: "the statement was interrupted",
    1927: "the connection was killed",
    1969: "the statement took too long",
    2002: "the connection failed",
    2003: "the connection failed",
    2006: "the connection was lost",
    2013: "the connection was lost, or the statement took too long",
    2014: "the connection was lost",
    2055: "the connection was lost",
    3024: "the statement took too long",
    0: "the connection was lost",
}
_NEVER = {
    1044: ("the user may not use this database", "grant it the rights"),
    1045: ("the password or the user is wrong", "check user and password"),
    1049: ("the database does not exist", "check the name of the database"),
    1142: ("the user lacks a right on the table", "grant SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER"),
    1370: ("the user lacks a right", None),
    1153: ("the batch is larger than max_allowed_packet", "raise it on the server: 16M is wanted"),
    1227: ("the user lacks a right", None),
    1064: ("it does not know JSON_TABLE, or the statement", "MySQL 8.0 or MariaDB 10.6 is wanted"),
}


def reason(error: Exception, fields: Iterable[str]) -> str | None:
    code = _code(error)
    if code not in _ROWS:
        return None
    parts = [_ROWS[code]]
    message = str(error.args[1]) if len(error.args) > 1 else ""
    # Names stand last, behind the quoted value; a name that is no field's may be part of a value.
    column = re.search(r"column ([^:]+?)(?: at row \d+)?$", message)
    column = column or re.search(r"^Column '(.+)' cannot be null$", message)
    name = column[1].rpartition(".")[2].strip("`'") if column else None
    if name in set(fields):
        parts.append(f"column {name}")
    index = re.search(r" for key '([^']+)'$", message) if code == 1062 else None
    if index:
        parts.append(f"index {index[1]}")
    return f"{', '.join(parts)} (error {code})"


def described(error: Exception) -> tuple[str, str | None, bool]:
    """What happened, the next step, and whether trying again may help."""
    code = _code(error)
    if isinstance(getattr(error, "original_exception", None), socket.gaierror):
        return "MySQL is not available: the host's name is unknown", "look at the url", True
    if code in _AGAIN:
        hint = "is the server up, and the url right?" if code in (2002, 2003) else None
        return f"MySQL is not available: {_AGAIN[code]}", hint, True
    if code in _NEVER:
        what, hint = _NEVER[code]
        return f"MySQL refused: {what}", hint, False
    kind = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()
    return f"MySQL refused: {kind}, error {code}", None, False


def _code(error: Exception) -> int:
    first = error.args[0] if error.args else -1
    return first if isinstance(first, int) else -1
