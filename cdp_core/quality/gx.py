"""The validating process: `python -m cdp_core.quality.gx PARENT`. The only importer of Great Expectations.

It talks JSON lines. The first line out says {"ready": version}. Every line in is a request with path, memory_limit and
tables (table, keys, expectations: type and kwargs), answered by {"results": […]} with table, number, success, checked,
failed, observed, keys_query and exception of each expectation, or by {"error": text}.

A process of its own since the import takes seconds, which overlap with loading, and since one process cannot open a
DuckDB file twice. It opens the file read-only, and ends with its parent.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from cdp_core.quality.catalogue import TYPES

_PATTERNS = ("match_regex", "not_match_regex", "match_regex_list", "not_match_regex_list")
_LIKES = ("match_like_pattern", "not_match_like_pattern", "match_like_pattern_list", "not_match_like_pattern_list")
_MODULE = "great_expectations.expectations.metrics.column_map_metrics.column_values_"
_COMPOUND = "expect_compound_columns_to_be_unique"
_QUERY = "unexpected_rows_expectation"
_NOTHING_ELSE = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
}
"""A rule may be a query; it reads the batch's file, and no other."""


def main() -> None:
    """Answer requests until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(int(sys.argv[1]),), daemon=True).start()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not mix with the answers
    version = _import()
    _answer(answers, {"ready": version})
    for line in sys.stdin:
        try:
            answer: dict[str, Any] = {"results": list(_check(json.loads(line)))}
        except Exception as error:  # noqa: BLE001 - the other side turns it into one line
            answer = {"error": f"{type(error).__name__}: {_first_line(error)}"}
        _answer(answers, answer)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _answer(out: IO[str], answer: Mapping[str, Any]) -> None:
    out.write(json.dumps(answer, default=str) + "\n")
    out.flush()


def _import() -> str:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    sys.modules["pyspark"] = None  # type: ignore[assignment]  # optional for Great Expectations, and slow to import
    import great_expectations
    from great_expectations.expectations.metrics import util

    # It takes the `$1` of DuckDB's parameters for the value 1 and leaves them in queries it gives out: literals always.
    util._check_has_unsubstituted_params = lambda *_: True  # noqa: SLF001
    logging.getLogger("great_expectations").setLevel(logging.CRITICAL + 1)
    for name in _PATTERNS:
        importlib.import_module(_MODULE + name).get_dialect_regex_expression = _regex  # type: ignore[attr-defined]
    for name in _LIKES:
        importlib.import_module(_MODULE + name).get_dialect_like_pattern_expression = _like  # type: ignore[attr-defined]
    return str(great_expectations.__version__)


def _regex(column: Any, regex: str, dialect: Any, positive: bool = True) -> Any:
    """Great Expectations knows no regular expressions of DuckDB."""
    import sqlalchemy

    found = sqlalchemy.func.regexp_matches(column, sqlalchemy.literal(regex))
    return found if positive else sqlalchemy.not_(found)


def _like(column: Any, dialect: Any, like_pattern: str, positive: bool = True, escape: str | None = None) -> Any:
    import sqlalchemy

    pattern = sqlalchemy.literal(like_pattern)
    return column.like(pattern, escape=escape) if positive else column.not_like(pattern, escape=escape)


def _check(request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_sql(
        "batch",
        connection_string=f"duckdb:///{request['path']}",
        kwargs={
            "isolation_level": "AUTOCOMMIT",
            "skip_autocommit_rollback": True,
            "connect_args": {"read_only": True, "config": {"memory_limit": request["memory_limit"], **_NOTHING_ELSE}},
        },
    )
    try:
        for table in request["tables"]:
            yield from _check_table(source, table)
    finally:
        # Two pools are open on the file: the one that tested the connection and the one that ran the metrics.
        source.get_execution_engine().engine.dispose()
        source.get_engine().dispose()


def _check_table(source: Any, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    import great_expectations as gx

    table, keys = request["table"], request["keys"]
    made, numbers = [], []
    for number, raw in enumerate(request["expectations"]):
        try:
            made.append(_expectation(raw, number))
            numbers.append(number)
        except Exception as error:  # noqa: BLE001 - Great Expectations refuses arguments in many ways
            yield {"table": table, "number": number, "invalid": _refusal(error)}
    if not made:
        return
    batch = source.add_table_asset(table, table_name=_quote(table)).add_batch_definition_whole_table("all").get_batch()
    shape: dict[str, Any] = {
        "result_format": "BASIC",
        "return_unexpected_index_query": bool(keys),
        "exclude_unexpected_values": True,
        "partial_unexpected_count": 0,
    }
    if keys:
        shape["unexpected_index_column_names"] = keys
    found = batch.validate(gx.ExpectationSuite(name=table, expectations=made), result_format=shape)
    for result in found.results:
        yield {"table": table, **_told(result, batch, table, keys)}


def _expectation(raw: Mapping[str, Any], number: int) -> Any:
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    meta = {"number": number}
    return ExpectationConfiguration(type=raw["type"], kwargs=dict(raw["kwargs"]), meta=meta).to_domain_obj()


def _told(result: Any, batch: Any, table: str, keys: Sequence[str]) -> dict[str, Any]:
    """One result of Great Expectations as plain facts."""
    config, facts = result.expectation_config, result.result or {}
    raised = [part for part in _exceptions(result.exception_info) if part]
    query = config.type == _QUERY
    counted = facts.get("observed_value" if query else "unexpected_count")
    failed = counted if TYPES[config.type].rows else None
    told: dict[str, Any] = {
        "number": config.meta["number"],
        "success": bool(result.success),
        "checked": facts.get("element_count"),
        "failed": failed,
        "observed": None if query else facts.get("observed_value"),
        "exception": raised[0] if raised else None,
        "keys_query": None,
    }
    if failed and keys and not raised:
        told["keys_query"] = _keys_query(config, facts, batch, table, keys)
    return told


def _exceptions(info: Any) -> Iterator[str]:
    """Messages in an exception_info, which is one record or a record for each metric."""
    if not isinstance(info, Mapping):
        return
    if "exception_message" in info:
        yield str(info["exception_message"] or "")
        return
    for record in info.values():
        yield from _exceptions(record)


def _keys_query(config: Any, facts: Mapping[str, Any], batch: Any, table: str, keys: Sequence[str]) -> str:
    """SQL that gives the keys of all failing rows.

    Great Expectations' own query where there is one. It has none for custom SQL, its one for compound uniqueness is a
    cross join, and it forgets the row condition: rows outside it are taken out here.
    """
    columns = ", ".join(_quote(key) for key in keys)
    kwargs = config.kwargs
    if config.type == _QUERY:
        query = kwargs["unexpected_rows_query"].format(batch=_quote(table)).rstrip("; \t\r\n")
        return f"SELECT DISTINCT {columns} FROM ({query}) AS failing"
    domain = _domain(config, batch)
    if config.type == _COMPOUND:
        # Rows with a null in one of the columns equal no other row: Great Expectations joins by equality.
        group = [_quote(column) for column in kwargs["column_list"]]
        known = " AND ".join(f"{column} IS NOT NULL" for column in group)
        over = ", ".join(group)
        return (
            f"SELECT DISTINCT {columns} FROM (SELECT * FROM ({domain}) AS batch WHERE {known} "
            f"QUALIFY count(*) OVER (PARTITION BY {over}) > 1) AS failing"
        )
    query = f"SELECT DISTINCT {columns} FROM ({facts['unexpected_index_query'].rstrip('; ')}) AS failing"
    return f"{query} INTERSECT SELECT {columns} FROM ({domain}) AS batch" if kwargs.get("row_condition") else query


def _domain(config: Any, batch: Any) -> str:
    """SELECT of the rows that the expectation looks at."""
    from great_expectations.expectations.metrics.util import sqlalchemy_select_to_sql_string

    engine = batch.data.execution_engine
    names = ("row_condition", "condition_parser")
    wanted = {name: config.kwargs[name] for name in names if config.kwargs.get(name)}
    rows = engine.get_domain_records({"batch_id": batch.id, **wanted})
    return str(sqlalchemy_select_to_sql_string(engine, rows)).rstrip("; ")


def _refusal(error: Exception) -> str:
    """Why Great Expectations refuses arguments, in one line."""
    errors = getattr(error, "errors", None)
    if not callable(errors):
        return _first_line(error)
    return "; ".join(f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in errors())


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


if __name__ == "__main__":
    main()
