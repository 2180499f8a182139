"""What came out of an expectation, in words that hold no customer's value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cdp_core.quality.spec import Expectation, Suite

_MISSING = re.compile(r'The column "(.+?)" in BatchData does not exist')
_SAFE = re.compile(r"(Binder|Catalog|Parser|Syntax) Error: ")
_STATED = re.compile(r"^\w+ metrics cannot be computed on column of type \w+")
_TYPED = ("expect_column_type_to_be", "expect_column_values_to_be_of_type", "expect_column_values_to_be_in_type_list")
_NUMBERED = ("mean", "median", "stdev", "sum", "proportion", "unique_value_count", "row_count", "column_count")


@dataclass(frozen=True, kw_only=True)
class ExpectationResult:
    """Result of one expectation. `table` is the staged table, `target` the source or canonical table it stands for.

    `checked` and `failed` count rows; an expectation about all rows together (a mean, the columns) checks one thing.
    `failing_keys_query` is SQL over the staging file that gives the keys of all failing rows, None when there are none
    or none can be named.
    """

    suite: str
    table: str
    target: str
    rule: str
    expectation: str
    field: str
    severity: str
    description: str
    where: str
    checked: int
    failed: int
    success: bool
    observed: str
    failing_keys_query: str | None


def read_result(told: Mapping[str, Any], suite: Suite, table: str, rows: int, keys: list[str]) -> ExpectationResult:
    """The result that the validating process told; `rows` is the size of the table."""
    expectation = suite.expectations[told["number"]]
    checked, failed, observed, query = _facts(told, expectation, table, rows, keys)
    return ExpectationResult(
        suite=suite.name,
        table=table,
        target=suite.target,
        rule=expectation.rule,
        expectation=expectation.type,
        field=expectation.field,
        severity=expectation.severity,
        description=expectation.description,
        where=suite.where(expectation),
        checked=checked,
        failed=failed,
        success=told["success"],
        observed=observed,
        failing_keys_query=None if told["success"] else query,
    )


def _facts(
    told: Mapping[str, Any], expectation: Expectation, table: str, rows: int, keys: list[str]
) -> tuple[int, int, str, str | None]:
    if told["exception"]:
        missing = _MISSING.search(told["exception"])
        if missing:
            # Without the column no row has a value in it: that is what "not null" is about, so all its rows fail.
            every = expectation.type == "expect_column_values_to_not_be_null" and keys
            query = f"SELECT {', '.join(_quote(k) for k in keys)} FROM {_quote(table)}" if every else None
            return rows, rows, f"column {missing[1]!r} is not in the batch", query
        return rows, rows, f"could not be computed: {_reason(told['exception'])}", None
    if told["failed"] is not None:
        checked = rows if told["checked"] is None else told["checked"]
        return checked, told["failed"], _share(told["failed"], checked), told["keys_query"]
    failed = 0 if told["success"] else 1
    return 1, failed, _measure(told["observed"], expectation, told["success"]), None


def _share(failed: int, checked: int) -> str:
    if not failed:
        return f"all {checked:,} rows pass" if checked else "no rows"
    return f"{failed:,} of {checked:,} rows ({failed / max(checked, 1):.2%})"


def _measure(value: Any, expectation: Expectation, success: bool) -> str:
    """A mean or a count may be shown; a minimum, a maximum or a list of values is some customer's own."""
    if isinstance(value, bool | int | float) and any(word in expectation.type for word in _NUMBERED):
        return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"
    if expectation.type in _TYPED:
        return f"type {value}"
    if expectation.type == "expect_column_to_exist":
        return "the column is there" if success else f"column {expectation.field!r} is not in the batch"
    if isinstance(value, list) and expectation.type.startswith("expect_table_columns"):
        wanted = [str(c) for c in expectation.kwargs.get("column_set", expectation.kwargs.get("column_list", []))]
        missing = [c for c in wanted if c not in value]
        return f"missing: {', '.join(missing)}" if missing else f"{len(value)} columns"
    return "as expected" if success else "not as expected"


def _reason(message: str) -> str:
    """The database's reason where it speaks of types and names; one that may quote a value is only named."""
    first = (message.splitlines() or [""])[0]
    if _SAFE.search(first) or _STATED.search(first):
        return _SAFE.sub("", first.rpartition("Exception) ")[2]).strip()
    if "Conversion" in first:
        return "the column's type does not fit the expectation"
    return "Great Expectations cannot run it on this column"


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
