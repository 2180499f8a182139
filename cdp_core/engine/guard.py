"""What a SELECT of a user's may name: tables it is given, and functions that know nothing but their arguments.

The text is judged as DuckDB itself has parsed it, so that there is no second reading of it to hide something from.
What is not known to be harmless is refused. Rule: ASVS 5.0, 1.2.4, 1.3.2 and 2.2.1 (positive validation).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Any

from cdp_core.errors import SpecError

_WHERE = "SQL"
_LONGEST = 100_000
_TABLE_FUNCTIONS = {"range", "generate_series", "unnest", "json_each", "json_tree"}
_FROM = {"BASE_TABLE", "TABLE_FUNCTION", "SUBQUERY", "JOIN", "EXPRESSION_LIST", "EMPTY", "PIVOT"}
_WINDOWS = {
    *("row_number", "rank", "dense_rank", "rank_dense", "percent_rank", "cume_dist", "ntile"),
    *("lag", "lead", "first_value", "last_value", "nth_value"),
}
_KNOW_MORE = {
    *("current_catalog", "current_connection_id", "current_database", "current_query", "current_query_id"),
    *("current_role", "current_schema", "current_schemas", "current_setting", "current_transaction_id"),
    *("current_user", "currval", "error", "get_block_size", "getenv", "getvariable", "in_search_path"),
    *("json_deserialize_sql", "json_execute_serialized_sql", "json_serialize_plan", "json_serialize_sql"),
    *("nextval", "parse_duckdb_log_message", "session_user", "setseed", "sleep_ms", "stats", "txid_current"),
    *("user", "version", "write_log", "col_description", "obj_description", "shobj_description"),
}
"""Functions of DuckDB that tell of, or change, something other than their arguments."""
_KNOW_MORE_PREFIXES = ("__internal", "pg_", "has_", "inet_")
_KNOWN_PG = {"pg_typeof", "pg_size_pretty"}


def check_select(query: str, names: Collection[str]) -> None:
    """Raises SpecError for anything but one SELECT over the tables `names` and the functions of `allowed_functions`.

    >>> check_select("SELECT upper(type) FROM events", ["events"])
    >>> check_select("SELECT * FROM read_text('/etc/passwd')", ["events"])
    Traceback (most recent call last):
    ...
    cdp_core.errors.SpecError: SQL: the function 'read_text' is not allowed in a query; it reads tables and nothing else
    """
    try:
        statements = _parsed(query)
        if len(statements) != 1:
            raise _one_select()
        known = frozenset(name.lower() for name in names)
        for node, local in _walk(statements[0]):
            _judge(node, known, local)
    except RecursionError:
        raise SpecError("the query is nested too deeply", where=_WHERE) from None


def check_functions(expression: str) -> None:
    """The same for an expression over columns: no table at all. Raises SpecError."""
    check_select(f"SELECT {expression}", ())


@lru_cache(maxsize=1)
def allowed_functions() -> frozenset[str]:
    """The built-in functions of DuckDB whose answer depends on their arguments, the clock or chance alone."""
    import duckdb

    query = "SELECT DISTINCT lower(function_name) FROM duckdb_functions() WHERE internal AND function_type IN "
    with duckdb.connect() as con:
        found = {row[0] for row in con.execute(query + "('scalar', 'aggregate', 'macro')").fetchall()}
    return frozenset(
        name
        for name in found | _WINDOWS
        if name not in _KNOW_MORE and (name in _KNOWN_PG or not name.startswith(_KNOW_MORE_PREFIXES))
    )


def _parsed(query: str) -> list[Any]:
    import duckdb

    if len(query) > _LONGEST:
        raise SpecError(f"the query is longer than {_LONGEST:,} letters", where=_WHERE)
    try:
        with duckdb.connect() as con:
            text = "SELECT json_serialize_sql(?::VARCHAR, skip_null := true, skip_empty := true)"
            found = json.loads(con.execute(text, [query]).fetchall()[0][0])
    except (duckdb.Error, ValueError) as error:
        raise SpecError(f"the SQL cannot be read ({type(error).__name__})", where=_WHERE) from None
    if not found["error"]:
        return list(found["statements"])
    if found.get("error_type") == "parser":
        raise SpecError(f"the SQL does not parse: {found['error_message'].splitlines()[0]}", where=_WHERE)
    raise _one_select()


def _one_select() -> SpecError:
    return SpecError("only one SELECT is allowed", where=_WHERE, hint="remove other statements")


def _walk(top: Any) -> Iterator[tuple[dict[str, Any], frozenset[str]]]:
    """Every node, with the names of the WITH tables that can be seen from it."""
    waiting: list[tuple[Any, frozenset[str]]] = [(top, frozenset())]
    while waiting:
        node, local = waiting.pop()
        if isinstance(node, list):
            waiting += [(item, local) for item in node]
        if not isinstance(node, dict):
            continue
        if node.get("type") == "RECURSIVE_CTE_NODE":
            local |= {node["cte_name"].lower()}
        # A name is known to what comes after it: before, it means the table of the system that is called so.
        for entry in node.get("cte_map", {}).get("map", ()):
            waiting.append((entry["value"], local))
            local |= {entry["key"].lower()}
        yield node, local
        waiting += [(value, local) for key, value in node.items() if key != "cte_map"]


def _judge(node: dict[str, Any], known: frozenset[str], local: frozenset[str]) -> None:
    kind = node.get("type")
    for key in ("from_table", "left", "right", "source"):
        inner = node.get(key)
        if isinstance(inner, dict) and "class" not in inner and inner.get("type") not in _FROM | _NODES:
            raise _one_select()
    if kind == "BASE_TABLE":
        _judge_table(node, known, local)
    elif kind == "TABLE_FUNCTION":
        name = str(node["function"].get("function_name", "")).lower()
        if name not in _TABLE_FUNCTIONS:
            raise _not_allowed(name)
    elif kind in ("PARAMETER", "VALUE_PARAMETER"):
        raise SpecError("a query takes no parameters", where=_WHERE, hint="write the value itself")
    elif "function_name" in node and not _allowed(node):
        raise _not_allowed(str(node["function_name"]))


_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE"}


def _judge_table(node: dict[str, Any], known: frozenset[str], local: frozenset[str]) -> None:
    name = str(node.get("table_name", "")).lower()
    catalog, schema = (str(node.get(key, "")).lower() for key in ("catalog_name", "schema_name"))
    if not catalog and not schema and name in local:
        return
    if name not in known or schema not in ("", "main", "lake") or catalog not in ("", "lake"):
        called = ".".join(part for part in (catalog, schema, name) if part)
        raise SpecError.unknown("table", called, known, where=_WHERE)


def _allowed(node: dict[str, Any]) -> bool:
    name = str(node["function_name"]).lower()
    # A table function is looked at where it stands, in FROM; unnest stands in the place of a column too.
    return name in allowed_functions() or name in _TABLE_FUNCTIONS


def _not_allowed(name: str) -> SpecError:
    hint = "it reads tables and nothing else"
    return SpecError(f"the function {name!r} is not allowed in a query", where=_WHERE, hint=hint)
