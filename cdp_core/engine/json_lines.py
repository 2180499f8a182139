"""Set-wise work on columns of text inside the staging database: JSON, times and hashes.

Each function takes a Polars frame and gives one of the same height and order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.engine.staging import Staging

TIME_SHAPE = r"^\s*\d{4}-\d{1,2}-\d{1,2}([T ]\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?\s*(Z|z|[+-]\d{2}(:?\d{2})?)?)?\s*$"


def md5(staging: Staging, frame: pl.DataFrame) -> pl.DataFrame:
    """Every text column replaced by its MD5 in hexadecimal (null stays null).

    >>> import polars as pl, pathlib; from cdp_core.engine import Staging
    >>> md5(Staging(pathlib.Path(":memory:")), pl.DataFrame({"a": ["x", None]}))["a"].to_list()
    ['9dd4e461268c8034f5c8564e155c67a6', None]
    """
    return _select(staging, frame, {c: f"md5({_name(c)})" for c in frame.columns})


def utc_times(staging: Staging, frame: pl.DataFrame) -> pl.DataFrame:
    """Text columns of ISO 8601 times as naive UTC timestamps in microseconds; null where it is none.

    A time without offset is taken as UTC. Years 1 to 9999 count.
    """
    import polars as pl

    text = frame.select(pl.all().str.replace(",", ".", literal=True))
    times = {
        c: f"CASE WHEN regexp_full_match({_name(c)}, '{TIME_SHAPE}') AND NOT starts_with({_name(c)}, '0000') "
        f"THEN CAST(try_cast({_name(c)} AS TIMESTAMPTZ) AS TIMESTAMP) END"
        for c in frame.columns
    }
    return _select(staging, text, times)


def parse(staging: Staging, texts: pl.Series, fields: Mapping[str, str]) -> pl.DataFrame:
    """Fields of JSON objects, from one text each.

    `fields` maps a key to `text` (a string without quotes, anything else as JSON text) or `json` (JSON text).
    Gives `_valid` (it is JSON), `_kind` (OBJECT, ARRAY, …; null when not valid), `_repeated` (an object or one of its
    `json` fields names a key twice) and one text column per field; a JSON null and an absent key are null.
    """
    shape = "{" + ",".join(f'{_json(k)}:"{"VARCHAR" if v == "text" else "JSON"}"' for k, v in fields.items()) + "}"
    frame = texts.alias("t").to_frame()
    part = {k: f"nullif(j.{_name(k)}, 'null')" if v == "json" else f"j.{_name(k)}" for k, v in fields.items()}
    objects = [f"j.{_name(k)}" for k, v in fields.items() if v == "json"]
    repeated = " OR ".join(f"coalesce(_twice({o}), false)" for o in ["t", *objects])
    inner = (
        f"SELECT i, t, json_valid(t) AS v, CASE WHEN json_valid(t) THEN json_transform(t, {_text(shape)}) END AS j FROM {{}}"
    )
    staging.con.raw_sql(
        "CREATE OR REPLACE TEMP MACRO _twice(x) AS len(json_keys(x)) <> len(list_distinct(json_keys(x)))"
    )
    select = {
        "_valid": "coalesce(v, false)",
        "_kind": "CASE WHEN v THEN json_type(t) END",
        "_repeated": f"CASE WHEN v THEN {repeated} ELSE false END",
        **{k: f"CAST({p} AS VARCHAR)" for k, p in part.items()},
    }
    return _select(staging, frame, select, inner)


def elements(staging: Staging, frame: pl.DataFrame, column: str) -> pl.DataFrame:
    """One row per element of a column of JSON arrays, the other columns repeated; the element as JSON text."""
    others = [_name(c) for c in frame.columns if c != column]
    query = f"SELECT {', '.join(others)}, unnest(CAST(json_extract({_name(column)}, '$[*]') AS VARCHAR[])) AS {_name(column)}"
    return _run(staging, frame, query + " FROM text_batch").select(frame.columns)


def keys(staging: Staging, texts: pl.Series) -> pl.DataFrame:
    """Keys of JSON objects in order of first appearance: `key`, `strings` (some value is a string), `nested`."""
    query = (
        "SELECT key, min(p) AS p, bool_or(type = 'VARCHAR') AS strings, bool_or(type IN ('OBJECT', 'ARRAY')) AS nested, "
        "bool_or(type = 'BOOLEAN') AS booleans, bool_and(type IN ('BOOLEAN', 'NULL')) AS only_booleans "
        "FROM (SELECT i * 100000 + generate_subscripts(k, 1) AS p, unnest(k) AS key, "
        "json_type(t, '$.\"' || replace(unnest(k), '\"', '\\\"') || '\"') AS type "
        "FROM (SELECT i, t, json_keys(t) AS k FROM text_batch)) GROUP BY key ORDER BY p"
    )
    return _run(staging, texts.alias("t").to_frame().with_row_index("i"), query)


def merge(staging: Staging, frame: pl.DataFrame) -> pl.Series:
    """Two columns of JSON objects merged, the second over the first; null where both are."""
    first, second = (_name(c) for c in frame.columns)
    merged = f"CASE WHEN {first} IS NULL THEN {second} WHEN {second} IS NULL THEN {first} ELSE "
    return _select(staging, frame, {"m": f"{merged} json_merge_patch({first}, {second}) END"})["m"]


def valid(staging: Staging, frame: pl.DataFrame) -> pl.DataFrame:
    """Whether each text is JSON; null stays null."""
    return _select(staging, frame, {c: f"json_valid({_name(c)})" for c in frame.columns})


def _select(
    staging: Staging, frame: pl.DataFrame, columns: Mapping[str, str], source: str = "SELECT * FROM text_batch"
) -> pl.DataFrame:
    select = ", ".join(f"{expression} AS {_name(name)}" for name, expression in columns.items())
    query = f"SELECT i, {select} FROM ({source})"
    return _run(staging, frame.with_row_index("i"), query).sort("i").drop("i")


def _run(staging: Staging, frame: pl.DataFrame, query: str) -> pl.DataFrame:
    """Run over a copy of the frame: JSON functions on a scanned frame are about ten times slower."""
    import polars as pl

    raw: Any = staging.con.con
    raw.register("incoming_text", frame.to_arrow(compat_level=pl.CompatLevel.oldest()))
    try:
        raw.execute("CREATE OR REPLACE TEMP TABLE text_batch AS SELECT * FROM incoming_text")
    finally:
        raw.unregister("incoming_text")
    try:
        result: pl.DataFrame = raw.execute(query).pl()
    finally:
        raw.execute("DROP TABLE text_batch")
    return result


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _json(value: str) -> str:
    import json

    return json.dumps(value)


__all__: Sequence[str] = ("elements", "keys", "md5", "merge", "parse", "utc_times", "valid")
