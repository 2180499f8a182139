"""Set-wise work on columns of text inside the staging database: JSON, times and hashes.

Each function takes a Polars frame and gives one of the same height and order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.engine.staging import Staging

USUAL_TIME = r"^(?:[1-9][0-9]{3}-[0-9]{2}-[0-9]{2})(?:[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?Z?)?$"


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

    if not frame.width:
        return frame
    usual = frame.select(_usual_time(c) for c in frame.columns)
    strange = [c for c in frame.columns if usual[c].null_count() > frame[c].null_count()]
    for column in strange:
        text = frame[column].alias("text")
        rest = text.filter(usual[column].is_null() & text.is_not_null()).unique().to_frame()
        found = rest.hstack(_select(staging, rest, {"time": _time("text")}))
        more = text.to_frame().join(found, on="text", how="left", maintain_order="left")["time"]
        usual = usual.with_columns(pl.coalesce(column, more).alias(column))
    return usual


def _usual_time(column: str) -> pl.Expr:
    """What nearly all times look like, read at full speed; everything else is null and read with more patience."""
    import polars as pl

    text = pl.when(pl.col(column).str.contains(USUAL_TIME)).then(pl.col(column))
    forms = ("%Y-%m-%dT%H:%M:%S%.fZ", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d")
    return pl.coalesce(
        *(text.str.to_datetime(f, strict=False, time_unit="us") for f in forms[:2]),
        text.str.to_date(forms[2], strict=False).cast(pl.Datetime("us")),
    ).alias(column)


def parse(
    staging: Staging, texts: pl.Series, fields: Mapping[str, str], inner: Mapping[str, tuple[str, str]] | None = None
) -> pl.DataFrame:
    """Fields of JSON objects, from one text each.

    `fields` maps a key to `text` (a string without quotes and white space around it, anything else as JSON text),
    `json` (JSON text) or `time` (ISO 8601, as naive UTC timestamp); `inner` maps a name to a `json` field and a key in
    it. Gives one column per field, null for an absent key, a JSON null and a blank text, and `_valid` (it is JSON),
    `_kind` (OBJECT, ARRAY, …; null when not valid), `_repeated` (the object, its properties, traits or context
    name a key twice) and `_untimely` (the first `time` field whose text is no time).
    """
    raw: Any = staging.bench.con
    objects = ["t", *(f"j.{_name(k)}" for k in ("properties", "traits", "context") if fields.get(k) == "json")]
    key_lists = ", ".join(f"json_keys({o}) AS k{n}" for n, o in enumerate(objects))
    shape = ",".join(
        f'{_json(k)}:"{"JSON" if v == "json" else "VARCHAR"}"' for k, v in (fields or {"-": "text"}).items()
    )
    with _batch(staging, texts.alias("t").to_frame().with_row_index("i")):
        raw.execute(
            f"CREATE OR REPLACE TEMP TABLE parsed AS SELECT i, v, kind, j, {key_lists} FROM (SELECT i, v, "
            f"CASE WHEN v THEN json_type(t) END AS kind, CASE WHEN v THEN t END AS t, "
            f"CASE WHEN v THEN json_transform(t, {_text('{' + shape + '}')}) END AS j "
            "FROM (SELECT i, t, coalesce(json_valid(t), false) AS v FROM text_batch))"
        )
    try:
        found = _ordered(raw.execute(f"SELECT i, {_fields(raw, fields, inner or {}, len(objects))} FROM parsed").pl())
    finally:
        for name in ("parsed", "shapes", "twice"):
            raw.execute(f"DROP TABLE IF EXISTS {name}")
    return _tidy(staging, found, fields, list(inner or {}))


def _tidy(staging: Staging, frame: pl.DataFrame, fields: Mapping[str, str], inner: Sequence[str]) -> pl.DataFrame:
    """Blank texts and JSON nulls as nulls, texts of times as times."""
    import polars as pl

    json = [*(k for k, v in fields.items() if v == "json"), *inner]
    texts = [pl.col(k).str.strip_chars() for k, v in fields.items() if v != "json"]
    frame = frame.with_columns(pl.when(text != "").then(text) for text in texts)
    frame = frame.with_columns(pl.when(pl.col(k) != "null").then(pl.col(k)) for k in json)
    names = [k for k, v in fields.items() if v == "time"]
    times = utc_times(staging, frame.select(names)) if names else frame.select([])
    wrong = [pl.when(pl.col(n).is_not_null() & times[n].is_null()).then(pl.lit(n)) for n in names]
    return frame.with_columns(pl.coalesce(*wrong, pl.lit(None, pl.String)).alias("_untimely")).with_columns(times)


def _fields(raw: Any, fields: Mapping[str, str], inner: Mapping[str, tuple[str, str]], objects: int) -> str:
    columns = {"_valid": "v", "_kind": "kind", "_repeated": _repeated(raw, objects)}
    columns |= {key: f"CAST(j.{_name(key)} AS VARCHAR)" for key in fields}
    for name, (field, key) in inner.items():
        outer = f"j.{_name(field)}"
        found = f"CAST(json_extract({outer}, {_text('$.' + key)}) AS VARCHAR)"
        columns[name] = f"CASE WHEN contains(CAST({outer} AS VARCHAR), {_text(_json(key))}) THEN {found} END"
    return ", ".join(f"{expression} AS {_name(name)}" for name, expression in columns.items())


def _repeated(raw: Any, objects: int) -> str:
    """Few sets of keys occur in many rows, so each set is looked at once."""
    shapes = " UNION ".join(f"SELECT DISTINCT k{n} AS k FROM parsed" for n in range(objects))
    raw.execute(f"CREATE OR REPLACE TEMP TABLE shapes AS {shapes}")
    raw.execute("CREATE OR REPLACE TEMP TABLE twice AS SELECT k FROM shapes WHERE len(k) <> list_unique(k)")
    if not raw.execute("SELECT count(*) FROM twice").fetchall()[0][0]:
        return "false"
    return " OR ".join(f"coalesce(k{n} IN (SELECT k FROM twice), false)" for n in range(objects))


def elements(staging: Staging, frame: pl.DataFrame, column: str) -> pl.DataFrame:
    """One row per element of a column of JSON arrays, the other columns repeated; the element as JSON text."""
    others = [_name(c) for c in frame.columns if c != column]
    items = f"unnest(CAST(json_extract({_name(column)}, '$[*]') AS VARCHAR[])) AS {_name(column)}"
    query = f"SELECT {', '.join([*others, items])} FROM text_batch"
    return _run(staging, frame, query).select(frame.columns)


def keys(staging: Staging, texts: pl.Series) -> pl.DataFrame:
    """Keys of JSON objects in order of first appearance: `key`, and whether one of its values is a `string`, `nested`
    (an object or list) or `boolean`, and whether all are null or boolean (`logical`)."""
    query = (
        "SELECT key, min(p) AS p, bool_or(type = 'VARCHAR') AS string, bool_or(type IN ('OBJECT', 'ARRAY')) AS nested, "
        "bool_or(type = 'BOOLEAN') AS boolean, bool_and(type IN ('BOOLEAN', 'NULL')) AS logical "
        f"FROM (SELECT p, key, json_type(t, {_path('key')}) AS type FROM (SELECT i * 100000 + "
        "generate_subscripts(k, 1) AS p, unnest(k) AS key, t FROM (SELECT i, t, json_keys(t) AS k FROM text_batch))) "
        "GROUP BY key ORDER BY p"
    )
    return _run(staging, texts.alias("t").to_frame().with_row_index("i"), query).drop("p")


def extract(staging: Staging, texts: pl.Series, names: Sequence[str]) -> pl.DataFrame:
    """The values under keys of JSON objects, as texts (objects and lists as JSON text), one column per key."""
    if not names:
        return texts.to_frame().select([])
    paths = ", ".join(_text('$."' + name.replace("\\", "\\\\").replace('"', '\\"') + '"') for name in names)
    source = f"SELECT i, json_extract_string(t, [{paths}]) AS j FROM text_batch"
    found = _select(staging, texts.alias("t").to_frame(), {f"c{n}": f"j[{n + 1}]" for n in range(len(names))}, source)
    found.columns = list(names)
    return found


def merge(staging: Staging, frame: pl.DataFrame) -> pl.Series:
    """Two columns of JSON objects merged, the second over the first; null where both are."""
    import polars as pl

    first, second = frame.columns
    pairs = frame.with_row_index("n").drop_nulls()
    result = frame.select(pl.coalesce(second, first).alias("m")).to_series()
    if pairs.height:
        merged = _select(staging, pairs, {"n": "n", "m": f"json_merge_patch({_name(first)}, {_name(second)})"})
        result = result.scatter(merged["n"], merged["m"].cast(pl.String))
    return result


def without(staging: Staging, texts: pl.Series, names: Sequence[str]) -> pl.Series:
    """JSON objects without the members called `names`; null where nothing else is left."""
    import polars as pl

    listed = ", ".join(_text(name) for name in names)
    patch = _text("{" + ",".join(f"{_json(name)}:null" for name in names) + "}")
    more = f"len(list_filter(json_keys(t), lambda k: k NOT IN ({listed}))) > 0"
    frame = texts.alias("t").to_frame()
    found = _select(staging, frame, {"rest": f"CASE WHEN {more} THEN json_merge_patch(t, {patch})::VARCHAR END"})
    return found["rest"].cast(pl.String)


def valid(staging: Staging, frame: pl.DataFrame) -> pl.DataFrame:
    """Whether each text is JSON; null stays null."""
    return _select(staging, frame, {c: f"json_valid({_name(c)})" for c in frame.columns})


def keyed(staging: Staging, texts: pl.Series, key: bytes) -> pl.Series:
    """HMAC-SHA-256 of texts as hex digits in lower case; null stays null.

    >>> import polars as pl, pathlib; from cdp_core.engine import Staging
    >>> keyed(Staging(pathlib.Path(":memory:")), pl.Series(["x", None]), bytes(32)).to_list()[0][:8]
    'c48ccc8a'
    """
    import polars as pl

    inner, outer = (bytes(octet ^ pad for octet in key.ljust(64, b"\0")).hex() for pad in (0x36, 0x5C))
    within = f"sha256(unhex({_text(inner)} || hex(t)))"
    found = _select(staging, texts.alias("t").to_frame(), {"h": f"sha256(unhex({_text(outer)} || {within}))"})
    return found["h"].cast(pl.String)


def told(staging: Staging, texts: pl.Series) -> pl.Series:
    """What JSON strings say; any other text, and what is no sound string, says itself without quotes around it."""
    import polars as pl

    frame = texts.alias("t").to_frame()
    plain = pl.col("t").str.strip_chars('"')
    found = frame.select(pl.when(pl.col("t").str.starts_with('"')).then(plain).otherwise("t").alias("t"))["t"]
    places = frame.with_row_index("n").filter(
        pl.col("t").str.starts_with('"') & pl.col("t").str.contains("\\", literal=True)
    )
    if not places.height:
        return found
    said = "CASE WHEN json_valid(t) THEN json_extract_string(t, '$') END"
    read = _select(staging, places, {"n": "n", "t": said}).drop_nulls()
    return found.scatter(read["n"], read["t"].cast(pl.String))


def _time(text: str) -> str:
    """Only a time with an offset takes the slow road over time zones."""
    text = f"upper(replace({text}, ',', '.'))"
    offset = " OR ".join(f"left(right({text}, {n}), 1) IN ('+', '-')" for n in (6, 5, 3))
    zoned = f"CAST(try_cast({text} AS TIMESTAMPTZ) AS TIMESTAMP)"
    plain = f"try_cast(rtrim({text}, 'Z') AS TIMESTAMP)"
    found = f"CASE WHEN length({text}) > 16 AND ({offset}) THEN {zoned} ELSE {plain} END"
    sane = f"{found} BETWEEN TIMESTAMP '0001-01-01' AND TIMESTAMP '9999-12-31 23:59:59.999999'"
    shape = f"substr({text}, 5, 1) IN ('-', '/') AND left({text}, 1) BETWEEN '0' AND '9'"
    return f"CASE WHEN {shape} AND {sane} THEN {found} END"


def _select(
    staging: Staging, frame: pl.DataFrame, columns: Mapping[str, str], source: str = "SELECT * FROM text_batch"
) -> pl.DataFrame:
    select = ", ".join(f"{expression} AS {_name(name)}" for name, expression in columns.items())
    return _ordered(_run(staging, frame.with_row_index("i"), f"SELECT i, {select} FROM ({source})"))


def _ordered(frame: pl.DataFrame) -> pl.DataFrame:
    return (frame if frame["i"].is_sorted() else frame.sort("i")).drop("i")


def _run(staging: Staging, frame: pl.DataFrame, query: str) -> pl.DataFrame:
    raw: Any = staging.bench.con
    with _batch(staging, frame):
        result: pl.DataFrame = raw.execute(query).pl()
    return result


@contextmanager
def _batch(staging: Staging, frame: pl.DataFrame) -> Iterator[None]:
    """The frame as `text_batch`."""
    import polars as pl

    raw: Any = staging.bench.con
    raw.register("text_batch", frame.to_arrow(compat_level=pl.CompatLevel.newest()))
    try:
        yield
    finally:
        raw.unregister("text_batch")


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _path(column: str) -> str:
    return f"""'$."' || replace(replace({column}, '\\', '\\\\'), '"', '\\"') || '"'"""


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _json(value: str) -> str:
    import json

    return json.dumps(value)


__all__: Sequence[str] = ("elements", "extract", "keys", "md5", "merge", "parse", "utc_times", "valid", "without")
