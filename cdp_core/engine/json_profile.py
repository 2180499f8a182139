"""What JSON objects in staged `events` hold, key by key: kinds, how often, and few values where there are few."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cdp_core.engine.json_facets import USUAL_EMAIL, USUAL_TIME, literal

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.engine.staging import Staging

_POINTER = "'/' || replace(replace(key, '~', '~0'), '/', '~1')"
_SPELLED = r"replace(replace(key, '\', '\\'), '.', '\.')"
_PERSONAL = "contains(s, '@') OR regexp_matches(s, '[0-9].*[0-9].*[0-9].*[0-9].*[0-9]') OR length(s) > 40"
MANY_KEYS = 200
"""An object with more different keys is a map: its keys are values themselves."""


def profile(staging: Staging, *, depth: int = 3, few: int = 12) -> pl.DataFrame:
    """One row per type, event, and dotted path of keys.

    Columns: type, event (of a track), path, holders (objects that might have the key), present, kinds (of JSON),
    times and mails (texts that look like one), texts, different (different texts), values (the texts, when they are at
    most `few`), personal (a text looks like an address, a number of a phone or an id).
    """
    raw = _raw(staging)
    raw.execute(
        "CREATE OR REPLACE TEMP TABLE profile_level AS SELECT type, CASE WHEN type = 'track' THEN event END AS event, "
        "'' AS path, CASE WHEN type IN ('identify', 'group') THEN traits ELSE properties END AS v FROM events "
        "WHERE type <> 'alias'"
    )
    raw.execute("UPDATE profile_level SET v = '{}' WHERE v IS NULL")
    found: list[pl.DataFrame] = []
    for _ in range(depth):
        raw.execute(_holders())
        raw.execute(_below())
        rows: pl.DataFrame = raw.execute(_counted(few)).pl()
        if not rows.height:
            break
        found.append(rows)
        raw.execute("CREATE OR REPLACE TEMP TABLE profile_level AS SELECT * FROM profile_below WHERE kind = 'OBJECT'")
    for name in ("level", "holders", "below"):
        raw.execute(f"DROP TABLE IF EXISTS temp.main.profile_{name}")
    return _joined(found)


def calls(staging: Staging) -> pl.DataFrame:
    """Columns type, event (of a track) and count."""
    query = (
        "SELECT type, CASE WHEN type = 'track' THEN event END AS event, count(*) AS count FROM events "
        "WHERE type <> 'alias' GROUP BY ALL ORDER BY ALL"
    )
    found: pl.DataFrame = _raw(staging).execute(query).pl()
    return found


def _holders() -> str:
    """Objects by the path that leads to them, and how many there are; maps are left alone."""
    keys = "SELECT type, event, path, unnest(json_keys(v)) AS key FROM profile_level"
    return (
        "CREATE OR REPLACE TEMP TABLE profile_holders AS SELECT type, event, path AS holder, count(*) AS holders "
        "FROM profile_level l WHERE NOT EXISTS (SELECT 1 FROM (SELECT type, event, path FROM "
        f"({keys}) GROUP BY ALL HAVING count(DISTINCT key) > {MANY_KEYS}) m WHERE {_same('m', 'path')}) GROUP BY ALL"
    )


def _same(other: str, path: str) -> str:
    return f"l.type = {other}.type AND l.event IS NOT DISTINCT FROM {other}.event AND l.path = {other}.{path}"


def _below() -> str:
    path = f"CASE WHEN path = '' THEN {_SPELLED} ELSE path || '.' || {_SPELLED} END"
    keys = (
        "SELECT l.type, l.event, l.path, h.holder, h.holders, l.v, unnest(json_keys(l.v)) AS key "
        f"FROM profile_level l JOIN profile_holders h ON {_same('h', 'holder')}"
    )
    values = f"SELECT type, event, holder, holders, {path} AS path, json_extract(v, {_POINTER}) AS v FROM ({keys})"
    return f"CREATE OR REPLACE TEMP TABLE profile_below AS SELECT *, json_type(v) AS kind FROM ({values})"


def _counted(few: int) -> str:
    text = "CASE WHEN kind = 'VARCHAR' THEN json_extract_string(v, '$') END"
    columns = {
        "holders": "any_value(holders)",
        "present": "count(*)",
        "kinds": "list_sort(list(DISTINCT kind))",
        "texts": "count(s)",
        "times": f"count(*) FILTER (regexp_matches(s, {literal(USUAL_TIME)}))",
        "mails": f"count(*) FILTER (regexp_matches(s, {literal(USUAL_EMAIL)}))",
        "personal": f"coalesce(bool_or({_PERSONAL}), false)",
        "different": "count(DISTINCT s)",
        "values": f"CASE WHEN count(DISTINCT s) <= {int(few)} "
        "THEN list_sort(list(DISTINCT s) FILTER (s IS NOT NULL)) END",
    }
    chosen = ", ".join(f"{expression} AS {_name(name)}" for name, expression in columns.items())
    rows = f"SELECT *, {text} AS s FROM profile_below"
    return f"SELECT type, event, path, {chosen} FROM ({rows}) GROUP BY type, event, path ORDER BY type, event, path"


def _name(name: str) -> str:
    return '"' + name + '"'


def _joined(found: list[pl.DataFrame]) -> pl.DataFrame:
    import polars as pl

    return pl.concat(found, how="vertical_relaxed") if found else pl.DataFrame(schema={"type": pl.String})


def _raw(staging: Staging) -> Any:
    return staging.con.con
